import numpy as np

from segmentation.instances import ArrayMask, Identity, Instances
from tracking.mot_text import mot_line, mot_lines


def two_boxes() -> Instances:
    masks = [
        ArrayMask(np.ones((h, w), np.bool_), (x, y, w, h), (90, 120))
        for x, y, w, h in ((0, 0, 4, 5), (100, 60, 12, 30))
    ]
    return Instances.of(
        (90, 120), ("person",), [0, 0], [0.91234, 1.0], [(2, 2.5), (106, 75)], [20, 360], masks
    )


def test_a_line_counts_frames_and_pixels_from_one() -> None:
    assert mot_line(7, 12, (0, 9.5, 30, 60.25), 0.5) == "7,12,1,10.5,30,60.25,0.5,-1,-1,-1\n"


def test_large_numbers_are_written_in_full() -> None:
    assert mot_line(1_234_567, 1_796_000_000_000, (1_234_567.5, 0, 1, 1), 1.0) == (
        "1234567,1796000000000,1234568.5,1,1,1,1,-1,-1,-1\n"
    )


def test_a_frame_has_a_line_for_each_tracked_instance() -> None:
    who = [Identity(3, 0.0, (0.0, 0.0), False), Identity(1, 1.0, (2.0, 0.0), True)]
    assert mot_lines(5, two_boxes().tracked(who)) == (
        "5,3,1,1,4,5,0.9123,-1,-1,-1\n5,1,101,61,12,30,1,-1,-1,-1\n"
    )


def test_instances_that_nobody_tracked_have_no_line() -> None:
    assert mot_lines(5, two_boxes()) == ""
