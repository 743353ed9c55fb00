import io
import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from contract.errors import InvalidMessageError
from contract.frame import I420
from media.decodable_jpeg import jpeg_size
from segmentation.decode import decode_image
from tests.fakes import jpeg, make_frame
from tests.jpeg_files import BASELINE, EOI, SOI, scan, segment, start_of_frame, tables

PIXELS = 4096 * 2304


def test_a_jpeg_becomes_rgb_pixels() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    image = decode_image(make_frame(data=simplejpeg.encode_jpeg(red)), max_pixels=PIXELS)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert abs(image.astype(int) - red).max() <= 3


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_every_sampling_that_encoders_write_is_decoded(sampling: str) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    data = simplejpeg.encode_jpeg(red, colorsubsampling=sampling)
    assert abs(decode_image(make_frame(data=data), max_pixels=PIXELS).astype(int) - red).max() <= 3


def test_chroma_of_every_fourth_line_is_decoded_though_the_library_has_no_name_for_it() -> None:
    # As who turns a 4:1:1 picture by 90 degrees writes it: units of 8x32 pixels, here of one
    # brightness each, higher by 8 from unit to unit ("10" + 7 bits: by so much; "0": by nothing).
    huffman = b"".join(
        segment(0xC4, bytes([table, 1, 1, *bytes(14), 0, 7])) for table in (0x00, 0x10)
    )
    unit = "10" + f"{64:07b}" + "0" + "00" * 3 + "00" * 2
    bits = unit * 16
    coded = int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big")
    start = start_of_frame(64, 48, BASELINE, factors=0x14)
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    pixels = scan((1, 2, 3), last=63, data=coded.replace(b"\xff", b"\xff\0"))
    data = SOI + jfif + tables() + huffman + start + pixels + EOI
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(data)  # once it does not, `header_size` can do without more
    assert jpeg_size(data) == (64, 48)
    image = decode_image(make_frame(data=data), max_pixels=PIXELS)
    assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert image[:32, ::8, 0].tolist() == [[136 + 8 * unit for unit in range(8)]] * 32


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
