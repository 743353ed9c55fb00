import dataclasses
import threading

import pytest
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError, InvalidMessageError, UnavailableError
from tests.fakes import FakeClock, FakeDeadLetters, FakeSource, make_frame, make_record
from workers import loop as loop_module
from workers.dead_share import DeadShare
from workers.endings import Endings
from workers.freshness import Freshness, reference_seconds
from workers.loop import Loop, Rules
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.records import Change, Event, Job, Record


class FakeWork:
    """Keeps jobs until the test finishes them."""

    def __init__(self, positions: OffsetTracker, room: int = 8) -> None:
        self._positions = positions
        self.room = room
        self.jobs: list[Job] = []
        self.abandoned: list[int] = []
        self.ended: str | None = None
        self.failure: Exception | None = None
        self.on_check = lambda: None

    def put(self, job: Job) -> None:
        self.jobs.append(job)

    def abandon_waiting(self, partitions: frozenset[int]) -> None:
        self.abandoned += partitions

    def check(self) -> None:
        self.on_check()
        if self.failure is not None:
            raise self.failure

    def finish(self, *indices: int) -> None:
        for index in indices:
            self._positions.finish(self.jobs[index].position)


class Bench:
    """A loop with fakes around it; both clocks stand still."""

    def __init__(self, max_age_seconds: float | None = None) -> None:
        self.clock, self.wall = FakeClock(), FakeClock(1_800_000_000.0)
        self.source, self.dead = FakeSource(partitions=(0, 1)), FakeDeadLetters()
        self.positions = OffsetTracker()
        self.work = FakeWork(self.positions)
        self.registry = CollectorRegistry()
        rules = Rules(
            max_ahead_seconds=86_400,
            max_frame_bytes=100_000,
            max_poll_records=64,
            drain_seconds=5,
            commit_interval_seconds=0,
        )
        metrics = WorkerMetrics(self.registry, clock=self.clock)
        self.share = DeadShare(0.8)
        freshness = Freshness(max_age_seconds=max_age_seconds, wall_clock=self.wall)
        endings = Endings(self.positions, self.dead, metrics, clock=self.clock)
        self.loop = Loop(
            self.source, self.work, endings, self.dead, self.positions, metrics, rules, freshness,
            self.share, clock=self.clock,
        )  # fmt: skip

    def record(self, number: int, age: float = 0.0, camera: str = "gate") -> Record:
        return make_record(make_frame(camera, number, captured_at=self.wall.now - age), number)

    def feed(self, *records: Record) -> None:
        self.source.fed += records
        self.loop.turn()

    def lag(self) -> tuple[float | None, float | None]:
        names = ("seedstream_lag_records", "seedstream_lag_seconds")
        records, seconds = (self.registry.get_sample_value(n, {"partition": "0"}) for n in names)
        return records, seconds

    def skipped(self, reason: str = "too_old") -> float | None:
        labels = {"camera": "gate", "reason": reason}
        return self.registry.get_sample_value("seedstream_frames_skipped_total", labels)


def without_time_stamp(record: Record) -> Record:
    return dataclasses.replace(record, timestamp_seconds=None)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def live() -> Bench:
    return Bench(max_age_seconds=2.0)


def test_a_frame_is_committed_only_after_its_work_is_done(bench: Bench) -> None:
    bench.feed(bench.record(0), bench.record(1))
    bench.loop.turn()
    assert bench.source.commits == []
    bench.work.finish(1)
    bench.loop.turn()
    assert bench.source.commits == []
    bench.work.finish(0)
    bench.loop.turn()
    assert bench.source.commits == [{0: 2}]


def test_a_refused_commit_is_tried_again(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.finish(0)
    bench.source.refuse_commits = True
    bench.loop.turn()
    bench.source.refuse_commits = False
    bench.loop.turn()
    assert bench.source.commits == [{0: 1}]


def test_live_mode_skips_and_counts_old_frames_and_commits_past_them(live: Bench) -> None:
    live.feed(live.record(0, age=2.1), live.record(1, age=1.9))
    assert [job.frame.sequence for job in live.work.jobs] == [1]
    assert live.skipped() == 1
    assert live.source.commits == [{0: 1}]


def test_complete_mode_skips_nothing_however_old(bench: Bench) -> None:
    bench.feed(bench.record(0, age=86_400))
    assert len(bench.work.jobs) == 1


def test_a_capture_clock_that_runs_ahead_does_not_keep_frames_fresh_for_ever(live: Bench) -> None:
    frame = make_frame(captured_at=live.wall.now + 3600)
    live.feed(make_record(frame, 0, timestamp_seconds=live.wall.now - 3))
    assert live.work.jobs == []
    assert live.skipped() == 1


def test_a_frame_from_the_future_by_both_clocks_is_as_good_as_new(live: Bench) -> None:
    live.feed(make_record(make_frame(captured_at=live.wall.now + 3600), 0))
    assert len(live.work.jobs) == 1


def suspect(bench: Bench) -> float | None:
    labels = {"camera": "gate", "reason": "ahead"}
    return bench.registry.get_sample_value("seedstream_frames_suspect_total", labels)


def test_a_frame_from_beyond_the_bound_is_dead_lettered_and_the_rest_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.feed(bench.record(0, age=-86_401), bench.record(1, age=-86_399), bench.record(2))
    assert bench.dead.reasons == ["future_time"]
    assert [job.frame.sequence for job in bench.work.jobs] == [1, 2]
    assert suspect(bench) == 2
    assert caplog.text.count("camera gate: frames are captured 86401.0 s in the future") == 1
    assert caplog.text.count("in the future") == 1, "one warning a minute"


def test_a_clock_a_little_ahead_is_not_worth_a_word(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.feed(bench.record(0, age=-4.9))
    assert suspect(bench) is None
    assert caplog.text == ""


def test_a_warning_of_a_camera_comes_again_after_a_minute_and_for_each_camera(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        bench.feed(bench.record(0, age=-10), bench.record(1, age=-10, camera="yard"))
        bench.clock.now += 61
    assert caplog.text.count("camera gate: frames are captured") == 2
    assert caplog.text.count("camera yard: frames are captured") == 2


def test_a_record_stamped_years_ago_adds_nothing_to_the_stages_beyond_a_day(bench: Bench) -> None:
    bench.feed(make_record(make_frame(captured_at=bench.wall.now), 0, timestamp_seconds=1e9))
    seconds = bench.registry.get_sample_value("seedstream_stage_seconds_sum", {"stage": "fetch"})
    assert seconds == 86_400


def test_a_record_without_time_stamp_counts_from_its_capture() -> None:
    frame = make_frame(captured_at=1_700_000_000)
    assert reference_seconds(frame, without_time_stamp(make_record(frame, 0))) == 1.7e9


def test_a_record_without_time_stamp_adds_nothing_to_the_stages_and_no_lag_in_seconds(
    bench: Bench,
) -> None:
    bench.feed(bench.record(89, age=3))
    bench.work.finish(0)
    bench.clock.now += 2
    bench.feed(without_time_stamp(bench.record(90)))
    fetch = {"stage": "fetch"}
    assert bench.registry.get_sample_value("seedstream_stage_seconds_count", fetch) == 1
    seconds = bench.registry.get_sample_value("seedstream_stage_seconds_sum", fetch)
    assert seconds == pytest.approx(3)
    assert bench.lag() == (10, None)
    bench.work.finish(1)
    bench.clock.now += 2
    bench.loop.turn()
    assert bench.lag() == (9, None)


def test_an_invalid_record_is_dead_lettered_and_the_rest_goes_on(bench: Bench) -> None:
    poison = Record(0, 0, b"gate", b"?", [], 0.0)
    bench.feed(poison, bench.record(1))
    assert bench.dead.reasons == ["missing_header"]
    assert [job.position.number for job in bench.work.jobs] == [1]
    bench.work.finish(0)
    bench.loop.turn()
    assert bench.source.commits == []
    bench.positions.finish(bench.dead.letters[0][1])
    bench.loop.turn()
    assert bench.source.commits == [{0: 2}]


def test_an_oversized_value_is_dead_lettered(bench: Bench) -> None:
    bench.feed(make_record(make_frame(data=b"x" * 100_001), 0))
    assert bench.dead.reasons == ["oversized"]


def test_polling_goes_on_without_taking_records_while_there_is_no_room(bench: Bench) -> None:
    bench.work.room = 0
    bench.feed(bench.record(0))
    assert bench.source.asked[-1] == 0
    assert bench.work.jobs == []


def test_without_room_kafka_is_polled_now_and_then_but_at_once_when_there_is_some(
    bench: Bench,
) -> None:
    bench.work.room = 0
    bench.clock.now += 1
    before = len(bench.source.asked)
    for _ in range(5):
        bench.feed()
        bench.clock.now += 0.03
    assert bench.source.asked[before:] == [0, 0, 0]
    bench.feed(bench.record(0))
    assert bench.work.jobs == []
    bench.work.room = 5
    bench.feed()
    assert len(bench.work.jobs) == 1


def test_no_more_is_taken_than_there_is_room_for(bench: Bench) -> None:
    bench.work.room = 3
    bench.feed(*(bench.record(number) for number in range(9)))
    assert len(bench.work.jobs) == 3


def test_live_mode_takes_records_even_without_room(live: Bench) -> None:
    live.work.room = 0
    live.feed(live.record(0))
    assert len(live.work.jobs) == 1


def test_a_full_dead_letter_box_stops_the_taking(live: Bench) -> None:
    live.dead.full = True
    live.feed(live.record(0))
    assert live.work.jobs == []


def test_skipped_positions_in_memory_are_bounded(
    live: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "MAX_TRACKED", 3)
    live.feed(live.record(0), live.record(1, age=9), live.record(2, age=9))
    live.feed(live.record(3))
    assert live.source.asked[-1] == 0
    live.work.finish(0)
    live.loop.turn()
    assert live.source.asked[-1] > 0


def test_before_partitions_go_what_is_in_flight_is_finished(bench: Bench) -> None:
    bench.feed(bench.record(0), bench.record(1))
    finisher = threading.Timer(0.05, bench.work.finish, (0, 1))
    finisher.start()
    assert bench.loop.hand_over(frozenset({0})) == {0: 2}
    assert bench.work.abandoned == [0]


def test_what_does_not_finish_in_time_is_not_handed_over_as_done(bench: Bench) -> None:
    bench.feed(bench.record(0), bench.record(1))
    bench.work.finish(0)
    bench.clock.step = 1.0
    assert bench.loop.hand_over(frozenset({0})) == {0: 1}


def test_the_hand_over_does_not_wait_for_work_that_has_ended(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.ended = True
    assert bench.loop.hand_over(frozenset({0})) == {}


def test_the_hand_over_tells_only_of_the_partitions_that_go(bench: Bench) -> None:
    bench.source.refuse_commits = True
    bench.feed(bench.record(0), make_record(make_frame("yard"), 5, partition=1))
    bench.work.finish(0, 1)
    assert bench.loop.hand_over(frozenset({1})) == {1: 6}


def test_revoked_partitions_are_not_committed_any_more(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.source.events = [Event(Change.REVOKED, frozenset({0}))]
    bench.loop.turn()
    bench.work.finish(0)
    bench.loop.turn()
    assert bench.source.commits == []
    assert bench.positions.owned == {1}


def test_lost_partitions_are_dropped_without_a_commit(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.finish(0)
    bench.source.events = [Event(Change.LOST, frozenset({0}))]
    bench.loop.turn()
    bench.loop.turn()
    assert bench.source.commits == []


def test_the_end_drains_and_commits_what_is_in_flight(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.on_check = lambda: bench.work.finish(0)
    bench.loop.run(lambda: True)
    assert bench.source.commits == [{0: 1}]
    assert bench.source.asked[-1] == 0


def test_what_was_done_before_the_end_is_committed_after_a_rebalance(bench: Bench) -> None:
    bench.source.refuse_commits = bench.source.rebalancing = True
    bench.feed(bench.record(0))
    bench.work.finish(0)
    polls = len(bench.source.asked)

    def complete() -> None:
        if len(bench.source.asked) == polls + 3:
            bench.source.refuse_commits = bench.source.rebalancing = False

    bench.source.on_poll = complete
    bench.loop.drain()
    assert bench.source.commits == [{0: 1}]
    assert set(bench.source.asked[polls:]) == {0}  # no new records


def test_a_rebalance_that_does_not_end_holds_the_end_up_no_longer_than_the_drain(
    bench: Bench,
) -> None:
    bench.source.refuse_commits = bench.source.rebalancing = True
    bench.feed(bench.record(0))
    bench.work.finish(0)
    began, bench.clock.step = bench.clock.now, 0.1
    bench.loop.drain()
    assert bench.source.commits == []
    assert 5 <= bench.clock.now - began < 6


def test_the_drain_is_bounded_and_leaves_unfinished_work_uncommitted(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.on_check = lambda: setattr(bench.clock, "now", bench.clock.now + 1)
    bench.loop.run(lambda: True)
    assert bench.source.commits == []


def test_after_the_drain_leaving_the_group_waits_for_nothing(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.on_check = lambda: setattr(bench.clock, "now", bench.clock.now + 1)
    bench.loop.run(lambda: True)
    before = bench.clock.now
    bench.clock.step = 0.01
    assert bench.loop.hand_over(frozenset({0})) == {}
    assert bench.clock.now - before < 0.1


def test_a_hand_over_and_the_drain_share_one_bound_once_the_end_is_requested(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.source.on_poll = lambda: bench.loop.hand_over(frozenset({0}))
    bench.clock.step = 0.5
    began = bench.clock.now
    bench.loop.run(lambda: True)
    assert bench.clock.now - began < 5 + 3


def test_when_the_work_has_ended_the_loop_ends_with_nothing_committed(bench: Bench) -> None:
    bench.feed(bench.record(0))
    bench.work.failure = UnavailableError("Redis is away")
    with pytest.raises(UnavailableError, match="Redis is away"):
        bench.loop.run(lambda: False)
    assert bench.source.commits == []


def test_the_lag_is_shown_in_records_and_seconds(bench: Bench) -> None:
    bench.feed(bench.record(90, age=4))
    bench.clock.now += 2
    bench.loop.turn()
    assert bench.lag() == (10, pytest.approx(4))


def test_a_record_that_cannot_be_read_is_a_dead_letter_with_its_reason(bench: Bench) -> None:
    fault = InvalidMessageError("unreadable_header", "the name is not UTF-8")
    bench.feed(dataclasses.replace(bench.record(0), fault=fault), bench.record(1))
    assert [(record.number, error) for record, _, error in bench.dead.letters] == [(0, fault)]
    assert [job.position.number for job in bench.work.jobs] == [1]


def test_too_many_dead_letters_end_the_loop_after_what_is_done_is_committed(bench: Bench) -> None:
    bench.source.fed += [
        without_headers(bench.record(number, camera=f"camera-{number % 2}"))
        for number in range(300)
    ]

    def acknowledge() -> None:
        while bench.dead.letters:
            _, position, error = bench.dead.letters.pop()
            bench.positions.finish(position)
            bench.share.dead(position, error.reason)

    bench.work.on_check = acknowledge
    with pytest.raises(ConfigurationError, match=r"missing_header \d+\).*WORKER_MAX_DEAD_SHARE"):
        bench.loop.run(lambda: False)
    assert 200 <= bench.share.written < 300
    assert bench.source.commits[-1] == {0: bench.share.written}


def test_what_a_dead_letter_frees_is_committed_at_once(bench: Bench) -> None:
    bench.loop._rules = dataclasses.replace(bench.loop._rules, commit_interval_seconds=60)
    bench.feed(without_headers(bench.record(0)), bench.record(1))
    _, position, error = bench.dead.letters[0]
    bench.positions.finish(position)
    bench.clock.now += 1
    bench.loop.turn()
    assert bench.source.commits == []
    bench.share.dead(position, error.reason)
    bench.loop.turn()
    assert bench.source.commits == [{0: 1}]
    bench.work.finish(0)
    bench.clock.now += 1
    bench.loop.turn()
    assert bench.source.commits == [{0: 1}]


def without_headers(record: Record) -> Record:
    return dataclasses.replace(record, headers=())
