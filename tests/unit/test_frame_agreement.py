"""Two results of one frame: which instances are one object, and what frames add up to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contract.mask import encode_mask
from contract.result import Instance, ModelReference, Result
from seedstream.lanes.frame_agreement import Sums, compare_frame
from segmentation.agreement import best_first, mask_iou
from segmentation.instances import EncodedMask
from tests.fakes import SESSION

SIZE = (48, 64)
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)

Box = tuple[int, int, int, int]


def instance(box: Box, name: str = "person", hollow: bool = False) -> Instance:
    x, y, width, height = box
    pixels = np.ones((height, width), np.bool_)
    if hollow:
        pixels[1:-1, 1:-1] = False
    mask = encode_mask(pixels, SIZE, (x, y))
    center = (x + width / 2, y + height / 2)
    return Instance(1, name, 0.9, box, center, int(pixels.sum()), mask)


def result(instances: Sequence[Instance], latency: float = 0.1, number: int = 0) -> Result:
    return Result(
        camera="gate", session=SESSION, sequence=number, captured_at=AT,
        processed_at=AT + timedelta(seconds=latency), width=SIZE[1], height=SIZE[0],
        model=ModelReference("m", "1", "0"), latency_seconds=latency, instances=list(instances),
    )  # fmt: skip


def whole(each: Instance) -> np.ndarray:
    picture = np.zeros(SIZE, np.bool_)
    x, y, width, height = each.box
    picture[y : y + height, x : x + width] = EncodedMask(each.mask, each.box).array
    return picture


def test_the_overlap_of_masks_is_that_of_their_pixels_in_the_picture() -> None:
    random = np.random.default_rng(5)
    sides = []
    for _ in range(2):
        corners = random.integers(0, 28, (12, 2))
        sizes = random.integers(6, 20, (12, 2))
        boxes = [
            (int(x), int(y), int(w), int(h)) for (x, y), (w, h) in zip(corners, sizes, strict=True)
        ]
        sides.append([instance(box, hollow=n % 2 == 0) for n, box in enumerate(boxes)])
    ones, others = sides
    found = mask_iou(*([EncodedMask(e.mask, e.box) for e in side] for side in sides))
    wanted = [
        [(whole(a) & whole(b)).sum() / (whole(a) | whole(b)).sum() for b in others] for a in ones
    ]
    assert np.count_nonzero(found) > 30
    assert found == pytest.approx(np.array(wanted))
    assert mask_iou([], []).shape == (0, 0)


def test_the_best_overlaps_are_paired_first_and_nothing_twice() -> None:
    iou = np.array([[0.9, 0.8, 0.0], [0.85, 0.2, 0.0], [0.0, 0.0, 0.5]])
    assert best_first(iou, 0.5) == [(0, 0, 0.9), (2, 2, 0.5)]
    assert best_first(iou, 0.2) == [(0, 0, 0.9), (2, 2, 0.5), (1, 1, 0.2)]
    assert best_first(np.zeros((2, 2)), 0.0) == []


def test_instances_of_one_class_are_paired_and_those_of_two_are_counted_apart() -> None:
    first = result([instance((0, 0, 10, 10)), instance((20, 0, 10, 10)), instance((40, 20, 8, 8))])
    second = result(
        [instance((0, 0, 10, 8)), instance((20, 0, 10, 10), "vehicle"), instance((50, 30, 8, 8))]
    )
    found = compare_frame(first, second, 0.5)
    assert found.ious == [0.8]
    assert found.other_class == 1
    assert found.unmatched == 4
    assert compare_frame(first, second, 0.81).ious == []


def test_a_class_that_fits_is_taken_before_a_mask_that_fits_better() -> None:
    first = result([instance((0, 0, 10, 10))])
    second = result([instance((0, 0, 10, 10), "vehicle"), instance((0, 0, 10, 8))])
    found = compare_frame(first, second, 0.5)
    assert (found.ious, found.other_class, found.unmatched) == ([0.8], 0, 1)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_frame_in_which_nothing_was_found_counts(empty: int) -> None:
    sides = [result([] if empty in (side, 2) else [instance((0, 0, 9, 9))]) for side in (0, 1)]
    sums = Sums()
    sums.add(compare_frame(*sides, 0.5))
    assert sums.frames == 1
    assert sums.matched == 0
    assert sums.mean_iou is None
    shares = {0: (None, 0.0), 1: (0.0, None), 2: (None, None)}
    assert sums.found == shares[empty]


def test_what_frames_add_up_to() -> None:
    one, other = instance((0, 0, 10, 10)), instance((30, 30, 10, 10))
    sums, second = Sums(only_first=2), Sums(unreadable=1)
    sums.add(compare_frame(result([one, other], 0.1), result([one], 0.3), 0.5))
    sums.add(compare_frame(result([one], 0.2), result([one], 0.5), 0.5))
    second.add(compare_frame(result([], 0.3), result([other, one], 0.7), 0.5))
    sums.merge(second)
    assert (sums.frames, sums.only_first, sums.only_second, sums.unreadable) == (3, 2, 0, 1)
    assert [side.total() for side in sums.classes] == [3, 4]
    assert sums.found == (pytest.approx(2 / 3), 0.5)
    assert sums.mean_iou == 1.0
    assert (sums.count_difference, sums.count_distance) == (1, 3)
    assert sums.latency(0, 0.5) == pytest.approx(0.2)
    assert sums.latency(1, 0.95) == pytest.approx(0.68)
    assert Sums().latency(0, 0.5) is None
