"""When frames are kept, when they are due, and when a camera is tried again."""

import itertools

import pytest

from producer.pacing import FrameCap, MediaClock, Schedule, backoff_seconds


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
