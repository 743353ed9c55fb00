"""Store: results into Redis, as many at once as wait; then their frames have ended."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from contract.result import Result
from workers.endings import Endings
from workers.interfaces import Sink
from workers.metrics import WorkerMetrics
from workers.records import Entry, Job, Sighting
from workers.stages.stage import ThreadStage

PLACES = 32
"""Results that wait while others are stored: a Redis that pauses for a moment stops no network.
All that wait are stored together, so a slow one costs round trips, not frames a second."""


class Described(NamedTuple):
    """A frame and what is known about it.

    Attributes:
        job: The frame.
        result: Its result.
        sighting: What tracks its instances; None where nothing is tracked.
        jpeg: Its picture, for who looks at the camera; empty where it has none.
    """

    job: Job
    result: Result
    sighting: Sighting | None = None
    jpeg: bytes = b""


class StoreStage(ThreadStage[Described]):
    """Stores results; one call of the sink at a time, which keeps each camera's order.

    Who the instances are is told here too, by the sink: only Redis knows which frame came before.

    Args:
        sink: Where to.
        endings: Ends frames.
        metrics: Told how long it takes.
        clock: Monotonic clock, in seconds.
        on_end: Called when the thread has ended.
    """

    def __init__(
        self,
        sink: Sink,
        endings: Endings,
        metrics: WorkerMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        times = metrics.times("store", clock)
        super().__init__("store", PLACES, times, most=PLACES, clock=clock, on_end=on_end)
        self._sink = sink
        self._endings = endings
        self._metrics = metrics

    def work(self, items: Sequence[Described]) -> None:
        """Store the results, then note that their frames are done."""
        began = self._clock()
        for job, *_ in items:
            job.enter("store")
        outcomes = self._sink.store(
            [
                Entry(result, job.record.log, job.position.number, sighting, jpeg)
                for job, result, sighting, jpeg in items
            ]
        )
        self._metrics.stage_seconds.labels("store").observe(self._clock() - began)
        for (job, result, *_), outcome in zip(items, outcomes, strict=True):
            self._endings.store(job, result, outcome)

    def stop(self) -> list[Future[Any]]:
        """See `stage.Stage`; a store that still tries is given up."""
        running = super().stop()
        self._sink.give_up()
        return running
