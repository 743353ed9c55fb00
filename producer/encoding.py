"""Decoded frame in, JPEG or I420 bytes out: scaling, colour range, compression."""

from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from contract.frame import I420, JPEG, MAX_SIDE_PIXELS
from producer.cameras import Camera
from producer.sources import SourceError


def target_size(camera: Camera, width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) in pixels to which a frame of that size is scaled.

    Sides are even (4:2:0 chroma) whenever anything is scaled, and for raw I420 always.

    Args:
        camera: Its ``width``, ``height`` and ``max_side``.
        width: Captured width in pixels.
        height: Captured height in pixels.
    """
    if camera.max_side is not None:
        scale = min(1.0, camera.max_side / max(width, height))
        wanted = (width * scale, height * scale)
    elif camera.width and camera.height:
        wanted = (float(camera.width), float(camera.height))
    elif camera.width:
        wanted = (float(camera.width), height * camera.width / width)
    elif camera.height:
        wanted = (width * camera.height / height, float(camera.height))
    else:
        wanted = (float(width), float(height))
    if wanted == (width, height) and camera.encoding == "jpeg":
        return width, height
    # Downwards, so that max_side holds even where it is odd.
    return max(int(wanted[0]) // 2 * 2, 2), max(int(wanted[1]) // 2 * 2, 2)


class PictureEncoder:
    """Encodes the frames of one camera; used by one thread at a time.

    JPEG is made from the YUV planes: JFIF wants full range and BT.601 (ITU-T T.871), which most
    cameras do not send, so range and matrix are converted where they differ. Raw I420 leaves in
    limited range and BT.601, which is what OpenCV's I420 conversion expects.

    Args:
        camera: Its size, encoding and quality.
    """

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._reformatter = VideoReformatter()
        self.content_type = JPEG if camera.encoding == "jpeg" else I420

    def encode(self, image: Any) -> tuple[bytes, int, int]:
        """Return the encoded bytes, width and height of an ``av.VideoFrame``.

        Raises:
            SourceError: The frame is larger than a record may describe.
        """
        width, height = target_size(self._camera, image.width, image.height)
        if max(width, height) > MAX_SIDE_PIXELS:
            raise SourceError(
                f"frames of {width}x{height} pixels, at most {MAX_SIDE_PIXELS} a side: set max_side"
            )
        jpeg = self._camera.encoding == "jpeg"
        converted = self._reformatter.reformat(
            image,
            width=width,
            height=height,
            format="yuvj420p" if jpeg else "yuv420p",
            src_color_range=_color_range(image),
            dst_color_range=ColorRange.JPEG if jpeg else ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU601,
            threads=1,
        )
        planes = [_plane(plane) for plane in converted.planes]
        if jpeg:
            data = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=self._camera.jpeg_quality)
        else:
            data = b"".join(plane.tobytes() for plane in planes)
        return data, width, height


def _color_range(image: Any) -> int:
    """Return the frame's range: unmarked YUV is limited, but for the formats that say full."""
    if image.color_range != ColorRange.UNSPECIFIED:
        return int(image.color_range)
    full = image.format.name.startswith(("yuvj", "gray")) or image.format.is_rgb
    return int(ColorRange.JPEG if full else ColorRange.MPEG)


def _plane(plane: Any) -> npt.NDArray[np.uint8]:
    """Return a plane's pixels, without the padding at the end of its rows, (height, width)."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
