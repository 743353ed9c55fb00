from dataclasses import replace

import numpy as np
import pytest

from segmentation.instances import ArrayMask, Identity, Instances
from viewer.trails import TrailMemory, TrailPoint, draw_trails

SIZE = (100, 200)
RED = (255, 0, 0)


def frame(*objects: tuple[int, int, int]) -> Instances:
    """Objects of 10x20 pixels: track, x, y."""
    masks = [ArrayMask(np.ones((20, 10), np.bool_), (x, y, 10, 20), SIZE) for _, x, y in objects]
    n = len(objects)
    found = Instances.of(SIZE, ("person",), [0] * n, [0.9] * n, [(0, 0)] * n, [200] * n, masks)
    return found.tracked([Identity(track, 0.0, (0.0, 0.0), True) for track, _, _ in objects])


def test_a_trail_is_where_the_feet_were_with_how_long_ago() -> None:
    memory = TrailMemory(seconds=2.0)
    memory.add(10.0, frame((7, 20, 30)))
    ((track, points),) = memory.add(11.0, frame((7, 40, 32)))
    assert track == 7
    assert points == [TrailPoint(25, 50, 0.5), TrailPoint(45, 52, 0.0)]


def test_a_trail_ends_after_its_seconds_also_when_its_object_is_gone() -> None:
    memory = TrailMemory(seconds=2.0)
    for moment in (0.0, 1.0):
        memory.add(moment, frame((1, round(10 * moment), 0)))
    ((_, points),) = memory.add(2.5, frame())
    assert [point.age for point in points] == [0.75]
    assert memory.add(3.5, frame()) == []


def test_each_object_has_its_own_trail_whatever_its_place_in_the_frame() -> None:
    memory = TrailMemory()
    memory.add(0.0, frame((1, 0, 0), (2, 100, 0)))
    trails = dict(memory.add(0.1, frame((2, 101, 0), (1, 1, 0))))
    assert [point.x for point in trails[1]] == [5, 6]
    assert [point.x for point in trails[2]] == [105, 106]


def test_time_that_goes_back_begins_anew() -> None:
    memory = TrailMemory()
    memory.add(50.0, frame((1, 0, 0)))
    ((_, points),) = memory.add(3.0, frame((1, 90, 0)))
    assert len(points) == 1


def test_a_picture_of_another_size_begins_anew() -> None:
    memory = TrailMemory()
    memory.add(1.0, frame((1, 0, 0)))
    half = replace(frame((1, 90, 0)), size=(50, 100))
    ((_, points),) = memory.add(1.1, half)
    assert len(points) == 1


def test_instances_without_tracks_leave_no_trail() -> None:
    memory = TrailMemory()
    assert memory.add(0.0, frame((1, 0, 0)).untracked()) == []


def test_a_drawn_trail_fades_towards_its_old_end_and_leaves_the_rest_alone() -> None:
    image = np.full((*SIZE, 3), 100, np.uint8)
    points = [TrailPoint(20 + 10 * i, 50, 1 - i / 15) for i in range(16)]
    draw_trails(image, [(RED, points)])
    line = image[50, 40:165:20].astype(int)
    assert (np.diff(line[:, 0]) > 0).all(), "redder towards now"
    assert (np.diff(line[:, 1]) < 0).all()
    assert image[50, 165, 0] > 220
    assert (image[:40] == 100).all()
    assert (image[60:] == 100).all()


@pytest.mark.parametrize("places", [[(-50, -50), (-20, -30)], [(190, 90), (250, 130)], [(5, 5)]])
def test_a_trail_outside_the_picture_or_of_one_point_is_no_fault(
    places: list[tuple[int, int]],
) -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    draw_trails(image, [(RED, [TrailPoint(x, y, 0.0) for x, y in places])])
    assert image[:80, :180].sum() == 0
