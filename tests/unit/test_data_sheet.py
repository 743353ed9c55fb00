import numpy as np
import pytest

from model.data.labels import IGNORE, Labelled
from model.data.sheet import contact_sheet, draw_labels

GROUND = 48


def picture(height: int = 40, width: int = 80) -> Labelled:
    instances = np.zeros((height, width), np.int32)
    instances[10:20, 10:30] = 1
    instances[10:20, 40:60] = 70_000
    labels = (instances > 0).astype(np.uint8)
    labels[30:, :] = IGNORE
    return Labelled(np.full((height, width, 3), 100, np.uint8), instances, labels)


def test_a_sheet_has_a_cell_for_every_picture_and_keeps_the_aspect():
    sheet = contact_sheet([picture(), picture(80, 40), picture()], columns=2, side=80)

    assert sheet.shape == (2 * 84 + 4, 2 * 84 + 4, 3)
    first = sheet[4:84, 4:84]
    assert (first[:20] == GROUND).all()
    assert (first[21:59] != GROUND).any(axis=2).all()
    second = sheet[4:84, 88:168]
    assert (second[:, :20] == GROUND).all()
    assert (second[:, 21:59] != GROUND).any(axis=2).all()
    assert (sheet[88:, 88:] == GROUND).all()


def test_every_instance_has_its_own_colour_and_the_background_keeps_its_own():
    drawn = draw_labels(picture())

    assert drawn[5, 5].tolist() == [100, 100, 100]
    assert drawn[15, 20].tolist() != drawn[15, 50].tolist()
    assert drawn[15, 20].tolist() != [100, 100, 100]


def test_instances_are_outlined_and_ignored_pixels_hatched():
    drawn = draw_labels(picture())

    assert drawn[15, 29].tolist() == [255, 255, 255]
    assert {tuple(pixel) for pixel in drawn[32].tolist()} == {(117, 117, 117), (230, 230, 230)}


def test_touching_instances_are_told_apart():
    instances = np.ones((10, 10), np.int32)
    instances[:, 5:] = 2
    drawn = draw_labels(
        Labelled(np.zeros((10, 10, 3), np.uint8), instances, np.ones((10, 10), np.uint8))
    )

    assert (drawn[:9, 4] == 255).all()


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 pictures"):
        contact_sheet([])
