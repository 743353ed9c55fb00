import numpy as np
import pytest
from pycocotools import mask as coco_mask

from model.data.flaws import Flaw, FlawKind, describe_flaws
from model.data.shapes import box_rle, outline

HEIGHT, WIDTH = 40, 60


def pixels(rle: object) -> np.ndarray:
    """Return the mask."""
    return coco_mask.decode(rle).astype(bool)


def test_an_outline_is_clipped_to_its_picture_and_says_so():
    found = outline([[50, 10, 70, 10, 70, 20, 50, 20]], HEIGHT, WIDTH)

    assert found.kinds == (FlawKind.CLIPPED,)
    assert not found.lost
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[10:20, 50:] = True
    assert np.array_equal(pixels(found.rle), expected)


def test_a_corner_that_was_rounded_outwards_is_no_flaw():
    assert outline([[50, 10, 61, 10, 61, 20, 50, 20]], HEIGHT, WIDTH).kinds == ()


def test_a_sliver_becomes_the_box_around_its_corners():
    found = outline([[5, 7, 9.5, 7]], HEIGHT, WIDTH)

    assert found.kinds == (FlawKind.SLIVER,)
    assert found.lost
    ys, xs = np.nonzero(pixels(found.rle))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (5, 9, 7, 7)


def test_a_sliver_beside_good_polygons_costs_itself_alone():
    good = [5, 5, 15, 5, 15, 15, 5, 15]
    found = outline([good, [30, 30, 31, 30]], HEIGHT, WIDTH)

    assert found.kinds == (FlawKind.PART_DROPPED,)
    assert not found.lost
    assert np.array_equal(pixels(found.rle), pixels(outline([good], HEIGHT, WIDTH).rle))


def test_an_outline_without_a_pixel_is_ignored_around_its_corners():
    found = outline([[5, 5, 9, 9, 7, 7]], HEIGHT, WIDTH)

    assert found.kinds == (FlawKind.EMPTY,)
    assert pixels(found.rle).sum() == 25


@pytest.mark.parametrize(
    ("polygons", "fault"),
    [
        ([], "has no polygon"),
        ([[70, 5, 90, 5, 90, 9]], "wholly outside the picture of 60x40 pixels"),
        ([[10, 5, 600, 5, 600, 9]], "far outside the picture of 60x40 pixels"),
        ([[10, 5, float("nan"), 5, 20, 9]], "not a number"),
        ([[10, 5, 20, 5, 20, 9, 3]], "odd number"),
    ],
)
def test_an_outline_whose_place_is_unknown_is_a_fault(polygons: list[list[float]], fault: str):
    found = outline(polygons, HEIGHT, WIDTH)

    assert found.rle is None
    assert fault in found.faults[0]


def test_a_box_covers_the_pixels_that_it_touches():
    assert pixels(box_rle((-3, 1.5, 1.5, 3), HEIGHT, WIDTH)).sum() == 2 * 2


def test_flaws_are_counted_by_kind_with_the_first_of_each():
    found = [
        ("a", Flaw(FlawKind.SLIVER, "annotation 3")),
        ("a", Flaw(FlawKind.CLIPPED, "annotation 4")),
        ("b", Flaw(FlawKind.SLIVER, "line 1")),
    ]

    assert describe_flaws(found) == [
        "outline beyond the picture's edge, clipped: 1 object (first: a, annotation 4)",
        "outline of fewer than three corners, ignored: 2 objects (first: a, annotation 3)",
    ]
