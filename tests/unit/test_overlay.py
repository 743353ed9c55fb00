from datetime import UTC, datetime

import numpy as np
import pytest

from contract.frame import new_session
from contract.mask import encode_mask
from contract.result import Instance, ModelReference, Result
from segmentation.instances import Instances
from viewer.colors import PALETTE, ColorMemory, box_overlap
from viewer.overlay import draw_overlay, header_text

SHAPE = (120, 160)


def instance(number: int, x: int, y: int, side: int, score: float = 0.9) -> Instance:
    mask = encode_mask(np.ones((side, side), np.bool_), SHAPE, (x, y))
    center = (x + side / 2, y + side / 2)
    box = (x, y, side, side)
    return Instance(number, "person", score, box, center, side * side, mask)


def result(*instances: Instance) -> Result:
    moment = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
    return Result(
        camera="gate",
        session=new_session(),
        sequence=7,
        captured_at=moment,
        processed_at=moment,
        width=SHAPE[1],
        height=SHAPE[0],
        model=ModelReference("street", "1", "0"),
        latency_seconds=0.0,
        instances=list(instances),
    )


def instances(*each: Instance) -> Instances:
    return Instances.from_result(result(*each))


def gray() -> np.ndarray:
    return np.full((*SHAPE, 3), 100, np.uint8)


def test_masks_are_coloured_and_everything_else_stays_as_it_is() -> None:
    image = gray()
    drawn = draw_overlay(
        image, result(instance(1, 20, 30, 40), instance(2, 80, 50, 30)), labels=False, header=False
    )
    inside = np.zeros(SHAPE, np.bool_)
    inside[30:70, 20:60] = inside[50:80, 80:110] = True
    assert (drawn != image).any(axis=2)[inside].all()
    assert (drawn[~inside] == image[~inside]).all()


def test_the_contour_has_the_full_colour_and_the_inside_lets_the_frame_through() -> None:
    drawn = draw_overlay(gray(), result(instance(1, 20, 30, 40)), labels=False, header=False)
    assert tuple(drawn[30, 40]) == PALETTE[0]
    expected = [100 * 0.55 + channel * 0.45 for channel in PALETTE[0]]
    assert np.abs(drawn[50, 40] - np.array(expected)).max() <= 1


def test_the_input_is_left_as_it_is() -> None:
    image = gray()
    draw_overlay(image, result(instance(1, 20, 30, 40)))
    assert (image == 100).all()


def test_instances_below_the_score_are_left_out() -> None:
    low = result(instance(1, 20, 30, 40, score=0.4))
    drawn = draw_overlay(gray(), low, min_score=0.5, labels=False, header=False)
    assert (drawn == 100).all()


def test_a_given_colour_wins_over_the_palette() -> None:
    drawn = draw_overlay(
        gray(), result(instance(1, 20, 30, 40)), colors={1: (1, 2, 3)}, labels=False, header=False
    )
    assert tuple(drawn[30, 40]) == (1, 2, 3)


def test_labels_stand_above_their_instance_and_the_header_on_top() -> None:
    one = result(instance(1, 60, 60, 40))
    bare = draw_overlay(gray(), one, labels=False, header=False)
    labelled = draw_overlay(gray(), one, labels=True, header=False)
    headed = draw_overlay(gray(), one, labels=False, header=True)
    label_rows = np.nonzero((labelled != bare).any(axis=(1, 2)))[0]
    assert label_rows.min() > 30
    assert label_rows.max() < 60
    assert np.nonzero((headed != bare).any(axis=(1, 2)))[0].max() < 25


def test_an_instance_at_the_border_has_a_closed_contour() -> None:
    drawn = draw_overlay(gray(), result(instance(1, 0, 0, 40)), labels=False, header=False)
    assert tuple(drawn[20, 0]) == PALETTE[0]
    assert tuple(drawn[0, 20]) == PALETTE[0]


def test_the_header_names_camera_time_frame_and_rate() -> None:
    text = header_text(result(), 3, 4.96)
    assert text.split("   ") == [
        "gate", "2026-11-23 12:00:00.2 UTC", "frame 7", "3 instances", "5.0 fps",
    ]  # fmt: skip


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(60, 80, 3\)"):
        draw_overlay(np.zeros((60, 80, 3), np.uint8), result())


def test_a_moving_object_keeps_its_colour_whatever_its_number() -> None:
    memory = ColorMemory()
    before = memory.assign(instances(instance(1, 20, 30, 20), instance(2, 80, 30, 20)))
    after = memory.assign(instances(instance(1, 82, 31, 20), instance(2, 22, 30, 20)))
    assert after == {1: before[2], 2: before[1]}


def test_a_new_object_gets_a_new_colour() -> None:
    memory = ColorMemory()
    before = memory.assign(instances(instance(1, 20, 30, 20)))
    after = memory.assign(instances(instance(1, 100, 80, 20), instance(2, 20, 30, 20)))
    assert after[2] == before[1]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 10, 10), 1.0), ((5, 0, 10, 10), 1 / 3), ((10, 0, 10, 10), 0.0)],
)
def test_the_overlap_of_boxes_is_intersection_over_union(
    other: tuple[int, int, int, int], expected: float
) -> None:
    assert box_overlap((0, 0, 10, 10), other) == pytest.approx(expected)
