"""From images of any size to instances, over an engine that sees bright squares as objects."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from contract.artifact import Artifact
from segmentation import segmenter as segmenter_module
from segmentation.batch_memory import BatchMemory
from segmentation.engines.base import Predictions
from segmentation.engines.onnx import padded_size
from segmentation.instances import Instances
from segmentation.segmenter import Segmenter

STEP = (2 / 2047, 1 / 1023)


class SquareEngine:
    """Perfect predictions: each colour's pixels point at their middle; red = class 0, green = 1."""

    def __init__(self, largest: int = 2) -> None:
        self.artifact = Artifact(
            name="squares",
            version="1",
            classes=("person", "vehicle"),
            height=64,
            width=96,
            grid_step=STEP,
            n_sigma=2,
            weights_sha256="0" * 64,
            min_pixels=30,
            score_threshold=0.5,
            seed_threshold=0.5,
        )
        self.batch_sizes = (1, largest)
        self.variable_size = False
        self.batches: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        self.batches.append(len(images))
        n, height, width, _ = images.shape
        offset = np.zeros((n, 2, height, width), np.float32)
        seed = np.zeros((n, height, width), np.float32)
        class_index = (images[..., 1] > images[..., 0]).astype(np.uint8)
        for image, shift, score in zip(images, offset, seed, strict=True):
            color = image[..., :2].max(-1)
            for value in np.unique(color[color > 140]):
                here = np.abs(color.astype(int) - value) <= 2
                y, x = np.nonzero(here)
                shift[0][here] = (x.mean() - x) * STEP[0]
                shift[1][here] = (y.mean() - y) * STEP[1]
                score[here] = value / 255
        bandwidth = np.full((n, 2, height, width), 1.1, np.float32)
        return Predictions(offset, bandwidth, seed, class_index)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """A red person of score 0.78 and a green vehicle of score 0.98, at fixed shares of the size."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 8 : height // 2, width // 8 : width // 4, 0] = 200
    image[height // 2 : height, width // 2 : width * 3 // 4, 1] = 250
    return image


@pytest.mark.parametrize("size", [(64, 96), (128, 192), (640, 960)])
def test_instances_are_in_pixels_of_the_captured_frame(size: tuple[int, int]) -> None:
    height, width = size
    (instances,) = Segmenter(SquareEngine()).segment([picture(height, width)])
    found = instances.documents()
    assert [(each.id, each.class_name) for each in found] == [(1, "person"), (2, "vehicle")]
    person, vehicle = found
    assert person.score == pytest.approx(200 / 255, abs=1e-4)
    pixel = max(1, height // 64)
    expected = (width // 8, height // 8, width // 8, height * 3 // 8)
    assert np.abs(np.subtract(person.box, expected)).max() <= pixel
    assert vehicle.center[0] == pytest.approx(width * 5 / 8, abs=pixel)
    assert vehicle.center[1] == pytest.approx(height * 3 / 4, abs=pixel)


def test_a_box_is_that_of_the_piece_that_holds_the_seed_where_the_artifact_says_so() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[4:24, 10:30, 0] = 200
    image[30:36, 36:42, 0] = 200  # points at the middle of all 200s, as noise does
    engine = SquareEngine()
    (whole,) = Segmenter(engine).segment([image])
    engine.artifact = msgspec.structs.replace(engine.artifact, connected=True)
    (found,) = Segmenter(engine).segment([image])
    assert (whole.boxes.tolist(), whole.areas.tolist()) == ([[10, 4, 32, 32]], [436])
    assert (found.boxes.tolist(), found.areas.tolist()) == ([[10, 4, 20, 20]], [400])


def test_masks_areas_boxes_and_centres_agree_with_each_other() -> None:
    (found,) = Segmenter(SquareEngine()).segment([picture(128, 200)])
    assert len(found) == 2
    for each in found.documents():
        mask = coco.decode({"size": each.mask["size"], "counts": each.mask["counts"].encode()})
        assert mask.shape == (128, 200)
        rows, columns = np.nonzero(mask)
        assert each.area == len(rows)
        assert each.box[:2] == (columns.min(), rows.min())
        assert each.box[2:] == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert each.center == pytest.approx((columns.mean(), rows.mean()), abs=0.01)


def test_instances_below_the_score_threshold_are_left_out_and_ids_stay_dense() -> None:
    (found,) = Segmenter(SquareEngine(), score_threshold=0.9).segment([picture(64, 96)])
    assert [(each.id, each.class_name) for each in found.documents()] == [(1, "vehicle")]


def test_more_images_than_a_batch_holds_run_in_several_batches_and_are_observed() -> None:
    engine = SquareEngine(largest=2)
    stages: list[str] = []
    clock = iter(range(100))
    segmenter = Segmenter(engine, clock=lambda: float(next(clock)), threads=2)
    images = [picture(64, 96), picture(128, 96), np.zeros((50, 50, 3), np.uint8)]
    found = segmenter.segment(images, lambda stage, seconds: stages.append(f"{stage} {seconds:g}"))
    assert [len(each) for each in found] == [2, 2, 0]
    assert engine.batches == [2, 1]
    assert stages == ["infer 1", "cluster 1"] * 2


def test_threads_change_nothing() -> None:
    images = [picture(64, 96), picture(100, 160), picture(64, 64), picture(200, 96)]
    one = [each.documents() for each in Segmenter(SquareEngine(4)).segment(images)]
    four = Segmenter(SquareEngine(4), threads=4).segment(images)
    assert one == [each.documents() for each in four]
    assert all(one)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_comes_next_is_done_in_the_threads_that_describe(threads: int) -> None:
    """Side by side: each image waits until as many are at it as there are threads."""
    images = [picture(64, 96), picture(100, 160), picture(64, 64)]
    segmenter = Segmenter(SquareEngine(3), threads=threads)
    (maps,) = segmenter.maps(images)
    together = threading.Barrier(threads if threads > 1 else 1, timeout=10)
    first = threading.Semaphore(threads)

    def use(place: int, instances: Instances) -> tuple[int, Instances, str]:
        if first.acquire(blocking=False):
            together.wait()
        return place, instances, threading.current_thread().name

    found = segmenter.describe_each(maps, use)
    assert [place for place, _, _ in found] == [0, 1, 2]
    expected = [each.documents() for each in segmenter.describe(maps)]
    assert [instances.documents() for _, instances, _ in found] == expected
    assert len({name for _, _, name in found}) == threads


def test_one_image_alone_is_described_where_it_is() -> None:
    segmenter = Segmenter(SquareEngine(), threads=2)
    (maps,) = segmenter.maps([picture(64, 96)])
    (name,) = segmenter.describe_each(maps, lambda *_: threading.current_thread().name)
    assert name == threading.current_thread().name


def test_the_reference_names_the_weights() -> None:
    segmenter = Segmenter(SquareEngine())
    segmenter.warm_up()
    reference = segmenter.reference
    assert (reference.name, reference.version, reference.sha256) == ("squares", "1", "0" * 64)


def test_a_batch_is_padded_to_the_next_fixed_size() -> None:
    assert [padded_size(n, (1, 4, 8)) for n in (1, 2, 4, 5, 8)] == [1, 4, 4, 8, 8]


def test_images_that_were_fitted_ahead_are_segmented_as_those_that_were_not() -> None:
    images = [picture(128, 192), picture(64, 96), picture(640, 960), picture(96, 96)]
    segmenter = Segmenter(SquareEngine(largest=3))
    expected = [each.documents() for each in segmenter.segment(images)]
    fitted = [segmenter.fit(image) for image in images]
    found = [
        instances.documents()
        for maps in segmenter.maps(fitted)
        for instances in segmenter.describe(maps)
    ]
    assert found == expected


def test_batches_that_share_a_buffer_leave_nothing_of_one_in_the_next() -> None:
    segmenter = Segmenter(SquareEngine(largest=2))
    full, low = picture(64, 96), picture(32, 96)
    first = [each.documents() for each in segmenter.segment([full, full])]
    second = [each.documents() for each in segmenter.segment([low, low])]
    assert [each.documents() for each in Segmenter(SquareEngine()).segment([low])] == second[:1]
    assert [each.documents() for each in segmenter.segment([full, full])] == first


def test_large_pictures_are_placed_in_a_batch_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [picture(64, 96), picture(128, 192), picture(64, 64), picture(640, 960)]
    one, three = Segmenter(SquareEngine(4)), Segmenter(SquareEngine(4), threads=3)
    expected = one.prepare(images)
    monkeypatch.setattr(segmenter_module, "_LARGE_BYTES", 1)
    names: set[str] = set()
    place = Segmenter._place

    def noted(self: Segmenter, *given: Any) -> Any:
        names.add(threading.current_thread().name)
        return place(self, *given)

    monkeypatch.setattr(Segmenter, "_place", noted)
    found = three.prepare(images, np.zeros((4, 64, 96, 3), np.uint8))
    assert np.array_equal(found.batch, expected.batch)
    assert found.fits == expected.fits
    assert names
    assert all(name.startswith("place") for name in names)


def test_a_segmenter_that_nobody_has_any_more_is_freed_with_its_engine() -> None:
    engine = SquareEngine()
    segmenter = Segmenter(engine)
    segmenter.segment([picture(64, 96)] * 2)
    watched = weakref.ref(engine)
    gc.disable()  # it would find them sooner or later, behind gigabytes of arrays
    try:
        del segmenter, engine
        assert watched() is None
    finally:
        gc.enable()


def test_threads_that_ask_for_their_first_batch_at_the_same_moment_get_one_each() -> None:
    memory = BatchMemory(lambda: np.zeros((1, 8, 8, 3), np.uint8))
    memory.make_ready()
    together = threading.Barrier(8)

    def first(_: int) -> NDArray[np.uint8]:
        together.wait()
        mine = memory.own()
        assert memory.own() is mine
        return mine

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(first, range(8)))
    assert len({id(each) for each in given}) == 8


def test_batches_lie_in_the_memory_that_the_engine_makes() -> None:
    engine, made = SquareEngine(largest=2), []

    def new_batch() -> NDArray[np.uint8]:
        made.append(np.zeros((2, 64, 96, 3), np.uint8))
        return made[-1]

    segmenter = Segmenter(engine, new_batch=new_batch)
    segmenter.warm_up()
    assert len(made) == 1, "no frame waits for it"
    images = [picture(64, 96), picture(128, 192), picture(64, 96), picture(64, 96)]
    expected = [each.documents() for each in Segmenter(engine).segment(images)]
    assert [each.documents() for each in segmenter.segment(images)] == expected
    assert len(made) == 1
    assert np.array_equal(made[0][1], images[3])
