"""Pictures of cameras that send JPEG, published as they are where nothing has to change.

What a worker would refuse must not be passed on, and only decoding shows that for certain, which
costs more than passing on may. So the markers of all pictures are looked at; the first pictures are
decoded small as well, then every fourth, and after a broken one all of them again until enough in a
row are sound.
"""

from fractions import Fraction

from contract.errors import InvalidMessageError
from contract.frame import MAX_SIDE_PIXELS
from media.decodable_jpeg import decode_small_luma, jpeg_size
from media.plain_jpeg import PlainJpeg, plain_jpeg
from producer.camera_pictures import CameraJpeg
from producer.cameras import Camera
from producer.encoding import target_size, within
from producer.motion_gate import WIDTH

_SQUARE = Fraction(1)

_PROBATION = 32
"""Sound pictures in a row after which not every one is decoded."""

_EVERY = 4
"""Of a trusted camera, which pictures are decoded small: every fourth."""


class JpegPassage:
    """Tells which pictures of one connection need no change; used by one thread.

    Args:
        camera: Its size, shape, encoding, and whether it may pass on pictures at all.
        every: Of a trusted camera, one in so many pictures is decoded small.
        possible: Whether the stream around the pictures asks for no change either.
    """

    def __init__(self, camera: Camera, every: int = _EVERY, *, possible: bool = True) -> None:
        self._camera = camera
        self._every = every
        self._doubted = _PROBATION
        self._unseen = 0
        self._least_width = 1 if camera.motion is None else WIDTH
        self._possible = (
            possible
            and camera.pass_through
            and camera.encoding == "jpeg"
            and camera.crop is None
            and camera.aspect is None
            and not camera.rotate
        )

    def take(self, data: bytes, pixel_aspect: Fraction = _SQUARE) -> CameraJpeg | None:
        """Return what to publish as it is; None if the picture must be decoded.

        Args:
            data: What the camera sent.
            pixel_aspect: Width of a pixel over its height.
        """
        if not self._possible or pixel_aspect != _SQUARE:
            return None
        jpeg = plain_jpeg(data)
        if jpeg is None or not self._fits(jpeg):
            return None
        try:
            if jpeg_size(jpeg.data) != (jpeg.width, jpeg.height):
                return None
            luma = None
            if self._decode_now():
                luma = decode_small_luma(jpeg.data, self._least_width)
        except InvalidMessageError:
            self._doubted = _PROBATION
            return None
        self._doubted = max(0, self._doubted - 1)
        return CameraJpeg(jpeg.data, jpeg.width, jpeg.height, luma)

    def _decode_now(self) -> bool:
        self._unseen += 1
        if not self._doubted and self._unseen < self._every and self._camera.motion is None:
            return False
        self._unseen = 0
        return True

    def _fits(self, jpeg: PlainJpeg) -> bool:
        """Return whether the picture has the size in which it would be published."""
        size = jpeg.width, jpeg.height
        if max(size) > MAX_SIDE_PIXELS:
            return False
        return within(*target_size(self._camera, *size), self._camera.max_frame_pixels) == size
