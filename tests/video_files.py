"""Writes videos as phones, cameras and disks leave them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def quarters(height: int = 64, width: int = 96) -> Picture:
    """Red, green, blue and white quarters: every turn and every mirroring shows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


def corners(image: Picture) -> str:
    """Name the colours of the upper left, upper right, lower left and lower right quarter."""
    height, width, _ = image.shape
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W", (0, 0, 0): "-"}
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join(names[tuple((image[place] > 128).astype(int).tolist())] for place in places)


def write_video(
    path: Path,
    pictures: Sequence[NDArray[Any]],
    *,
    codec: str = "libx264",
    fps: int = 25,
    matrix: tuple[int, ...] | None = None,
    pixel_aspect: Fraction | None = None,
    pixel_format: str | None = None,
    change: Callable[[int, bytes], bytes] | None = None,
    covers: int = 0,
    **options: str,
) -> Path:
    """Write one stream of pictures, after ``covers`` attached pictures.

    ``change`` replaces the bytes of encoded frames by their number; ``options`` are the muxer's.
    """
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=options) as container:
        attached = [container.add_stream("png", rate=1) for _ in range(covers)]
        for stream in attached:
            stream.width = stream.height = 200
            stream.pix_fmt = "rgb24"
            stream.disposition = Disposition.attached_pic
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = width, height
        jpeg = codec == "mjpeg"
        stream.pix_fmt = pixel_format or ("yuvj420p" if jpeg else "yuv420p")
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if matrix:
            stream.set_display_matrix(matrix)
        for cover in attached:
            blue = np.full((200, 200, 3), (0, 0, 255), np.uint8)
            container.mux(cover.encode(av.VideoFrame.from_ndarray(blue, format="rgb24")))
        number = 0
        source = "gray16le" if pictures[0].dtype == np.uint16 else "rgb24"
        frames = (av.VideoFrame.from_ndarray(each, format=source) for each in pictures)
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                if change is not None:
                    packet = _changed(packet, change(number, bytes(packet)))
                number += 1
                container.mux(packet)
    return path


def cut_every_second(number: int, data: bytes) -> bytes:
    """Keep the first half of every second encoded frame, as a camera on a bad line does."""
    return data[: len(data) // 2] if number % 2 else data


def cut_tail(path: Path, share: float = 0.6) -> Path:
    """Keep the first part of a file, as a full disk does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_sound(path: Path, covers: int = 0) -> Path:
    """Write a second of silence, with cover pictures before it."""
    with av.open(str(path), "w") as container:
        attached = [container.add_stream("mjpeg", rate=1) for _ in range(covers)]
        for cover in attached:
            cover.width = cover.height = 64
            cover.pix_fmt = "yuvj420p"
            cover.disposition = Disposition.attached_pic
        stream = container.add_stream("aac", rate=44_100)
        for cover in attached:
            black = np.zeros((64, 64, 3), np.uint8)
            container.mux(cover.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44_100
        for number in range(43):
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def noise(count: int, height: int = 64, width: int = 96) -> list[Picture]:
    """Pictures that compress badly, so that each frame has its share of the file."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(count)]


def _changed(packet: Any, data: bytes) -> Any:
    changed = av.Packet(data)
    changed.stream, changed.time_base = packet.stream, packet.time_base
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.is_keyframe = packet.is_keyframe
    return changed
