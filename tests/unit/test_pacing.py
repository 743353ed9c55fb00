"""When frames are kept, captured and due, and when a camera is tried again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.pacing import (
    ArrivalAnchor,
    CaptureClock,
    FrameCap,
    MediaClock,
    Schedule,
    backoff_seconds,
)


def kept(cap: FrameCap, times: list[float]) -> list[float]:
    return [time for time in times if cap.admit(time)]


def test_without_a_cap_every_frame_is_kept() -> None:
    assert kept(FrameCap(None), [0.0, 0.0, 0.1]) == [0.0, 0.0, 0.1]


@pytest.mark.parametrize("fps", [1, 5, 10, 12.5, 24])
def test_a_cap_below_the_camera_keeps_its_rate_and_no_more(fps: float) -> None:
    times = [number / 25 for number in range(2500)]
    assert len(kept(FrameCap(fps), times)) == pytest.approx(fps * 100, abs=1)


def test_a_camera_that_jitters_around_its_cap_loses_no_frame() -> None:
    times = [number / 10 + (0.03 if number % 2 else -0.03) for number in range(1000)]
    assert kept(FrameCap(10), times) == times


def test_a_camera_slower_than_its_cap_loses_no_frame() -> None:
    times = [number / 7 for number in range(100)]
    assert kept(FrameCap(10), times) == times


def test_after_a_pause_there_is_no_burst_to_catch_up() -> None:
    cap = FrameCap(10)
    kept(cap, [0.0, 0.1])
    after = kept(cap, [60 + number / 100 for number in range(100)])
    assert len(after) <= 11


def test_kept_frames_are_evenly_spread() -> None:
    times = kept(FrameCap(10), [number / 30 for number in range(300)])
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) > 0.06
    assert max(gaps) < 0.14


def test_media_time_begins_at_zero_and_follows_the_stamps() -> None:
    clock = MediaClock(25)
    assert [clock.time(stamp) for stamp in (7.0, 7.5, 8.5)] == [0.0, 0.5, 1.5]


def test_missing_stamps_advance_by_the_frame_rate() -> None:
    clock = MediaClock(10)
    assert [clock.time(None) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_stamps_that_repeat_or_jump_back_still_give_ascending_times() -> None:
    clock = MediaClock(10)
    times = [clock.time(stamp) for stamp in (None, 5.0, 5.0, 5.1, 0.0, 0.1, None)]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(times[-3] + 0.2)


def test_a_frame_is_due_its_media_time_after_the_first() -> None:
    schedule = Schedule()
    assert schedule.wait_seconds(0.0, 100.0) == 0.0
    assert schedule.wait_seconds(0.5, 100.2) == pytest.approx(0.3)


def test_a_file_that_fell_far_behind_does_not_play_faster_to_catch_up() -> None:
    schedule = Schedule(slack_seconds=0.5)
    schedule.wait_seconds(0.0, 0.0)
    assert schedule.wait_seconds(0.1, 10.0) == 0.0
    assert schedule.wait_seconds(0.2, 10.0) == pytest.approx(0.1)


def test_a_large_gap_of_the_stamps_is_waited_for_only_in_part_and_moves_the_schedule() -> None:
    schedule = Schedule(longest_seconds=10.0)
    schedule.wait_seconds(0.0, 0.0)
    assert schedule.wait_seconds(3600.0, 0.0) == 10.0
    assert schedule.wait_seconds(3600.1, 10.0) == pytest.approx(0.1)


def test_a_small_delay_is_made_up_for() -> None:
    schedule = Schedule(slack_seconds=0.5)
    schedule.wait_seconds(0.0, 0.0)
    assert schedule.wait_seconds(0.1, 0.3) == 0.0
    assert schedule.wait_seconds(0.4, 0.3) == pytest.approx(0.1)


def test_waits_double_up_to_the_ceiling_and_scale_with_the_draw() -> None:
    waits = [backoff_seconds(failures, 0.5, 30.0, 1.0) for failures in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff_seconds(3, 0.5, 30.0, 0.25) == 0.5
    assert backoff_seconds(5, 0.5, 30.0, 0.0) == 0.0


def test_a_camera_that_is_away_for_a_year_does_not_overflow_the_backoff() -> None:
    assert backoff_seconds(1_000_000, 0.5, 30.0, 0.5) == 15.0


Arrivals = list[tuple[float | None, float]]

STEADY: Arrivals = [(number / 10, 50 + number / 10) for number in range(20)]


@pytest.mark.parametrize(
    ("arrivals", "ages"),
    [
        pytest.param(STEADY, [0.0] * 20, id="as captured: a constant delay does not show"),
        pytest.param(
            [*STEADY[:2], (0.2, 52.2), (0.3, 52.2), (1.2, 52.2), (2.2, 52.2), (2.3, 52.3)],
            [0, 0, 2.0, 1.9, 1.0, 0, 0],
            id="a backlog of two seconds, read at once",
        ),
        pytest.param(
            [(0.0, 50.0), (0.1, 51.1), (0.2, 52.2), (0.3, 53.3)],
            [0, 1.0, 2.0, 3.0],
            id="a decoder that falls behind",
        ),
        pytest.param(
            [(0.0, 55.0), (1.0, 55.0), (2.0, 55.0), (2.1, 55.1), (2.2, 56.2)],
            [0, 0, 0, 0, 1.0],
            id="what lay there at the connection is older than it seems, what follows is not",
        ),
        pytest.param(
            [(0.0, 50.03), (0.1, 50.1), (0.2, 50.25), (0.3, 50.3), (0.4, 50.44)],
            [0, 0, 0.05, 0, 0.04],
            id="jitter",
        ),
        pytest.param(
            [(None, 50.0), (7.0, 50.1), (7.1, 51.2), (None, 51.2), (7.3, 51.3), (7.4, 51.9)],
            [0, 0, 1.0, 0, 0, 0.5],
            id="no time stamp",
        ),
        pytest.param(
            [(95_443.6, 50.0), (95_443.7, 50.1), (0.0, 50.2), (0.1, 50.3), (0.2, 50.9)],
            [0, 0, 0, 0, 0.5],
            id="time stamps that wrap",
        ),
        pytest.param(
            [(0.0, 50.0), (3600.0, 50.1), (3600.1, 50.2), (3600.2, 50.8)],
            [0, 0, 0, 0.5],
            id="time stamps that jump ahead",
        ),
        pytest.param(
            [(0.0, 50.0), (1.0, 54.0), (1.0, 54.0), (1.1, 54.1)],
            [0, 2.92, 2.92, 2.92],
            id="a time stamp that comes twice hides no backlog",
        ),
        pytest.param(
            [(0.0, 50.0), (0.1, 75.0), (0.2, 75.1), (0.3, 75.7)],
            [0, 0, 0, 0.5],
            id="farther behind than a live stream can be",
        ),
    ],
)
def test_the_age_of_a_live_frame_is_told_by_its_time_stamp(
    arrivals: Arrivals, ages: list[float]
) -> None:
    anchor = ArrivalAnchor()
    told = [anchor.age_seconds(stamp, arrived) for stamp, arrived in arrivals]
    assert told == pytest.approx(ages, abs=0.07), "but for the anchor's rise"


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_a_camera_whose_clock_runs_wrong_builds_up_no_age_over_a_week(drift: float) -> None:
    anchor = ArrivalAnchor()
    week = [second * (1 + drift) for second in range(0, 7 * 86_400, 10)]
    ages = [anchor.age_seconds(10.0 * number, arrived) for number, arrived in enumerate(week)]
    assert max(ages) < 0.01


@pytest.mark.parametrize(("real", "stamped"), [(29.7, 30), (24.9, 25), (14.8, 15), (30.3, 30)])
def test_a_camera_that_strays_from_its_nominal_rate_is_never_taken_for_late(
    real: float, stamped: float
) -> None:
    anchor = ArrivalAnchor()
    frames = range(int(real * 3600))
    ages = [anchor.age_seconds(number / stamped, number / real) for number in frames]
    assert max(ages) < 0.1


def test_a_backlog_that_stays_is_shown_for_more_than_a_minute() -> None:
    anchor = ArrivalAnchor()
    anchor.age_seconds(0.0, 0.0)
    ages = [anchor.age_seconds(second, second + 2.0) for second in range(1, 121)]
    assert ages[0] == pytest.approx(2.0, abs=0.1)
    assert ages[29] > 1.3
    assert ages[59] > 0.7


def test_a_camera_that_counts_frames_instead_of_time_is_soon_taken_at_its_arrivals() -> None:
    anchor = ArrivalAnchor()
    # Stamped for 25 frames a second, of which ten come.
    ages = [anchor.age_seconds(number / 25, number / 10) for number in range(6000)]
    assert max(ages) <= 10.0
    assert set(ages[600:]) == {0.0}


@given(
    st.lists(st.tuples(st.none() | st.floats(-1e5, 1e5), st.floats(0, 20)), min_size=1, max_size=50)
)
def test_whatever_the_time_stamps_a_capture_time_is_never_to_come_and_never_descends(
    steps: Arrivals,
) -> None:
    anchor, arrived, last = ArrivalAnchor(), 1000.0, 0.0
    for stamp, step in steps:
        arrived += step
        age = anchor.age_seconds(stamp, arrived)
        assert 0 <= age <= 10.0 + 1e-6
        assert arrived - age >= last - 1e-9
        last = arrived - age


def test_capture_times_follow_the_wall_clock_and_do_not_cross_each_other() -> None:
    clock = CaptureClock()
    assert clock.time(0.5, 1000.0) == 999.5
    assert clock.time(0.7, 1000.1) == 999.5, "later than it by less than the clocks' reading"
    assert clock.time(0.0, 1000.2) == 1000.2
    assert clock.time(0.5, 900.0) == 899.5, "the clock was set back"
    assert clock.time(0.0, 1500.0) == 1500.0


def test_a_file_that_is_late_says_since_when_its_frame_was_due() -> None:
    schedule = Schedule(slack_seconds=0.5)
    schedule.wait_seconds(0.0, 100.0)
    assert schedule.late_seconds(0.0, 100.0) == 0.0
    schedule.wait_seconds(0.1, 100.4)
    assert schedule.late_seconds(0.1, 100.4) == pytest.approx(0.3)
    schedule.wait_seconds(0.2, 110.0)
    assert schedule.late_seconds(0.2, 110.0) == 0.0, "too late: the schedule has moved"


@pytest.mark.parametrize("fps", [5e-324, 1e-309, 1e-9])
def test_however_low_a_cap_is_it_keeps_few_frames(fps: float) -> None:
    assert kept(FrameCap(fps), [number * 60.0 for number in range(600)]) == [0.0]
