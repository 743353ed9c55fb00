"""Display matrices, pixel shapes, the choice of a stream, JPEGs that were cut."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from media.frames import Upright, best_video_stream, cut_jpeg, pixel_aspect, read_matrix

ONE = 1 << 16

# What `ffprobe` calls rotation, and what is seen: the picture's right and lower side point to ...
MATRICES = {
    "as it is": ((ONE, 0, 0, ONE), (0, False)),
    "a quarter clockwise": ((0, ONE, -ONE, 0), (1, False)),
    "upside down": ((-ONE, 0, 0, -ONE), (2, False)),
    "a quarter counterclockwise": ((0, -ONE, ONE, 0), (3, False)),
    "left and right swapped": ((-ONE, 0, 0, ONE), (0, True)),
    "top and bottom swapped": ((ONE, 0, 0, -ONE), (2, True)),
    "rows become columns": ((0, ONE, ONE, 0), (3, True)),
    "rows become columns, the other way": ((0, -ONE, -ONE, 0), (1, True)),
}


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()


def mapped(picture: NDArray[np.int64], a: int, b: int, c: int, d: int) -> NDArray[np.int64]:
    """Move each pixel by the matrix itself, then shift the whole back to the origin."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    to_x, to_y = (a * x + c * y) // ONE, (b * x + d * y) // ONE
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    shown = np.zeros((to_y.max() + 1, to_x.max() + 1), picture.dtype)
    shown[to_y, to_x] = picture
    return shown


@pytest.mark.parametrize(("elements", "expected"), MATRICES.values(), ids=MATRICES.keys())
def test_a_display_matrix_moves_each_pixel_to_its_place(
    elements: tuple[int, int, int, int], expected: tuple[int, bool]
) -> None:
    assert read_matrix(matrix(*elements)) == expected
    picture = np.arange(12).reshape(3, 4)
    upright = Upright(*expected)
    np.testing.assert_array_equal(upright.turn(picture), mapped(picture, *elements))
    assert upright.size(4, 3) == mapped(picture, *elements).shape[::-1]
    assert upright.changes_nothing == (expected == (0, False))


def test_an_oblique_matrix_is_rounded_to_a_quarter_turn_and_an_empty_one_is_none() -> None:
    slightly = round(np.cos(np.radians(80)) * ONE), round(np.sin(np.radians(80)) * ONE)
    assert read_matrix(matrix(slightly[0], slightly[1], -slightly[1], slightly[0])) == (1, False)
    assert read_matrix(matrix(0, 0, 0, 0)) == (0, False)
    assert read_matrix(b"short") == (0, False)


def test_colours_stay_beside_each_other_when_a_picture_is_turned() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    turned = Upright(quarter_turns=1).turn(picture)
    assert turned.shape == (4, 2, 3)
    np.testing.assert_array_equal(turned[0, 1], picture[0, 0])  # the upper left is at the right now


def test_wide_pixels_widen_the_picture_before_it_is_turned() -> None:
    wide = Upright(pixel_aspect=Fraction(16, 11))
    assert wide.size(704, 576) == (1024, 576)
    assert Upright(1, pixel_aspect=Fraction(16, 11)).size(704, 576) == (576, 1024)
    assert not wide.changes_nothing


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Write an MP4 of 64x32 stored pixels of 4:3, to be turned a quarter clockwise."""
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height = 64, 32
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(-90)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_frame_of_a_phone_says_how_it_is_shown(video: Path) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert Upright.of(frame, stream) == Upright(1, False, Fraction(4, 3))
        assert Upright.of(frame) == Upright(1, False)
        assert Upright.of(frame, stream).size(frame.width, frame.height) == (32, 85)


@pytest.mark.parametrize(
    ("told", "expected"),
    [(Fraction(0), 1), (Fraction(1, 180), 1), (Fraction(255), 1), (Fraction(8, 9), Fraction(8, 9))],
)
def test_a_senseless_pixel_shape_is_ignored(
    told: Fraction, expected: Fraction, tmp_path: Path
) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 32
        if told:
            stream.codec_context.sample_aspect_ratio = told
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert pixel_aspect(container.streams.video[0]) == expected


def write_streams(path: Path, streams: list[tuple[int, av.stream.Disposition]]) -> Path:
    """Write one frame into each of several streams: its width, its disposition."""
    with av.open(str(path), "w") as container:
        added = []
        for width, disposition in streams:
            stream = container.add_stream("mjpeg", rate=5)
            stream.width, stream.height, stream.pix_fmt = width, 32, "yuvj420p"
            stream.disposition = disposition
            added.append(stream)
        for stream in added:
            black = np.zeros((32, stream.width, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
            container.mux(stream.encode(None))
    return path


NONE, DEFAULT = av.stream.Disposition(0), av.stream.Disposition.default
COVER = av.stream.Disposition.attached_pic


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([(32, DEFAULT), (96, DEFAULT), (64, DEFAULT)], 96),
        ([(32, NONE), (64, DEFAULT), (96, NONE)], 64),
        ([(96, COVER), (32, NONE)], 32),
        ([(96, COVER), (96, COVER)], None),
    ],
    ids=["the largest", "the default", "not the cover", "covers alone"],
)
def test_the_best_stream_is_chosen(
    streams: list[tuple[int, av.stream.Disposition]], expected: int | None, tmp_path: Path
) -> None:
    with av.open(str(write_streams(tmp_path / "several.mp4", streams))) as container:
        chosen = best_video_stream(container)
        assert (chosen and chosen.codec_context.width) == expected


def jpeg(thumbnail: bool = False) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    if not thumbnail:
        return simplejpeg.encode_jpeg(picture, 90, "RGB")
    stored = io.BytesIO()
    exif = b"Exif\x00\x00" + simplejpeg.encode_jpeg(picture[:8, :8].copy(), 50, "RGB")
    Image.fromarray(picture).save(stored, "JPEG", exif=exif)
    return stored.getvalue()


@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_jpeg_is_cut_wherever_its_end_is_missing(thumbnail: bool) -> None:
    whole = jpeg(thumbnail)
    assert not cut_jpeg(whole)
    for length in (*range(0, 700, 7), len(whole) // 2, len(whole) - 2, len(whole) - 1):
        assert cut_jpeg(whole[:length])


def test_padding_after_a_jpeg_is_no_damage() -> None:
    for padding in (b"\x00", b"\r\n", bytes(500), b"--boundary"):
        assert not cut_jpeg(jpeg() + padding)


def test_of_two_fields_both_must_be_whole() -> None:
    assert not cut_jpeg(jpeg() + jpeg())
    assert not cut_jpeg(jpeg() + bytes(8) + jpeg())
    assert cut_jpeg(jpeg() + jpeg()[:500])


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, (0, False)),
        (2, (0, True)),
        (3, (2, False)),
        (4, (2, True)),
        (5, (3, True)),
        (6, (1, False)),
        (7, (1, True)),
        (8, (3, False)),
    ],
)
def test_a_jpeg_with_exif_says_how_it_is_shown(
    orientation: int, expected: tuple[int, bool]
) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(file, "JPEG", exif=exif)
    frame = av.CodecContext.create("mjpeg", "r").decode(av.Packet(file.getvalue()))[0]
    assert Upright.of(frame) == Upright(*expected)
