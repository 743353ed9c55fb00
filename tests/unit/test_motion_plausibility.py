from dataclasses import replace

import numpy as np
import pytest

from model.motion.motion_options import Motion
from model.motion.object_scale import adapted, fit_perspective, searched
from model.motion.pieces import Piece
from model.motion.plausibility import Evidence, goes_on, is_flat
from model.motion.stretches import held_out
from model.motion.tracks import Tracks

GOOD = Evidence(
    explained=0.6, more_above=0.05, more_below=0.1, flat=0.0, objects=900, tracks=20, seconds=300
)


def piece(left: int, bottom: int, height: int, width: int | None = None) -> Piece:
    mask = np.ones((height, width or max(1, round(0.35 * height))), bool)
    return Piece(mask, left, bottom - height, 1.0, mask.shape[1])


def people(count: int, share: float = 0.4) -> list[Piece]:
    """People whose heights follow the rows of their feet."""
    return [
        piece(10 * k, 100 + 7 * k % 150, round(share * (100 + 7 * k % 150))) for k in range(count)
    ]


def test_the_line_is_that_of_the_people_and_not_of_twice_as_many_birds():
    birds = [piece(5 * k, 100 + 11 * k % 150, 18) for k in range(80)]

    slope, intercept = fit_perspective([*people(40), *birds])

    assert slope == pytest.approx(0.4, abs=0.02)
    assert intercept == pytest.approx(0, abs=4)


def test_of_people_and_their_legs_the_people_are_taken():
    legs = [piece(p.left, p.bottom, p.height // 2, p.width) for p in people(90)]

    slope, _ = fit_perspective([*people(30), *legs])

    assert slope == pytest.approx(0.4, abs=0.02)


def test_a_few_taller_pieces_do_not_outweigh_the_many():
    pairs = [piece(p.left, p.bottom, 2 * p.height) for p in people(3)]

    slope, _ = fit_perspective([*people(60), *pairs])

    assert slope == pytest.approx(0.4, abs=0.02)


def test_the_smallest_object_follows_the_objects_of_the_video():
    preset = Motion().for_picture(2160, 3840)
    small, large = [piece(0, 300, 60) for _ in range(30)], [piece(0, 2000, 900) for _ in range(30)]

    assert preset.min_pixels > small[0].pixels > searched(preset).min_pixels
    assert adapted(preset, small).min_pixels < small[0].pixels / 2
    assert adapted(preset, large).min_pixels > preset.min_pixels
    assert adapted(preset, []) == preset


def test_sizes_that_somebody_gives_are_left_alone():
    preset = Motion(adapt=False).for_picture(2160, 3840)

    assert searched(preset) == adapted(preset, [piece(0, 300, 60)]) == preset


def test_good_labels_are_believed():
    assert GOOD.faults() == GOOD.doubts() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"explained": 0.01}, "the labels explain 1% of what moves, expected at least 5%"),
        ({"more_above": 0.8}, "80% of the labels have something moving right above them"),
        ({"more_below": 0.8}, "80% of the labels have something moving right below them"),
        ({"flat": 0.9}, "90% of the labels are as wide at the top"),
        ({"seconds": 3}, "3 seconds of video, expected at least 5"),
        ({"tracks": 1}, "1 different objects, expected at least 2"),
    ],
)
def test_labels_beyond_a_bound_are_refused(values, message):
    (fault,) = replace(GOOD, **values).faults()
    (doubt,) = replace(GOOD, **values).doubts()

    assert fault.startswith(message)
    assert doubt.split(",")[0] == fault.split(",")[0]


@pytest.mark.parametrize(
    "values",
    [
        {"explained": 0.15},
        {"more_above": 0.3},
        {"flat": 0.3},
        {"seconds": 12},
        {"tracks": 3},
        {"objects": 12},
    ],
)
def test_doubtful_labels_are_kept_with_a_warning(values):
    assert replace(GOOD, **values).faults() == []
    assert len(replace(GOOD, **values).doubts()) == 1


def test_what_is_unknown_is_no_reason_to_doubt():
    unknown = replace(GOOD, more_above=None, more_below=None, flat=None, tracks=None, seconds=0)

    assert unknown.doubts() == []


def test_faint_motion_above_a_piece_tells_that_it_goes_on():
    legs = piece(40, 90, 30)
    traces = np.ones((120, 100), np.float32)
    traces[30:60, 40:52] = 3

    assert goes_on(legs, traces) == (True, False)
    assert goes_on(piece(40, 30, 30), traces) == (None, True)


def test_a_head_is_told_from_a_waist():
    person = piece(0, 60, 50, 20)
    person.mask[:8, :6] = person.mask[:8, 14:] = False

    assert not is_flat(person)
    assert is_flat(piece(0, 60, 50, 20))


def test_one_walker_is_one_track_also_past_a_post():
    tracks = Tracks()
    for index in [*range(10), *range(16, 30)]:
        tracks.add(index, [piece(5 * index, 100, 40), piece(300 - 6 * index, 200, 80)])

    assert tracks.count() == 2


def test_one_who_comes_much_later_is_another():
    tracks = Tracks()
    for index in [*range(10), *range(50, 60)]:
        tracks.add(index, [piece(5 * (index % 50), 100, 40)])

    assert tracks.count() == 2


def test_whoever_takes_the_same_place_seconds_later_is_another():
    tracks = Tracks(interval=0.6)
    for index in [*range(10), *range(15, 25)]:
        tracks.add(index, [piece(100, 100, 40)])

    assert tracks.count() == 2


def test_frames_too_far_apart_tell_nothing_of_tracks():
    tracks = Tracks()
    for index in range(20):
        tracks.add(index, [piece(150 * index, 100, 40)])

    assert tracks.count() is None


def test_several_stretches_of_a_long_video_validate():
    objects = [2] * 1000

    held = held_out(objects, 0.15)

    begins = [index for index in held if index - 1 not in held]
    assert len(held) == 150
    assert begins == [170, 370, 570, 770, 970]


def test_objects_and_not_frames_are_shared_out():
    objects = [3] * 100 + [0] * 500  # nobody comes any more

    held = held_out(objects, 0.15)

    assert sum(objects[index] for index in held) == pytest.approx(45, abs=9)


def test_a_short_video_validates_at_its_end():
    assert held_out([1] * 60, 0.15) == list(range(51, 60))
    assert held_out([1] * 60, 0) == held_out([0] * 60, 0.15) == []
