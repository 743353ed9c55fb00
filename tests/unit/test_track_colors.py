import colorsys

import cv2
import numpy as np
import pytest

from segmentation.instances import ArrayMask, Identity, Instances
from viewer.colors import ColorMemory, track_color, track_label
from viewer.overlay import draw_instances, label_texts

SIZE = (100, 160)


def two(first: int, second: int, left: int = 10) -> Instances:
    """Two tracked objects, the first one on the left."""
    masks = [
        ArrayMask(np.ones((30, 20), np.bool_), (x, 40, 20, 30), SIZE) for x in (left, left + 60)
    ]
    found = Instances.of(SIZE, ("person",), [0, 0], [0.9, 1.0], [(0, 0)] * 2, [600] * 2, masks)
    return found.tracked([Identity(track, 0.0, (0.0, 0.0), True) for track in (first, second)])


@pytest.mark.parametrize("begin", [1, 9_000, 1_796_000_000_000])
def test_tracks_that_follow_each_other_have_colours_far_apart(begin: int) -> None:
    colors = np.array([[track_color(begin + i) for i in range(6)]], np.float32) / 255
    (seen,) = cv2.cvtColor(colors, cv2.COLOR_RGB2Lab)  # a difference of 2 is just visible
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert apart[np.triu_indices(6, 1)].min() > 15


def test_colours_are_neither_dark_nor_grey() -> None:
    for track in range(1, 500):
        _, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in track_color(track)))
        assert value > 0.5
        assert saturation > 0.25


def test_a_track_keeps_its_colour_wherever_it_goes() -> None:
    memory = ColorMemory()
    assert memory.assign(two(5, 8)) == {1: track_color(5), 2: track_color(8)}
    assert memory.assign(two(8, 5, left=70)) == {1: track_color(8), 2: track_color(5)}


def test_a_track_is_drawn_in_its_colour() -> None:
    drawn = draw_instances(np.zeros((*SIZE, 3), np.uint8), two(5, 8), labels=False)
    assert tuple(drawn[40, 20]) == track_color(5)
    assert tuple(drawn[40, 80]) == track_color(8)


@pytest.mark.parametrize(
    ("track", "label"),
    [(1, "#1"), (9_999, "#9999"), (10_042, "#0042"), (1_796_000_001_234, "#1234")],
)
def test_long_numbers_are_written_by_their_last_digits(track: int, label: str) -> None:
    assert track_label(track) == label


def test_labels_begin_with_the_track_where_there_is_one() -> None:
    assert label_texts(two(5, 1_796_000_000_012)) == ["#5 person 0.90", "#0012 person 1.00"]
    assert label_texts(two(5, 8).untracked()) == ["person 0.90", "person 1.00"]
