"""Pictures out of a multipart stream, however it is cut into pieces."""

import io
import time

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from producer.multipart import MultipartError, MultipartReader, Part

NOISE = np.random.default_rng(0).integers(0, 256, (10, 60, 80, 3), dtype=np.uint8)
JPEGS = [simplejpeg.encode_jpeg(image) for image in NOISE]


def body(
    jpegs: list[bytes],
    *,
    boundary: bytes = b"--frame",
    first: bool = True,
    headers: bool = True,
    length: int = 0,
    newline: bytes = b"\r\n",
) -> bytes:
    """``length`` is added to the announced ones, which are left out where it is not 0."""
    whole = b""
    for number, jpeg in enumerate(jpegs):
        whole += boundary + newline if number or first else b""
        whole += b"Content-Type: image/jpeg" + newline if headers else b""
        whole += b"Content-Length: %d" % (len(jpeg) + length) + newline if headers else b""
        whole += newline + jpeg + newline
    return whole


def read(whole: bytes, boundary: str = "frame", step: int = 1000) -> list[Part]:
    reader = MultipartReader(boundary, 1_000_000)
    parts = [
        part
        for start in range(0, len(whole), step)
        for part in reader.feed(whole[start : start + step])
    ]
    last = reader.finish()
    return parts if last is None else [*parts, last]


@pytest.mark.parametrize("boundary", ["frame", "--frame", '"frame"', ""])
@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"first": False},
        {"boundary": b"frame"},
        {"headers": False},
        {"newline": b"\n"},
        {"boundary": b"frame", "headers": False, "first": False},
        {"length": 100},
        {"length": -100},
    ],
    ids=str,
)
def test_all_pictures_are_found_whole(variant: dict[str, object], boundary: str) -> None:
    assert read(body(JPEGS, **variant), boundary) == [Part(jpeg, False) for jpeg in JPEGS]  # type: ignore[arg-type]


@given(st.integers(1, 400))
@settings(max_examples=30, deadline=None)
def test_it_does_not_matter_where_the_stream_is_cut_into_pieces(step: int) -> None:
    jpegs = list(JPEGS)
    for number in range(1, 10, 3):
        jpegs[number] = jpegs[number][:-500]
    parts = read(body(jpegs), step=step)
    assert [part.cut for part in parts] == [number % 3 == 1 for number in range(10)]
    assert [part.data for part in parts if not part.cut] == [
        jpeg for number, jpeg in enumerate(jpegs) if number % 3 != 1
    ]


@pytest.mark.parametrize("headers", [True, False])
def test_a_picture_that_the_end_of_the_stream_cuts_is_told(headers: bool) -> None:
    parts = read(body(JPEGS[:3], headers=headers)[:-200])
    assert [part.cut for part in parts] == [False, False, True]


def test_a_picture_is_there_as_soon_as_its_last_byte_is() -> None:
    reader = MultipartReader("frame", 1_000_000)
    whole = body(JPEGS[:1], headers=False).removesuffix(b"\r\n")
    assert list(reader.feed(whole[:-1])) == []
    assert list(reader.feed(whole[-1:])) == [Part(JPEGS[0], False)]


def test_the_end_marker_of_a_thumbnail_ends_no_picture() -> None:
    exif = Image.Exif()
    thumbnail = JPEGS[0]
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    file = io.BytesIO()
    Image.fromarray(NOISE[1]).save(file, "JPEG", progressive=True, exif=exif)
    picture = b"\xff\xd8" + segment + file.getvalue()[2:]
    assert read(body([picture, JPEGS[2]])) == [Part(picture, False), Part(JPEGS[2], False)]


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (b"--frame\r\nContent-Length: 2000000\r\n\r\n\xff\xd8\xff", "2000000 bytes is announced"),
        (b"--frame\r\n\r\n\xff\xd8\xff\xe0" + bytes(2_000_000), "does not end within 1000000"),
        (b"--frame\r\n\r\n" + bytes(2_000_000), "no JPEG pictures"),
    ],
)
def test_what_is_too_large_or_no_picture_is_refused(whole: bytes, reason: str) -> None:
    with pytest.raises(MultipartError, match=reason):
        read(whole)


@given(st.binary(max_size=3000), st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_noise_gives_what_it_gives_and_no_surprise(noise: bytes, step: int) -> None:
    for part in read(b"--frame\r\n\r\n" + noise, step=step):
        assert part.data.startswith(b"\xff\xd8\xff")
        assert part.cut or part.data.endswith(b"\xff\xd9")


def test_a_flood_of_one_byte_is_read_in_time_that_its_length_alone_decides() -> None:
    reader = MultipartReader("frame", 10_000_000)
    list(reader.feed(b"\xff\xd8\xff\xda\x00\x04\x00\x00\x11"))
    began = time.thread_time()
    for _ in range(20):
        assert list(reader.feed(b"\xff" * 65_536)) == []
    assert time.thread_time() - began < 2, "the square of it takes minutes"


@pytest.mark.parametrize("name", ["x", "-", "aB", "abc"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_a_short_boundary_is_not_found_within_the_pictures(name: str, newline: bytes) -> None:
    jpegs = [
        jpeg[:-20] + b"\n" + name.encode() + b"\x01\n--" + name.encode() + b"\x02" + jpeg[-20:]
        for jpeg in JPEGS
    ]
    whole = body(jpegs, boundary=b"--" + name.encode(), newline=newline)
    assert read(whole, name) == [Part(jpeg, False) for jpeg in jpegs]
    halves = [jpeg[: len(jpeg) // 2] for jpeg in JPEGS[:3]]
    parts = read(body(halves, boundary=b"--" + name.encode(), newline=newline), name)
    assert [part.cut for part in parts] == [True] * 3
