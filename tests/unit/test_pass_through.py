"""Which pictures of a camera are published as they came, and that workers decode all of those."""

import io
from fractions import Fraction

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from contract.errors import InvalidMessageError
from media.decodable_jpeg import decode_rgb, decode_small_luma
from media.huffman_tables import STANDARD_TABLES
from media.plain_jpeg import plain_jpeg
from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.pass_through import JpegPassage
from producer.scene import Scene
from producer.settings import ProducerSettings
from tests.jpeg_files import segment

PICTURE = Scene(width=160, height=96, seed=1).render(0)[0]
JPEG = simplejpeg.encode_jpeg(PICTURE, quality=85, colorsubsampling="420")


def camera(**values: object) -> Camera:
    return load_cameras(ProducerSettings(), ["a=http://h/v"], {})[0].model_copy(update=values)


def written(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "JPEG", **options)  # type: ignore[arg-type]
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return written(exif=exif)


def without(marker: int) -> bytes:
    """Return the JPEG without its segments of a kind."""
    position, kept = 2, b"\xff\xd8"
    while JPEG[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(JPEG[position + 2 : position + 4], "big")
        kept += JPEG[position:end] if JPEG[position + 1] != marker else b""
        position = end
    return kept + JPEG[position:]


def with_segment(marker: int, payload: bytes) -> bytes:
    return JPEG[:2] + segment(marker, payload) + JPEG[2:]


def broken() -> bytes:
    """Return a JPEG whose headers and end are whole, but of its scan a third is missing."""
    return JPEG[: len(JPEG) * 2 // 3].rstrip(b"\xff") + JPEG[-2:]


def cmyk() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def test_a_plain_picture_is_passed_on_byte_by_byte_with_the_size_of_its_header() -> None:
    passed = JpegPassage(camera()).take(JPEG)
    assert passed is not None
    assert (passed.data, passed.width, passed.height) == (JPEG, 160, 96)


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
def test_every_subsampling_of_cameras_is_passed_on(subsampling: str) -> None:
    if subsampling == "Gray":
        data = simplejpeg.encode_jpeg(PICTURE[:, :, :1].copy(), colorspace="GRAY")
    else:
        data = simplejpeg.encode_jpeg(PICTURE, colorsubsampling=subsampling)
    passed = JpegPassage(camera()).take(data)
    assert passed is not None
    assert decode_rgb(passed.data).shape == (96, 160, 3)


def test_padding_behind_a_picture_is_left_out() -> None:
    passed = JpegPassage(camera()).take(JPEG + b"\0" * 30)
    assert passed is not None
    assert passed.data == JPEG


def test_motion_jpeg_without_huffman_tables_gets_the_standard_ones() -> None:
    bare = without(0xC4)
    assert b"\xff\xc4" not in bare
    passed = JpegPassage(camera()).take(bare)
    assert passed is not None
    assert STANDARD_TABLES in passed.data
    assert np.array_equal(decode_rgb(passed.data), decode_rgb(JPEG))
    with Image.open(io.BytesIO(passed.data)) as seen:
        assert seen.convert("RGB").size == (160, 96)


@pytest.mark.parametrize(
    "data",
    [
        written(progressive=True),
        turned(),
        JPEG[: len(JPEG) // 2],
        JPEG[:-2],
        JPEG + JPEG,
        without(0xDB),
        with_segment(0xFE, b"CS=ITU601"),
        with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0"),
        cmyk(),
        JPEG.replace(b"\xff\xd9", b"\xff\xc4\xff\xd9"),
        with_segment(0xC3, b"\x08\0\x60\0\xa0\3"),
        b"\xff\xd8\xff",
        b"no picture",
    ],
    ids=[
        *("progressive", "turned by EXIF", "cut", "without its end", "two fields"),
        *("no quantisation table", "limited range", "RGB", "CMYK", "a marker within the scan"),
        *("lossless", "a beginning", "no JPEG"),
    ],
)
def test_what_decoders_may_see_differently_is_decoded_and_encoded_again(data: bytes) -> None:
    assert plain_jpeg(data) is None
    assert JpegPassage(camera()).take(data) is None


@pytest.mark.parametrize(
    "values",
    [
        {"max_side": 80},
        {"width": 80},
        {"crop": (0, 0, 64, 64)},
        {"rotate": 90},
        {"aspect": "16:9"},
        {"encoding": "i420"},
        {"pass_through": False},
    ],
    ids=str,
)
def test_a_picture_in_which_something_has_to_change_is_not_passed_on(
    values: dict[str, object],
) -> None:
    assert JpegPassage(camera(**values)).take(JPEG) is None


def test_settings_that_change_nothing_do_not_matter() -> None:
    same = camera(max_side=160, rotate=0, jpeg_quality=20)
    assert JpegPassage(same).take(JPEG) is not None
    assert JpegPassage(camera()).take(JPEG, Fraction(4, 3)) is None, "its pixels are not square"


def test_a_picture_larger_than_workers_take_is_not_passed_on() -> None:
    assert JpegPassage(camera().carried(1, 160 * 96)).take(JPEG) is not None
    assert JpegPassage(camera().carried(1, 160 * 96 - 1)).take(JPEG) is None


def test_a_small_decode_refuses_what_a_worker_refuses() -> None:
    assert plain_jpeg(broken()) is not None, "its markers are in order"
    for decode in (decode_rgb, decode_small_luma):
        with pytest.raises(InvalidMessageError, match="broken"):
            decode(broken())


def test_a_camera_that_breaks_pictures_loses_its_trust_until_enough_are_sound() -> None:
    passage = JpegPassage(camera())
    assert passage.take(broken()) is None, "a new camera's pictures are all decoded"
    for _ in range(32):
        assert passage.take(JPEG) is not None
    told = [passage.take(broken()) is None for _ in range(8)]
    assert True in told[:4], "within four"
    assert all(told[told.index(True) :]), "and then none any more"


def test_a_camera_with_a_motion_gate_has_all_its_pictures_decoded() -> None:
    passage = JpegPassage(camera(motion={}))
    for _ in range(80):
        passed = passage.take(JPEG)
        assert passed is not None
        assert passed.luma is not None
    assert passed.luma.shape == (96, 160), "as small as the gate looks at it"
    assert passage.take(broken()) is None
