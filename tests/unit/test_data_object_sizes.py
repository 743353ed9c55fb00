"""How large objects are as the model sees them."""

import numpy as np
import pytest

from model.data.labels import IGNORE, Labelled
from model.data.object_sizes import median_area, object_areas


def picture(*boxes: tuple[int, int, int, int], ignored: int = 0) -> Labelled:
    """Objects (x, y, width, height) on 100x200 pixels; the first few columns are ignored."""
    instances = np.zeros((100, 200), np.int32)
    for number, (x, y, width, height) in enumerate(boxes, start=7):
        instances[y : y + height, x : x + width] = number
    labels = (instances > 0).astype(np.uint8)
    labels[:, :ignored] = IGNORE
    return Labelled(np.zeros((100, 200, 3), np.uint8), instances, labels)


def test_areas_are_in_pixels_of_the_input_and_leave_out_what_is_ignored() -> None:
    shown = picture((0, 0, 5, 5), (10, 10, 20, 10), (60, 60, 40, 40), ignored=5)
    assert object_areas(shown, (100, 200)).tolist() == [200, 1600]
    assert object_areas(shown, (50, 100)).tolist() == [50, 400]
    assert object_areas(shown, (400, 400)).tolist() == pytest.approx([800, 6400])


def test_the_median_is_over_the_objects_of_all_pictures() -> None:
    pictures = [picture((0, 0, 10, 10), (50, 0, 10, 20)), picture((0, 0, 30, 30)), picture()]
    assert median_area(object_areas(each, (100, 200)) for each in pictures) == 200
    assert median_area([]) is None
    assert median_area([object_areas(picture(), (100, 200))]) is None
