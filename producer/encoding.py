"""Decoded frame in, JPEG or I420 bytes out: upright, scaled, colour range, compression."""

import math
import re
from dataclasses import replace
from fractions import Fraction
from logging import getLogger
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from contract.frame import I420, JPEG, MAX_FRAME_PIXELS, MAX_SIDE_PIXELS
from media.frames import Upright
from producer.camera_pictures import SourceError
from producer.cameras import Camera

log = getLogger("seedstream.producer.camera")

_SQUARE = Fraction(1)

_BT601 = frozenset({2, 5, 6})
"""Matrices that are that of JFIF (ITU-T H.273, table 4: BT.470 BG, SMPTE 170M); 2 says nothing,
which counts as such, as for FFmpeg."""

_PLANAR_8_BITS = re.compile(r"yuvj?4\d\dp|nv\d\d|gray")
"""Formats whose first plane is brightness, a byte each."""


_TO_FULL = ((255 / 219, -16 * 255 / 219), (255 / 224, 128 - 128 * 255 / 224))
"""Factor and summand that spread limited brightness and colour over 255 levels (ITU-T T.871)."""


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


def within(width: int, height: int, most_pixels: int) -> tuple[int, int]:
    """Return the size to which a frame must be scaled down so that it has at most that many pixels.

    Sides are even where anything is scaled.
    """
    if width * height <= most_pixels:
        return width, height
    scale = math.sqrt(most_pixels / (width * height))
    return max(int(width * scale) // 2 * 2, 2), max(int(height * scale) // 2 * 2, 2)


class PictureEncoder:
    """Encodes the frames of one camera, upright and of square pixels; used by one thread at a time.

    JPEG is made from the YUV planes: JFIF wants full range and BT.601 (ITU-T T.871), which most
    cameras do not send, so range and matrix are converted where they differ. Raw I420 leaves in
    limited range and BT.601, which is what OpenCV's I420 conversion expects.

    Args:
        camera: Its size, shape, encoding and quality.
        max_pixels: Largest frame; larger ones are scaled down, which is logged once.
    """

    def __init__(self, camera: Camera, max_pixels: int = MAX_FRAME_PIXELS) -> None:
        self._camera = camera
        self._max_pixels = max_pixels
        self._reformatter = VideoReformatter()
        self._told = False
        self.content_type = JPEG if camera.encoding == "jpeg" else I420

    def encode(self, image: Any, pixel_aspect: Fraction = _SQUARE) -> tuple[bytes, int, int]:
        """Return the encoded bytes, width and height of an ``av.VideoFrame``.

        Args:
            image: The frame.
            pixel_aspect: Width of its pixels over their height.

        Raises:
            SourceError: The frame is larger than a record may describe, smaller than what is to be
                cut out of it, or cannot be converted.
        """
        upright = shown_as(self._camera, image, pixel_aspect)
        if self._as_stored(image, upright):
            data = self._compressed([_full_range(plane, n) for n, plane in enumerate(image.planes)])
            return data, image.width, image.height
        shown = upright.size(image.width, image.height)
        left, top, *part = self._part(shown)
        width, height = size = self._size(*part)
        if self._camera.crop is not None and (width > part[0] or height > part[1]):
            # Only the part is scaled up: the rest of the picture may be a thousand times as large.
            width, height = (min(*sides) // 2 * 2 for sides in zip(size, part, strict=True))
        # The whole picture is scaled as its part is, and turned after that: fewer pixels to move.
        across, down = width / part[0], height / part[1]
        x, y = round(left * across) // 2 * 2, round(top * down) // 2 * 2
        whole = max(round(shown[0] * across), x + width), max(round(shown[1] * down), y + height)
        lying = whole[::-1] if upright.quarter_turns % 2 else whole
        converted = self._converted(image, lying, color_range(image))
        planes = []
        for plane, step in zip(converted.planes, (1, 2, 2), strict=True):
            rows = slice(y // step, (y + height + step - 1) // step)
            columns = slice(x // step, (x + width + step - 1) // step)
            planes.append(upright.turn(_plane(plane))[rows, columns])
        if (width, height) != size:
            planes = self._scaled_up(planes, size)
        if self._camera.encoding == "jpeg":
            data = self._compressed([np.ascontiguousarray(plane) for plane in planes])
        else:
            data = b"".join(plane.tobytes() for plane in planes)
        return data, *size

    def _as_stored(self, image: Any, upright: Upright) -> bool:
        """Return whether a frame lacks nothing of what a JPEG is made from but the full range.

        Most cameras' do: FFmpeg's conversion would pass the planes through its scaler for that.
        """
        camera = self._camera
        size = image.width, image.height
        return (
            camera.encoding == "jpeg"
            and camera.crop is None
            and upright.changes_nothing
            and image.format.name == "yuv420p"
            and int(image.colorspace) in _BT601
            and color_range(image) == ColorRange.MPEG
            and self._size(*size) == size
        )

    def _compressed(self, planes: list[npt.NDArray[np.uint8]]) -> bytes:
        """Return the JPEG of planes in full range."""
        data: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=self._camera.jpeg_quality)
        return data

    def _converted(self, image: Any, size: tuple[int, int], source_range: int) -> Any:
        """Return an ``av.VideoFrame`` as planes of 4:2:0, of ``size`` and in the range to publish.

        Raises:
            SourceError: FFmpeg cannot convert it.
        """
        jpeg = self._camera.encoding == "jpeg"
        try:
            return self._reformatter.reformat(
                image,
                width=size[0],
                height=size[1],
                format="yuvj420p" if jpeg else "yuv420p",
                src_color_range=source_range,
                dst_color_range=ColorRange.JPEG if jpeg else ColorRange.MPEG,
                dst_colorspace=Colorspace.ITU601,
                threads=1,
            )
        except av.error.FFmpegError as error:
            raise SourceError(
                f"a picture of {image.width}x{image.height} pixels ({image.format.name}) cannot "
                f"be made one of {size[0]}x{size[1]}: {error.strerror}"
            ) from None

    def _scaled_up(
        self, planes: list[npt.NDArray[np.uint8]], size: tuple[int, int]
    ) -> list[npt.NDArray[np.uint8]]:
        """Return the planes of a picture of even sides that are scaled to (width, height)."""
        width = planes[0].shape[1]
        packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
        jpeg = self._camera.encoding == "jpeg"
        image = av.VideoFrame.from_ndarray(packed, format="yuvj420p" if jpeg else "yuv420p")
        image.colorspace = Colorspace.ITU601
        scaled = self._converted(image, size, ColorRange.JPEG if jpeg else ColorRange.MPEG)
        return [_plane(plane) for plane in scaled.planes]

    def _part(self, shown: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the x, y, width and height of what is published, in the picture as shown."""
        if self._camera.crop is None:
            return 0, 0, *shown
        x, y, width, height = self._camera.crop
        if x + width > shown[0] or y + height > shown[1]:
            raise SourceError(
                f"crop {list(self._camera.crop)} leaves the picture, which has "
                f"{shown[0]}x{shown[1]} pixels"
            )
        return self._camera.crop

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to publish what has the size ``width`` and ``height`` in."""
        wanted = target_size(self._camera, width, height)
        if max(wanted) > MAX_SIDE_PIXELS:
            raise SourceError(
                f"frames of {wanted[0]}x{wanted[1]} pixels, at most {MAX_SIDE_PIXELS} a side: "
                "set max_side"
            )
        size = within(*wanted, self._max_pixels)
        if size != wanted and not self._told:
            self._told = True
            log.warning(
                "camera %s: frames of %dx%d pixels are scaled down to %dx%d: workers take at most "
                "%d pixels (PRODUCER_MAX_FRAME_PIXELS, WORKER_MAX_FRAME_PIXELS)",
                self._camera.id,
                *wanted,
                *size,
                self._max_pixels,
            )
        return size


def shown_as(camera: Camera, image: Any, pixel_aspect: Fraction) -> Upright:
    """Return how a frame is turned and stretched: as the camera's settings say, else as it says."""
    upright = replace(Upright.of(image), pixel_aspect=pixel_aspect)
    if camera.rotate is not None:
        upright = replace(upright, quarter_turns=camera.rotate // 90, flipped=False)
    if camera.aspect is not None:
        width, height = map(int, camera.aspect.split(":"))
        if upright.quarter_turns % 2:
            width, height = height, width
        shape = Fraction(width * image.height, height * image.width)
        upright = replace(upright, pixel_aspect=shape)
    return upright


def color_range(image: Any) -> int:
    """Return the frame's range: unmarked YUV is limited, but for the formats that say full."""
    if image.color_range != ColorRange.UNSPECIFIED:
        return int(image.color_range)
    full = image.format.name.startswith(("yuvj", "gray")) or image.format.is_rgb
    return int(ColorRange.JPEG if full else ColorRange.MPEG)


def luma_of(image: Any) -> npt.NDArray[np.uint8]:
    """Return the brightness of an ``av.VideoFrame``, (height, width), in its own range."""
    if not _PLANAR_8_BITS.fullmatch(image.format.name):
        image = image.reformat(format="gray", threads=1)
    return _plane(image.planes[0])


def _full_range(plane: Any, index: int) -> npt.NDArray[np.uint8]:
    """Return a plane of limited range in full range; of Y, U and V the first is brightness."""
    factor, summand = _TO_FULL[min(index, 1)]
    pixels = _plane(plane)
    # Vector instructions, in half the time of a table.
    full = cv2.addWeighted(pixels, factor, pixels, 0.0, summand)
    return np.asarray(full, np.uint8)


def _plane(plane: Any) -> npt.NDArray[np.uint8]:
    """Return a plane's pixels, without the padding at the end of its rows, (height, width)."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
