"""What holds for a stage alone; the whole line is in test_worker_line.py."""

import threading
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from segmentation.engines.base import Predictions
from segmentation.letterbox import Fit
from segmentation.segmenter import Maps, Segmenter
from tests.fakes import FakeClock, FakeSegmenter, make_frame, make_job, wait_until
from workers.freshness import Freshness
from workers.metrics import WorkerMetrics
from workers.records import Position
from workers.stages.describe_stage import DescribeStage
from workers.stages.infer_stage import Mapped
from workers.stages.stage import StoppedError, ThreadStage
from workers.stages.stage_times import StageTimes, State


def spent(registry: CollectorRegistry, stage: str, state: State) -> float | None:
    labels = {"stage": stage, "state": state.value}
    return registry.get_sample_value("seedstream_stage_time_seconds_total", labels)


class Numbers(ThreadStage[int]):
    """Keeps what it has worked on; each piece of work waits for the gate."""

    def __init__(self, places: int = 2, most: int = 1) -> None:
        metrics = WorkerMetrics(CollectorRegistry())
        super().__init__("numbers", places, metrics.times("numbers"), most=most)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.seen: list[list[int]] = []
        self.refused: set[int] = set()

    def accept(self, item: int) -> bool:
        return item not in self.refused

    def work(self, items: Sequence[int]) -> None:
        self.entered.set()
        assert self.gate.wait(10)
        self.seen.append(list(items))


def test_room_is_bounded_and_does_not_count_what_is_in_work() -> None:
    stage = Numbers(places=2)
    assert stage.room == 2
    stage.start()
    stage.put(1)
    assert stage.entered.wait(5)
    assert stage.room == 2
    stage.put(2)
    stage.put(3)
    assert stage.room == 0
    stage.gate.set()
    wait_until(lambda: stage.seen == [[1], [2], [3]])
    assert stage.room == 2
    stage.stop()


def test_a_stage_takes_what_waits_and_no_more_than_its_most() -> None:
    stage = Numbers(places=8, most=3)
    stage.refused = {2}
    for number in range(6):
        stage.put(number)
    stage.gate.set()
    stage.start()
    wait_until(lambda: stage.seen == [[0, 1, 3], [4, 5]])
    stage.stop()


def test_who_waits_for_room_is_woken_by_it_and_by_the_end() -> None:
    stage = Numbers(places=1)
    stage.put(1)
    ended: list[str] = []

    def wait() -> None:
        try:
            stage.wait_for_room()
            ended.append("room")
        except StoppedError:
            ended.append("stopped")

    thread = threading.Thread(target=wait)
    thread.start()
    stage.start()  # takes the item
    thread.join(5)
    assert ended == ["room"]
    stage.put(2)
    thread = threading.Thread(target=wait)
    thread.start()
    stage.stop()
    thread.join(5)
    assert ended == ["room", "stopped"]
    stage.gate.set()


def test_the_end_leaves_what_waits_undone() -> None:
    stage = Numbers()
    stage.start()
    stage.put(1)
    stage.put(2)
    assert stage.entered.wait(5)
    (running,) = stage.stop()
    stage.gate.set()
    running.result(5)
    assert stage.seen == [[1]]
    stage.check()
    assert stage.ended


def test_beside_very_large_maps_no_others_are_made() -> None:
    def mapped(height: int, width: int, count: int = 1) -> Mapped:
        fits = [Fit.of((height, width), (height, width))] * count
        job = make_job(make_frame(), Position(0, 0, 1))
        image = np.zeros((1, 1, 3), np.uint8)
        return Mapped([job] * count, [image] * count, Maps(cast(Predictions, None), fits))

    metrics = WorkerMetrics(CollectorRegistry())
    following = Numbers()
    segmenter = cast(Segmenter, FakeSegmenter())
    stage = DescribeStage(cast("ThreadStage[object]", following), segmenter, metrics)  # type: ignore[arg-type]
    assert stage.room == 1
    assert stage.has_room_beside([mapped(1024, 2048, 8)])
    assert not stage.has_room_beside([mapped(1024, 2048, 8), mapped(8, 8)])
    assert not stage.has_room_beside([mapped(6500, 6500)])


def test_seconds_go_to_the_state_in_which_they_pass() -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    metrics = WorkerMetrics(registry)
    times = StageTimes(metrics.stage_time, "infer", clock)
    for state, seconds in ((State.INPUT, 3), (State.WORK, 2), (State.OUTPUT, 1), (None, 50)):
        times.enter(state)
        clock.now += seconds
    times.enter(State.INPUT)
    clock.now += 10
    times.enter(State.WORK, worked_seconds=4)
    assert [spent(registry, "infer", state) for state in State] == [9, 6, 1]


@pytest.mark.parametrize(
    ("age", "too_old", "gives_way"), [(0.4, False, False), (1, False, True), (3, True, True)]
)
def test_a_frame_is_too_old_or_gives_way_by_its_age(
    age: float, too_old: bool, gives_way: bool
) -> None:
    wall = FakeClock(1_800_000_000)
    job = make_job(make_frame(captured_at=wall.now - age), Position(0, 0, 1))
    live = Freshness(max_age_seconds=2, old_after_seconds=0.5, wall_clock=wall)
    assert live.live
    assert live.too_old(job.reference_seconds) is too_old
    assert live.gives_way(job) is gives_way
    complete = Freshness(wall_clock=wall)
    assert not complete.live
    assert not complete.too_old(job.reference_seconds)
    assert not complete.gives_way(job)
