"""Which frames get a picture, and that it is the very frame, small."""

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pillow
from prometheus_client import CollectorRegistry

from contract.frame import I420, JPEG, Frame
from contract.preview import DEFAULT_WIDTH, IDLE_SECONDS, MAX_WIDTH
from segmentation.decode import Image, decode_image, decode_small
from segmentation.letterbox import PADDING, Fit
from segmentation.segmenter import Fitted
from tests.fakes import FakeClock, make_frame
from workers import previews as previews_module
from workers.metrics import WorkerMetrics
from workers.preview_picture import encode_picture, picture_size
from workers.previews import Previews

INPUT = (96, 128)


def painted(height: int, width: int) -> NDArray[np.uint8]:
    """Return a picture whose four quarters differ: red, green, blue, and white with no grey."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (230, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 230, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 230)
    picture[height // 2 :, width // 2 :] = (250, 250, 250)
    return picture


def frame_of(picture: NDArray[np.uint8], kind: str = JPEG, **changes: object) -> Frame:
    height, width = picture.shape[:2]
    if kind == I420:
        data = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes()
    else:
        data = simplejpeg.encode_jpeg(picture, 95, colorsubsampling="444")
    return make_frame(data=data, height=height, width=width, content_type=kind, **changes)  # type: ignore[arg-type]


def fitted(frame: Frame, resize: str = "letterbox", size: tuple[int, int] = INPUT) -> Fitted:
    """Return a frame as the segmenter takes it."""
    image = decode_image(frame, max_pixels=1 << 24)
    fit = Fit.of(image.shape[:2], size, resize)  # type: ignore[arg-type]
    return Fitted(fit.apply(image), fit)


def shown(frame: Frame, image: Image | Fitted, width: int) -> NDArray[np.uint8]:
    return simplejpeg.decode_jpeg(encode_picture(frame, image, width))


def differs(picture: NDArray[np.uint8], height: int, width: int) -> float:
    """Return by how much a picture differs from the painted one of its size, on average."""
    assert picture.shape == (height, width, 3)
    return float(np.abs(picture.astype(int) - painted(height, width)).mean())


@pytest.mark.parametrize("kind", [JPEG, I420])
@pytest.mark.parametrize("resize", ["letterbox", "stretch", "tile"])
@pytest.mark.parametrize("size", [(480, 640), (480, 320), (96, 128), (200, 1000), (60, 40)])
@pytest.mark.parametrize("width", [64, 100, 128, 384, 1920])
def test_the_picture_is_the_frame_at_most_as_wide_as_wanted(
    kind: str, resize: str, size: tuple[int, int], width: int
) -> None:
    frame = frame_of(painted(*size), kind)
    whole = decode_image(frame, max_pixels=1 << 24)
    found = shown(frame, whole if resize == "tile" else fitted(frame, resize), width)
    expected = picture_size(size, width)
    assert expected[1] == min(width, size[1])
    assert expected[0] / expected[1] == pytest.approx(size[0] / size[1], rel=0.03)
    assert differs(found, *expected) < 16, "the frame's own colours, no padding, nothing turned"


def test_pixels_come_from_what_the_network_saw_where_they_are_enough() -> None:
    """Red in the network's picture, blue in the record: the source shows."""
    red = np.zeros((96, 128, 3), np.uint8)
    red[:, :, 0] = 255
    blue = frame_of(np.full((480, 320, 3), (0, 0, 255), np.uint8))
    fit = Fit.of((480, 320), INPUT)
    assert fit.content_size == (96, 64)
    red[:, 64:] = PADDING
    for width, is_red in ((64, True), (65, False), (320, False)):
        picture = shown(blue, Fitted(red, fit), width)
        assert picture.shape[1] == width
        assert (picture[:, :, 0] > 200).all() == is_red
        assert (picture[:, :, 2] > 200).all() != is_red


def test_a_frame_that_was_enlarged_is_decoded_again_not_shrunk_from_the_blur() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 1), np.uint8).repeat(3, axis=2)
    frame = frame_of(noise)
    picture = shown(frame, fitted(frame), 32)
    assert np.abs(picture.astype(int) - noise).mean() < 25
    assert picture.shape == noise.shape


@pytest.mark.parametrize("kind", [JPEG, I420])
def test_decoding_again_takes_little_more_than_the_size_that_is_needed(kind: str) -> None:
    frame = frame_of(painted(1080, 1920), kind)
    found = decode_small(frame, (135, 240))
    assert 135 <= found.shape[0] <= 2 * 135
    assert differs(cv2.resize(found, (240, 135), interpolation=cv2.INTER_AREA), 135, 240) < 8
    odd = decode_small(frame, (101, 179))
    assert odd.shape[0] >= 101
    assert odd.shape[1] >= 179


def test_what_a_jpeg_asks_browsers_to_turn_is_not_turned() -> None:
    """Masks lie over the pixels as they are stored; so does the picture, without that request."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    plain = frame_of(painted(96, 128))
    head, rest = plain.data[:2], plain.data[2:]
    body = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    turned = head + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + rest
    frame = make_frame(data=turned, height=96, width=128)
    for width in (64, 128):
        jpeg = encode_picture(frame, fitted(frame, size=(48, 64)), width)
        assert b"Exif" not in jpeg
        assert differs(simplejpeg.decode_jpeg(jpeg), 3 * width // 4, width) < 12


@pytest.mark.parametrize(
    ("frame", "width", "expected"),
    [
        ((576, 768), 384, (288, 384)),
        ((576, 768), 1920, (576, 768)),
        ((10, 5000), 64, (1, 64)),
        ((5000, 10), 64, (MAX_WIDTH, 4)),
        ((1, 1), 64, (1, 1)),
        ((60_000, 64), 64, (MAX_WIDTH, 2)),
    ],
)
def test_a_picture_is_of_the_frames_shape_and_never_larger(
    frame: tuple[int, int], width: int, expected: tuple[int, int]
) -> None:
    assert picture_size(frame, width) == expected


class Bench:
    """Previews with a clock, and what they made."""

    def __init__(self) -> None:
        self.clock, self.registry = FakeClock(), CollectorRegistry()
        self.previews = Previews(WorkerMetrics(self.registry), self.clock)
        self.frame = frame_of(painted(480, 640))
        self.image = fitted(self.frame, size=(384, 512))

    def width(self, camera: str = "gate") -> int | None:
        """Show a frame; return how wide its picture is, None where it has none."""
        frame = make_frame(camera, data=self.frame.data, height=480, width=640)
        jpeg = self.previews.jpeg(frame, self.image)
        return simplejpeg.decode_jpeg_header(jpeg)[1] if jpeg else None

    def made(self, reason: str) -> float | None:
        return self.registry.get_sample_value("seedstream_previews_total", {"reason": reason})


def test_of_a_camera_that_nobody_watches_there_is_a_picture_every_ten_seconds() -> None:
    bench = Bench()
    widths = []
    for _ in range(250):  # 25 s at 10 fps
        widths.append(bench.width())
        bench.clock.advance(0.1)
    made = [number for number, width in enumerate(widths) if width]
    assert made == [0, 100, 200]
    assert {widths[number] for number in made} == {DEFAULT_WIDTH}
    assert (bench.made("idle"), bench.made("watched")) == (3, 0)
    assert bench.width("yard") == DEFAULT_WIDTH, "each camera has its own"


def test_while_somebody_looks_each_frame_has_a_picture_as_wide_as_wanted() -> None:
    bench = Bench()
    bench.width()
    bench.previews.watched("gate", 320)
    assert [bench.width() for _ in range(3)] == [320] * 3
    bench.previews.watched("gate", 1920)
    assert bench.width() == 640, "never larger than the frame"
    bench.previews.watched("gate", None)
    bench.clock.advance(IDLE_SECONDS - 1)
    assert bench.width() is None, "the last picture is not that old"
    bench.clock.advance(1)
    assert bench.width() == DEFAULT_WIDTH
    assert (bench.made("idle"), bench.made("watched")) == (2, 4)
    assert bench.registry.get_sample_value("seedstream_preview_bytes_total") > 6 * 1000
    stage = {"stage": "preview"}
    assert bench.registry.get_sample_value("seedstream_stage_seconds_count", stage) == 6


def test_a_picture_that_cannot_be_made_is_counted_and_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.previews.watched("gate", 640)
    bench.frame = make_frame(data=b"\xff\xd8 broken by now")
    for _ in range(5):
        assert bench.width() is None
        bench.clock.advance(1)
    assert bench.made("failed") == 5
    assert len([each for each in caplog.records if "gate" in each.getMessage()]) == 1
    assert "its result is stored without" in caplog.text


def test_what_is_known_of_cameras_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews_module, "_MOST_CAMERAS", 3)
    bench = Bench()
    for name in "abcd":
        bench.previews.watched(name, 100)
    assert [bench.width(name) for name in "dcb"] == [100] * 3
    assert bench.width("a") == DEFAULT_WIDTH, "the one that was seen longest ago is new again"
