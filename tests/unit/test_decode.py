import struct

import numpy as np
import pytest
import simplejpeg

from contract.errors import InvalidMessageError
from contract.frame import I420
from segmentation.decode import decode_image
from tests.fakes import jpeg, make_frame

PIXELS = 4096 * 2304


def test_a_jpeg_becomes_rgb_pixels() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    image = decode_image(make_frame(data=simplejpeg.encode_jpeg(red)), max_pixels=PIXELS)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert abs(image.astype(int) - red).max() <= 3


def test_an_i420_image_becomes_rgb_pixels() -> None:
    # BT.601, limited range: Y 82, U 90, V 240 is pure red.
    planes = bytes([82]) * 64 * 48 + bytes([90]) * 32 * 24 + bytes([240]) * 32 * 24
    image = decode_image(make_frame(data=planes, content_type=I420), max_pixels=PIXELS)
    assert image.shape == (48, 64, 3)
    assert abs(image[0, 0].astype(int) - [255, 0, 0]).max() <= 3


def _truncated() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    return simplejpeg.encode_jpeg(noise)[:-1500]


@pytest.mark.parametrize(
    "data",
    [b"no image", jpeg()[:40], jpeg()[:2] + b"\0" * 300, _truncated()],
    ids=["not a JPEG", "truncated header", "garbage after the magic", "truncated pixels"],
)
def test_bytes_that_do_not_decode_are_corrupt(data: bytes) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode_image(make_frame(data=data), max_pixels=PIXELS)
    assert caught.value.reason == "corrupt_image"


@pytest.mark.parametrize(
    ("width", "height", "content_type", "data"),
    [
        (64, 64, "image/jpeg", jpeg()),
        (64, 48, I420, b"\0" * (64 * 48)),
        (64, 48, I420, b"\0" * (64 * 48 * 3 // 2 + 1)),
        (63, 48, I420, b"\0" * (63 * 48 * 3 // 2)),
    ],
    ids=["JPEG", "I420 too short", "I420 too long", "I420 of odd width"],
)
def test_a_size_other_than_the_headers_is_a_mismatch(
    width: int, height: int, content_type: str, data: bytes
) -> None:
    frame = make_frame(width=width, height=height, content_type=content_type, data=data)
    with pytest.raises(InvalidMessageError) as caught:
        decode_image(frame, max_pixels=PIXELS)
    assert caught.value.reason == "size_mismatch"


def test_a_frame_above_the_pixel_limit_is_refused() -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode_image(make_frame(width=8000, height=8000, data=jpeg()), max_pixels=PIXELS)
    assert caught.value.reason == "too_many_pixels"


def test_a_small_file_that_claims_a_huge_image_is_refused_before_decoding() -> None:
    # The size field of the start-of-frame segment (ITU-T T.81, B.2.2) says 65500 x 65500.
    bomb = bytearray(jpeg())
    start = bomb.index(b"\xff\xc0")
    bomb[start + 5 : start + 9] = struct.pack(">HH", 65500, 65500)
    with pytest.raises(InvalidMessageError) as caught:
        decode_image(make_frame(data=bytes(bomb)), max_pixels=PIXELS)
    assert caught.value.reason == "size_mismatch"
