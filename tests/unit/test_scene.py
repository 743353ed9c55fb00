"""The synthetic scene: its objects are where it says, in every frame, on every machine."""

import cv2
import numpy as np
import pytest

from producer.scene import Scene
from tests.scenes import visible_boxes


def test_the_address_gives_the_scene_and_its_defaults() -> None:
    assert Scene.parse("test:") == Scene()
    assert Scene.parse("test:?size=320x240&fps=7.5&objects=3&seed=4&frames=9") == Scene(
        width=320, height=240, fps=7.5, objects=3, seed=4, frames=9
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("test:?speed=3", "unknown parameter speed"),
        ("test:?fps=x", "not a number"),
        ("test:?size=640", "not a number"),
        ("test:?size=641x480", "even sides"),
        ("test:?size=64x99999998", "even sides"),
        ("test:?fps=0", "0 < fps"),
        ("test:?fps=nan", "0 < fps"),
        ("test:?fps=1e-320", "fps 9.99989e-321, .* at least 0.001"),
        ("test:?objects=-1", "0 <= objects"),
        ("test:?frames=0", "frames of test: is 0"),
    ],
)
def test_a_wrong_address_is_refused(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Scene.parse(url)


def test_a_frame_depends_on_the_parameters_and_its_number_alone() -> None:
    one, other = Scene(objects=6, seed=3), Scene(objects=6, seed=3)
    other.render(99)
    np.testing.assert_array_equal(one.render(40)[0], other.render(40)[0])
    assert (one.render(40)[0] != one.render(41)[0]).any()
    assert (one.render(40)[0] != Scene(objects=6, seed=4).render(40)[0]).any()


def test_the_image_differs_from_the_empty_street_exactly_where_objects_are() -> None:
    scene = Scene(objects=5, seed=2)
    image, instances = scene.render(10)
    empty, nothing = Scene(objects=0, seed=2).render(10)
    assert not nothing.any()
    changed = (image != empty).any(axis=2)
    assert not (changed & (instances == 0)).any()
    assert changed[instances > 0].mean() > 0.99  # a pixel may happen to have the street's colour


@pytest.mark.parametrize("number", [0, 1, 17, 500])
def test_each_visible_object_lies_in_the_box_that_its_position_gives(number: int) -> None:
    scene = Scene(objects=6, seed=1)
    boxes = visible_boxes(scene.render(number)[1])
    assert boxes
    for label, (x, y, width, height) in boxes.items():
        mover = scene.movers()[label - 1]
        center = scene.position(mover, number)
        assert center - mover.width / 2 - 2 <= x
        assert x + width <= center + mover.width / 2 + 2
        assert mover.base - mover.height - 2 <= y
        assert y + height <= mover.base + 3


def test_an_object_moves_by_its_speed_and_comes_back_on_the_other_side() -> None:
    scene = Scene(seed=5)
    mover = scene.movers()[0]
    step = scene.position(mover, 1) - scene.position(mover, 0)
    assert step == pytest.approx(mover.speed) or abs(step) > scene.width
    positions = [scene.position(mover, number) for number in range(0, 3000, 7)]
    assert min(positions) >= -mover.width
    assert max(positions) <= scene.width + mover.width
    assert max(positions) - min(positions) > scene.width


def test_an_unoccluded_object_is_one_connected_piece() -> None:
    scene = Scene(objects=1, seed=0)
    number = next(n for n in range(500) if 150 < scene.position(scene.movers()[0], n) < 450)
    pieces, _ = cv2.connectedComponents(scene.render(number)[1].astype(np.uint8))
    assert pieces == 2  # background and the object
