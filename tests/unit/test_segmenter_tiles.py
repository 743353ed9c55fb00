"""Large frames: tiles that are clustered once, what they cost, and when they are used."""

import logging

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.errors import ConfigurationError, InvalidMessageError
from segmentation.engines.base import Predictions
from segmentation.letterbox import Resize
from segmentation.segmenter import Segmenter

STEP = (2 / 2047, 1 / 1023)
HEIGHT, WIDTH = 64, 96


class PaintedEngine:
    """Sees in each pixel's colours how far it is to its object's middle, and that it is one.

    Like a network whose maps are the same wherever a tile's border is.
    """

    def __init__(self, object_pixels: float | None = None, variable_size: bool = False) -> None:
        self.variable_size = variable_size
        self.artifact = Artifact(
            name="painted",
            version="1",
            classes=("blob",),
            height=HEIGHT,
            width=WIDTH,
            grid_step=STEP,
            n_sigma=1,
            weights_sha256="0" * 64,
            min_pixels=30,
            seed_threshold=0.5,
            object_pixels=object_pixels,
        )
        self.batch_sizes = (1, 4)
        self.bandwidth = 1.2
        self.batches: list[int] = []
        self.sizes: list[tuple[int, ...]] = []

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        assert self.variable_size or images.shape[1:] == (HEIGHT, WIDTH, 3)
        self.batches.append(len(images))
        self.sizes.append(images.shape[1:3])
        far = images[..., :2].astype(np.float32) - 128
        return Predictions(
            offset=np.stack([far[..., 0] * STEP[0], far[..., 1] * STEP[1]], axis=1),
            bandwidth=np.full((len(images), 1, *images.shape[1:3]), self.bandwidth, np.float32),
            seed=(images[..., 2] > 200).astype(np.float32) * images[..., 2] / 255,
            class_index=np.zeros(images.shape[:3], np.uint8),
        )


def paint(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Rectangles (x, y, width, height), each brighter than the one before."""
    image = np.zeros((*size, 3), np.uint8)
    for number, (x, y, width, height) in enumerate(boxes):
        rows, columns = np.mgrid[y : y + height, x : x + width]
        part = image[y : y + height, x : x + width]
        part[..., 0] = 128 + x + width // 2 - columns
        part[..., 1] = 128 + y + height // 2 - rows
        part[..., 2] = 210 + number
    return image


def segmenter(
    resize: Resize = "tile",
    *,
    object_pixels: float | None = None,
    variable_size: bool = False,
    **options: int,
) -> tuple[Segmenter, PaintedEngine]:
    engine = PaintedEngine(object_pixels, variable_size)
    return Segmenter(engine, resize=resize, **options), engine  # type: ignore[arg-type]


def boxes_of(found: object) -> set[tuple[int, int, int, int]]:
    return {each.box for each in found.documents()}  # type: ignore[attr-defined]


def test_objects_that_cross_tiles_are_whole_and_counted_once() -> None:
    # 150x250 pixels are 3x4 tiles: the first object lies in all of the first four.
    boxes = {(60, 40, 40, 30), (130, 10, 70, 20), (4, 120, 20, 28), (240, 140, 10, 10)}
    (found,) = segmenter()[0].segment([paint((150, 250), *sorted(boxes))])
    assert boxes_of(found) == boxes
    assert found.size == (150, 250)
    assert sorted(found.areas) == sorted(width * height for _, _, width, height in boxes)


def test_small_objects_of_a_large_frame_are_lost_letterboxed_and_found_in_tiles() -> None:
    frame = paint((640, 960), (100, 100, 12, 9), (700, 500, 8, 12))
    (lost,), (found,) = (segmenter(resize)[0].segment([frame]) for resize in ("letterbox", "tile"))
    assert len(lost) == 0
    assert boxes_of(found) == {(100, 100, 12, 9), (700, 500, 8, 12)}


@pytest.mark.parametrize("size", [(64, 96), (30, 40), (64, 10)])
def test_a_frame_that_is_not_larger_is_letterboxed(size: tuple[int, int]) -> None:
    image = paint(size, (2, 3, 8, 20))
    (tiled,), (letterboxed,) = (
        segmenter(resize)[0].segment([image]) for resize in ("tile", "letterbox")
    )
    assert tiled.documents() == letterboxed.documents()
    assert segmenter()[0].tiles(size) == 1


def test_tiles_run_in_the_largest_batches_and_every_run_is_observed() -> None:
    one, engine = segmenter()
    seen: list[str] = []
    one.segment([paint((150, 250))], lambda stage, seconds: seen.append(stage))
    assert one.tiles((150, 250)) == 12
    assert engine.batches == [4, 4, 4]
    assert seen == ["infer"] * 3 + ["cluster"]
    smaller, engine = segmenter(batch_size=1)
    smaller.segment([paint((64, 96)), paint((65, 96)), paint((64, 96))])
    assert engine.batches == [1] * 4


def test_images_of_all_sizes_come_back_in_their_order() -> None:
    images = [
        paint((64, 96), (5, 5, 10, 10)),
        paint((64, 96), (6, 5, 10, 10)),
        paint((100, 100), (7, 5, 10, 10)),
        paint((64, 96), (8, 5, 10, 10)),
        paint((64, 200), (9, 5, 10, 10)),
    ]
    found = segmenter(threads=2)[0].segment(images)
    assert [boxes_of(each) for each in found] == [{(5 + i, 5, 10, 10)} for i in range(5)]


def test_more_tiles_than_the_bound_are_refused_with_what_to_do() -> None:
    one, engine = segmenter(max_tiles=11)
    with pytest.raises(InvalidMessageError, match="need 12 tiles of 96x64, expected at most 11; "):
        one.segment([paint((150, 250))])
    with pytest.raises(InvalidMessageError) as error:
        one.tiles((150, 250))
    assert error.value.reason == "too_many_tiles"
    assert engine.batches == []


def test_a_frame_shrunk_below_min_pixels_is_told_once_for_each_size(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, _ = segmenter("letterbox", object_pixels=100.0)
    for source, size in [("gate", (640, 960)), ("door", (640, 960)), ("yard", (64, 960))]:
        one.segment([paint(size)], sources=[source])
    one.segment([paint((80, 120))], sources=["near"])  # 100 pixels become 64: enough
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "gate: images of 960x640 pixels are shrunk to 10 % of their sides: an object of the "
        "training data's median size",
        "yard: images of 960x64 pixels are shrunk to 10 % of their sides: an object of the "
        "training data's median size",
    ]
    assert "would have 1 left, fewer than the model's min_pixels 30" in caplog.messages[0]
    assert "--resize tile (WORKER_RESIZE=tile)" in caplog.messages[0]


@pytest.mark.parametrize(("resize", "known"), [("letterbox", None), ("tile", 100.0)])
def test_nothing_is_warned_of_in_tiles_or_where_the_artifact_does_not_say_how_large_objects_are(
    caplog: pytest.LogCaptureFixture, resize: Resize, known: float | None
) -> None:
    segmenter(resize, object_pixels=known)[0].segment([paint((640, 960))], sources=["gate"])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_cost_is_logged_at_the_first_frame_of_a_size(caplog: pytest.LogCaptureFixture) -> None:
    one, _ = segmenter()
    with caplog.at_level(logging.INFO):
        for source in ("gate", "door"):
            one.segment([paint((150, 250)), paint((64, 96))], sources=[source, source])
    assert caplog.messages == [
        "gate: images of 250x150 pixels: 12 tiles of 96x64 each, 1 MB of maps"
    ]


def test_auto_tiles_small_objects_and_letterboxes_huge_ones() -> None:
    size, box = (128, 192), (20, 20, 20, 20)
    for object_pixels, batches in [(100.0, [1, 4, 4, 1]), (400 / 9.5, [1])]:
        one, engine = segmenter("auto", object_pixels=object_pixels)
        engine.bandwidth = 0.85  # halved, the object's offsets are wrong by up to 5 pixels
        (found,) = one.segment([paint(size, box)])
        assert boxes_of(found) == {box}
        assert engine.batches == batches, "the letterboxed frame, then 3x3 tiles where it is small"
        assert one.tiles(size) == 10
    one, engine = segmenter("auto", object_pixels=100.0)
    one.segment([paint(size)])
    assert engine.batches == [1, 4, 4, 1], "what letterboxing does not show may be small"


def test_auto_needs_to_know_how_large_objects_are() -> None:
    engine = PaintedEngine()
    with pytest.raises(ConfigurationError, match="painted/1 does not carry object_pixels"):
        Segmenter(engine, resize="auto")
    engine.artifact = msgspec.structs.replace(engine.artifact, object_pixels=100.0)
    Segmenter(engine, resize="auto")


def test_where_the_size_may_vary_a_frame_is_one_tile_with_the_same_instances() -> None:
    image = paint((150, 250), (60, 40, 40, 30), (130, 10, 70, 20), (240, 140, 10, 10))
    one, engine = segmenter(variable_size=True)
    (found,) = one.segment([image])
    (expected,) = segmenter()[0].segment([image])
    assert found.documents() == expected.documents()
    assert engine.sizes == [(152, 256)]
    assert one.tiles((150, 250)) == 1


def test_tiles_of_variable_size_run_one_by_one_for_their_memory() -> None:
    one, engine = segmenter(variable_size=True, max_tiles=700)
    image = paint((1080, 1920), (600, 500, 80, 40), (1300, 20, 9, 9))
    (found,) = one.segment([image])
    assert boxes_of(found) == {(600, 500, 80, 40), (1300, 20, 9, 9)}
    assert engine.batches == [1, 1, 1]
    assert engine.sizes == [(1080, 704)] * 3
    assert one.tiles((1080, 1920)) == 3


def test_frames_that_are_letterboxed_keep_the_declared_size_where_it_may_vary() -> None:
    for resize, size in [("letterbox", (640, 960)), ("tile", (30, 40)), ("stretch", (640, 960))]:
        one, engine = segmenter(resize, variable_size=True)  # type: ignore[arg-type]
        one.segment([paint(size)])
        assert engine.sizes == [(HEIGHT, WIDTH)]


def test_the_bound_on_tiles_is_the_same_where_their_size_may_vary() -> None:
    one, engine = segmenter(max_tiles=11, variable_size=True)
    with pytest.raises(InvalidMessageError, match="need 12 tiles of 96x64, expected at most 11; "):
        one.segment([paint((150, 250))])
    assert engine.batches == []


def test_one_tile_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    one, _ = segmenter(variable_size=True)
    with caplog.at_level(logging.INFO):
        one.segment([paint((150, 250))], sources=["gate"])
    assert caplog.messages == ["gate: images of 250x150 pixels: one tile of 256x152, 1 MB of maps"]
