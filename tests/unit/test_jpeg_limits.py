"""Which JPEGs are refused before they are decoded, and that nothing hides a scan."""

import io
import time
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from contract.errors import InvalidMessageError
from media.jpeg_limits import MAX_SCANS, MAX_SEGMENTS, jpeg_fault
from media.picture_files import UnreadableInputError
from media.pictures import read_image
from producer.jpeg_streams import PictureDecoder
from producer.sources import AvSource
from segmentation.decode import decode_image
from tests.fakes import jpeg, make_frame
from tests.jpeg_files import (
    ARITHMETIC,
    BASELINE,
    EOI,
    HIERARCHICAL,
    LOSSLESS,
    PROGRESSIVE,
    SOI,
    scan,
    scan_bomb,
    segment,
    start_of_frame,
    tables,
)
from tests.unit.test_producer_sources import camera

SIDE = 64
FIRST = scan((1, 2, 3))
AGAIN = scan((1,), first=1, last=63)


def picture(*segments: bytes, kind: int = PROGRESSIVE, bits: int = 8) -> bytes:
    frame = start_of_frame(SIDE, SIDE, kind, bits=bits)
    return SOI + tables() + frame + b"".join(segments) + EOI


def reason(data: bytes) -> str | None:
    fault = jpeg_fault(data)
    return None if fault is None else fault.reason


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (scan_bomb(3072, 3072, 30_000), "too_many_scans"),
        (picture(FIRST, *[AGAIN] * MAX_SCANS), "too_many_scans"),
        (picture(*[scan((1,), last=63)] * 33, kind=BASELINE), "too_many_scans"),
        (picture(FIRST, kind=ARITHMETIC), "unsupported_jpeg"),
        (picture(segment(0xCC, b"\0\0"), FIRST), "unsupported_jpeg"),
        (picture(FIRST, kind=LOSSLESS), "unsupported_jpeg"),
        (picture(FIRST, kind=0xF7), "unsupported_jpeg"),
        (picture(FIRST, kind=HIERARCHICAL), "unsupported_jpeg"),
        (picture(FIRST, bits=12), "unsupported_jpeg"),
        (picture(FIRST, segment(0xDC, b"\0\x40")), "unsupported_jpeg"),
        (picture(*[segment(0xFE, b"")] * 1_000_000, FIRST), "too_many_segments"),
        (picture(*[segment(0xE5, b"x" * 100)] * MAX_SEGMENTS, FIRST), "too_many_segments"),
        (picture(*[tables()] * MAX_SEGMENTS, FIRST), "too_many_segments"),
        (SOI * 10_000 + picture(FIRST), "too_many_segments"),
    ],
    ids=[
        "30,000 scans", "one scan too many", "baseline scans repeated", "arithmetic coding",
        "arithmetic conditioning", "lossless", "JPEG-LS", "hierarchical", "12 bits",
        "height at the end", "a million comments", "application data", "tables",
        "starts of image",
    ],
)  # fmt: skip
def test_a_jpeg_that_may_cost_more_than_it_tells_is_refused_before_it_is_decoded(
    data: bytes, expected: str
) -> None:
    began = time.process_time()
    width, height = (
        (3072, 3072) if len(data) > 250_000 and expected == "too_many_scans" else (64, 64)
    )
    with pytest.raises(InvalidMessageError) as caught:
        decode_image(make_frame(data=data, width=width, height=height), max_pixels=10_000_000)
    assert caught.value.reason == expected
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "between",
    [
        b"\xff" * 999,
        b"\0garbage",
        b"\xff\0\xff\0",
        b"\xff\xd0\xff\xd7",
        b"\xff\x01",
        b"\xff\x02\xff\xff",
        b"\xff\xfd\xff\xff",
        segment(0xE1, EOI + SOI),
        segment(0xFE, b"\xff\xd9" * 300),
        b"\xff\xe0\0\0",
    ],
    ids=[
        "fill bytes", "garbage", "stuffed bytes", "restarts", "TEM", "reserved", "extension",
        "a thumbnail's end", "ends in a comment", "a length of 0",
    ],
)  # fmt: skip
def test_nothing_between_the_scans_hides_them(between: bytes) -> None:
    assert reason(picture(*[between + AGAIN] * 100)) == "too_many_scans"
    assert reason(SOI + EOI + between + picture(*[AGAIN] * 100)) == "too_many_scans"


def progressive(**options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", progressive=True, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        jpeg(height=SIDE, width=SIDE),
        progressive(),
        progressive(subsampling=0, quality=30, restart_marker_blocks=1),
        progressive(comment=b"\xff\xda" * 1000, exif=b"Exif\0\0" + scan_bomb(8, 8, 500)[:60_000]),
        progressive() + b"\xff\xc9" + scan_bomb(),
    ],
    ids=["baseline", "progressive", "a restart each block", "markers in headers", "a tail"],
)
def test_what_encoders_write_is_decoded(data: bytes) -> None:
    image = decode_image(make_frame(data=data, width=SIDE, height=SIDE), max_pixels=10_000)
    np.testing.assert_array_equal(image, simplejpeg.decode_jpeg(data, "RGB"))


@pytest.mark.parametrize("data", [b"", b"no image", SOI, b"\xff" * 50_000, jpeg()[:100]])
def test_what_is_no_jpeg_is_left_to_the_decoder(data: bytes) -> None:
    assert reason(data) is None


def test_the_second_field_of_an_interlaced_frame_is_looked_at_too() -> None:
    field = jpeg()
    bomb = picture(*[AGAIN] * 100)
    assert jpeg_fault(field + field, fields=2) is None
    assert jpeg_fault(field + b"\0" * 60 + bomb, fields=2) is not None
    assert jpeg_fault(field + bomb) is None, "libjpeg stops at the first end"
    assert jpeg_fault(field + field + bomb, fields=2) is None, "and FFmpeg at the second"


def test_a_camera_that_sends_a_bomb_loses_that_picture_alone() -> None:
    decoder = PictureDecoder("mjpeg")
    began = time.process_time()
    assert decoder.decode(scan_bomb()) is None
    assert time.process_time() - began < 1
    assert decoder.decode(jpeg()) is not None


def test_a_bomb_in_a_stream_of_jpegs_is_a_packet_that_does_not_decode(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, data in enumerate([jpeg(), scan_bomb(64, 48, 500), jpeg(), jpeg()]):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            container.mux(packet)
    bad: list[None] = []
    source = AvSource(camera(path), lambda: bad.append(None))
    assert len(list(source.pictures())) == 3
    source.close()
    assert len(bad) == 1


def test_a_bomb_in_a_folder_is_a_fault_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(scan_bomb())
    began = time.process_time()
    with pytest.raises(UnreadableInputError, match="more than 32 scans"):
        read_image(path)
    assert time.process_time() - began < 1
