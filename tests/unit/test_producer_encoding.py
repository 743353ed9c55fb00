"""What leaves the encoder shows what came in: colours, sizes, formats."""

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg

from contract.frame import I420, JPEG
from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.encoding import PictureEncoder, _full_range, luma_of, target_size
from producer.settings import ProducerSettings
from producer.sources import SourceError


def camera(**values: object) -> Camera:
    return load_cameras(ProducerSettings(), ["a=test:"], {})[0].model_copy(update=values)


def patches() -> npt.NDArray[np.uint8]:
    """Large patches of black, white, grey and strong colours, 96x160."""
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (220, 30, 30), (30, 200, 40)]
    row = np.array(colours, np.uint8).repeat(32, axis=0)
    return np.broadcast_to(row, (96, *row.shape)).copy()


def decoded(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(simplejpeg.decode_jpeg(data), np.float64)


def patch_error(seen: npt.NDArray[np.float64], expected: npt.NDArray[np.uint8]) -> float:
    inside = np.arange(160) % 32
    columns = (inside > 8) & (inside < 24)  # away from the edges, where chroma is blended
    return float(np.abs(seen[:, columns] - expected[:, columns]).max())


@pytest.mark.parametrize(
    ("pixel_format", "conversion"),
    [
        ("rgb24", {}),
        ("yuv420p", {}),
        ("yuv420p", {"dst_color_range": "JPEG"}),
        ("yuv420p", {"dst_colorspace": "ITU709"}),
        ("yuvj420p", {}),
        ("yuvj422p", {}),
        ("yuv422p", {}),
        ("yuv444p", {}),
        ("nv12", {}),
        ("yuv420p10le", {}),
    ],
)
def test_colours_survive_whatever_format_range_and_matrix_the_camera_sends(
    pixel_format: str, conversion: dict[str, str]
) -> None:
    image = av.VideoFrame.from_ndarray(patches(), format="rgb24")
    if pixel_format != "rgb24":
        image = image.reformat(format=pixel_format, **conversion)
    data, width, height = PictureEncoder(camera(jpeg_quality=95)).encode(image)
    assert (width, height) == (160, 96)
    assert patch_error(decoded(data), patches()) < 8


def test_grey_cameras_keep_black_and_white() -> None:
    image = av.VideoFrame.from_ndarray(patches(), format="rgb24").reformat(format="gray")
    seen = decoded(PictureEncoder(camera(jpeg_quality=95)).encode(image)[0])
    assert seen[:, 8:24].max() < 6
    assert seen[:, 40:56].min() > 249


def test_raw_frames_are_read_back_by_opencv() -> None:
    image = av.VideoFrame.from_ndarray(patches(), format="rgb24")
    encoder = PictureEncoder(camera(encoding="i420"))
    data, width, height = encoder.encode(image)
    assert encoder.content_type == I420
    assert len(data) == width * height * 3 // 2
    planes = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
    seen = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420).astype(np.float64)
    assert patch_error(seen, patches()) < 8


def test_quality_decides_the_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    image = av.VideoFrame.from_ndarray(noise, format="rgb24")
    low, high = (
        len(PictureEncoder(camera(jpeg_quality=quality)).encode(image)[0]) for quality in (20, 95)
    )
    assert low * 2 < high
    assert PictureEncoder(camera()).content_type == JPEG


@pytest.mark.parametrize(("width", "height"), [(161, 97), (33, 17)])
def test_odd_sizes_are_kept_in_jpeg_and_made_even_in_raw_frames(width: int, height: int) -> None:
    image = av.VideoFrame.from_ndarray(np.full((height, width, 3), 200, np.uint8), format="rgb24")
    data, *size = PictureEncoder(camera()).encode(image)
    assert size == [width, height]
    assert decoded(data).shape == (height, width, 3)
    data, *size = PictureEncoder(camera(encoding="i420")).encode(image)
    assert size == [width - 1, height - 1]
    assert len(data) == (width - 1) * (height - 1) * 3 // 2


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({}, (1920, 1080)),
        ({"max_side": 960}, (960, 540)),
        ({"max_side": 4000}, (1920, 1080)),
        ({"max_side": 333}, (332, 186)),
        ({"width": 640}, (640, 360)),
        ({"height": 360}, (640, 360)),
        ({"width": 512, "height": 512}, (512, 512)),
    ],
)
def test_frames_are_scaled_as_the_camera_says(
    values: dict[str, int], size: tuple[int, int]
) -> None:
    assert target_size(camera(**values), 1920, 1080) == size


def test_the_scaled_frame_has_the_announced_size() -> None:
    image = av.VideoFrame.from_ndarray(patches(), format="rgb24")
    data, *size = PictureEncoder(camera(max_side=80)).encode(image)
    assert size == [80, 48]
    assert decoded(data).shape == (48, 80, 3)


def test_a_frame_too_large_to_describe_is_refused_with_the_remedy() -> None:
    image = av.VideoFrame(16_386, 16, "yuv420p")
    with pytest.raises(SourceError, match="set max_side"):
        PictureEncoder(camera()).encode(image)


def test_the_short_way_to_full_range_gives_what_ffmpegs_conversion_gives() -> None:
    noise = np.random.default_rng(0).integers(16, 236, (96, 160, 3), dtype=np.uint8)
    image = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")
    short, *size = PictureEncoder(camera(jpeg_quality=100)).encode(image)
    assert size == [160, 96]
    full = image.reformat(format="yuvj420p", src_color_range="MPEG", dst_color_range="JPEG")
    long = PictureEncoder(camera(jpeg_quality=100)).encode(full)[0]
    assert np.abs(decoded(short) - decoded(long)).mean() < 1.0


def test_the_short_way_rounds_every_level_as_the_standard_says() -> None:
    levels = np.arange(256)
    # The second width leaves pixels beside the vector instructions.
    for plane, (black, span, middle) in enumerate([(16, 219, 0), (128, 224, 128)]):
        expected = np.round((levels - black) * 255 / span + middle).clip(0, 255)
        for width in (256, 263):
            image = av.VideoFrame(width * 2, 4, "yuv420p")
            for each in image.planes:
                row = np.resize(levels, each.line_size).astype(np.uint8)
                each.update(np.tile(row, (each.height, 1)).tobytes())
            full = _full_range(image.planes[plane], plane)
            assert (full == np.resize(expected, full.shape[1])).all()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj422p", "nv12", "gray", "rgb24"])
def test_the_brightness_of_any_frame_is_had_without_its_colours(pixel_format: str) -> None:
    image = av.VideoFrame.from_ndarray(patches(), format="rgb24").reformat(format=pixel_format)
    seen = luma_of(image)
    assert seen.shape == (96, 160)
    assert seen[48, 16] < 30 < 100 < seen[48, 80] < 150 < 220 < seen[48, 48]
