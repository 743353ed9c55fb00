"""What is published is upright, of square pixels, cut and no larger than workers take."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg

from contract.frame import MAX_FRAME_PIXELS
from producer.camera_list import load_cameras
from producer.camera_pictures import Picture, SourceError
from producer.cameras import Camera
from producer.encoding import PictureEncoder, within
from producer.settings import ProducerSettings
from producer.sources import open_source
from workers.settings import WorkerSettings

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (30, 40, 220), (250, 250, 250)
CORNERS = {"upper left": RED, "upper right": GREEN, "lower left": BLUE, "lower right": WHITE}


def camera(url: str = "test:", **values: object) -> Camera:
    return load_cameras(ProducerSettings(), [f"a={url}"], {})[0].model_copy(update=values)


def corners(width: int = 128, height: int = 64) -> av.VideoFrame:
    """A picture whose quarters have the colours of ``CORNERS``."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def seen(data: bytes) -> list[str]:
    """Return the places, as stored, of the corners that are shown, row by row."""
    image = np.asarray(simplejpeg.decode_jpeg(data)).astype(int)
    height, width = image.shape[:2]
    found = []
    for row in (height // 4, height * 3 // 4):
        for column in (width // 4, width * 3 // 4):
            found.append(
                min(CORNERS, key=lambda name: np.abs(image[row, column] - CORNERS[name]).sum())
            )
    return found


UPRIGHT = ["upper left", "upper right", "lower left", "lower right"]
CLOCKWISE = ["lower left", "upper left", "lower right", "upper right"]
COUNTERCLOCKWISE = ["upper right", "lower right", "upper left", "lower left"]
MIRRORED = ["upper right", "upper left", "lower right", "lower left"]


def write(path: Path, rotation: int, *, flip: bool = False, aspect: Fraction | None = None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.bit_rate = 2_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation or flip:
            stream.set_display_rotation(rotation, hflip=flip)
        for _ in range(3):
            container.mux(stream.encode(corners()))
        container.mux(stream.encode())
    return path


def first(path: Path, **values: object) -> tuple[bytes, int, int]:
    source = open_source(camera(str(path)), lambda: None)
    picture = next(source.pictures())
    source.close()
    assert isinstance(picture, Picture)
    return PictureEncoder(camera(**values)).encode(picture.image, picture.pixel_aspect)


@pytest.mark.parametrize(
    ("rotation", "size", "expected"),
    [
        (0, (128, 64), UPRIGHT),
        (-90, (64, 128), CLOCKWISE),
        (90, (64, 128), COUNTERCLOCKWISE),
        (180, (128, 64), UPRIGHT[::-1]),
    ],
)
def test_a_video_that_says_how_it_is_turned_is_published_upright(
    rotation: int, size: tuple[int, int], expected: list[str], tmp_path: Path
) -> None:
    data, *got = first(write(tmp_path / "a.mp4", rotation))
    assert tuple(got) == size
    assert simplejpeg.decode_jpeg_header(data)[:2] == size[::-1]
    assert seen(data) == expected


def test_a_mirrored_video_is_published_as_it_should_be_seen(tmp_path: Path) -> None:
    assert seen(first(write(tmp_path / "a.mp4", 0, flip=True))[0]) == MIRRORED


def test_the_cameras_own_rotation_replaces_the_streams(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", -90)
    assert seen(first(path, rotate=0)[0]) == UPRIGHT
    assert seen(first(path, rotate=270)[0]) == COUNTERCLOCKWISE
    assert first(path, rotate=90) == first(path)


def test_wide_pixels_widen_the_picture_and_a_limit_holds_for_what_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", 0, aspect=Fraction(16, 11))
    assert first(path)[1:] == (186, 64)
    assert first(path, max_side=93)[1:] == (92, 32)
    assert seen(first(path)[0]) == UPRIGHT


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"aspect": "4:3"}, (84, 64)),
        ({"aspect": "16:9", "rotate": 90}, (64, 36)),
        ({"aspect": "1:1", "width": 32}, (32, 32)),
    ],
)
def test_the_cameras_own_shape_is_that_of_the_picture_as_shown(
    values: dict[str, object], size: tuple[int, int]
) -> None:
    data, *got = PictureEncoder(camera(**values)).encode(corners(), Fraction(2))
    assert got[0] / got[1] == pytest.approx(size[0] / size[1], rel=0.03)
    assert simplejpeg.decode_jpeg_header(data)[:2] == tuple(got[::-1])


@pytest.mark.parametrize("encoding", ["jpeg", "i420"])
def test_a_part_is_cut_out_of_the_upright_picture(encoding: str) -> None:
    values = {"rotate": 90, "crop": (0, 64, 32, 64), "encoding": encoding}
    data, *size = PictureEncoder(camera(**values)).encode(corners())
    assert size == [32, 64]
    if encoding == "jpeg":
        assert set(seen(data)) == {"lower right"}
    else:
        assert len(data) == 32 * 64 * 3 // 2


def test_a_part_is_scaled_and_its_limit_is_its_own() -> None:
    image = corners(640, 320)
    encoder = PictureEncoder(camera(crop=(320, 0, 320, 320), max_side=80))
    data, *size = encoder.encode(image)
    assert size == [80, 80]
    assert seen(data) == ["upper right", "upper right", "lower right", "lower right"]


def test_a_part_outside_the_picture_is_refused_with_both_sizes() -> None:
    with pytest.raises(SourceError, match=r"crop \[100, 0, 64, 64\] leaves the picture.*128x64"):
        PictureEncoder(camera(crop=(100, 0, 64, 64))).encode(corners())


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(33, 17), (130, 65)])
def test_odd_sizes_survive_a_turn(rotate: int, width: int, height: int) -> None:
    data, *size = PictureEncoder(camera(rotate=rotate)).encode(corners(width, height))
    assert size == ([height, width] if rotate % 180 else [width, height])
    assert simplejpeg.decode_jpeg_header(data)[:2] == tuple(size[::-1])


def test_frames_beyond_the_workers_limit_are_scaled_down_and_the_first_one_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = PictureEncoder(camera(), 100 * 100)
    for _ in range(3):
        data, width, height = encoder.encode(corners(200, 100))
        assert width * height <= 100 * 100
        assert width / height == pytest.approx(2, rel=0.03)
        assert simplejpeg.decode_jpeg_header(data)[:2] == (height, width)
    assert caplog.text.count("frames of 200x100 pixels are scaled down to 140x70") == 1


def test_producer_and_worker_have_one_limit() -> None:
    worker = WorkerSettings.model_fields["max_frame_pixels"].default
    assert ProducerSettings().max_frame_pixels == worker == MAX_FRAME_PIXELS
    for width, height in ((4000, 3000), (4608, 3456), (4096, 2304), (16_384, 16)):
        assert np.prod(within(width, height, MAX_FRAME_PIXELS)) <= worker
    assert within(4096, 2304, MAX_FRAME_PIXELS) == (4096, 2304)


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    cover = np.full((64, 64, 3), (20, 20, 250), np.uint8)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
        for _ in range(5):
            container.mux(video.encode(corners()))
        container.mux(video.encode())
    source = open_source(camera(str(path)), lambda: None)
    pictures = list(source.pictures())
    assert len(pictures) == 5
    assert seen(PictureEncoder(camera()).encode(pictures[0].image)[0]) == UPRIGHT


@pytest.mark.parametrize("encoding", ["jpeg", "i420"])
def test_a_small_part_is_scaled_up_without_the_rest_of_the_picture(encoding: str) -> None:
    image = corners(1280, 640)
    encoder = PictureEncoder(camera(crop=(624, 312, 32, 16), width=2560, encoding=encoding))
    data, *size = encoder.encode(image)  # the whole picture would be of 5 gigapixels
    assert size == [2560, 1280]
    if encoding == "jpeg":
        assert seen(data) == UPRIGHT
    else:
        assert len(data) == 2560 * 1280 * 3 // 2


def test_a_picture_that_ffmpeg_cannot_convert_is_a_reason_and_not_a_dead_thread() -> None:
    strip = av.VideoFrame.from_ndarray(np.zeros((16_000, 1, 3), np.uint8), format="rgb24")
    with pytest.raises(
        SourceError, match=r"1x16000 pixels \(rgb24\) cannot be made one of 16000x16"
    ):
        PictureEncoder(camera(width=16_000, height=16)).encode(strip)
