"""Every way in which a frame ends; each but the last makes its position one that may be committed.

- **stored**: Redis holds its result, or held it before, or holds newer ones.
- **skipped**: left out on purpose, see `workers.freshness`.
- **dead letter**: its record cannot be used; done once Kafka has acknowledged the letter.
- **abandoned**: left to the worker that takes over its partition; nothing from it on is committed.

The loop commits what is done up to the first position that is not, see `workers.offset_tracker`.
"""

import time
from collections import Counter
from collections.abc import Callable

from contract.errors import InvalidMessageError
from contract.result import Result
from contract.trace_export import Traces
from workers.camera_log import CameraLog
from workers.interfaces import DeadLetterBox
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.records import Job, Outcome, Position, Record

_WARNINGS = {
    Outcome.SET_BACK: "a session follows that began, by its clock, before the one it follows: was "
    "the producer's clock set back? Its frames are stored, in Kafka's order",
    Outcome.RESUMED: "a session goes on after another one began: the camera has moved to another "
    "partition meanwhile, or two producers send under its id; the frames of both are stored",
    Outcome.OUT_OF_ORDER: "frames are skipped because newer ones were stored before: they were "
    "left out when they first came, or came from another partition",
}


class Endings:
    """Ends frames: counts, warns, and notes their positions. Called by every stage's thread.

    Args:
        positions: What is done.
        dead_letters: Takes records that cannot be used.
        metrics: Counts.
        traces: Told of traced frames that have ended; None of none.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        positions: OffsetTracker,
        dead_letters: DeadLetterBox,
        metrics: WorkerMetrics,
        *,
        traces: Traces | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._positions = positions
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._traces = traces
        self._wall_clock = wall_clock
        self._camera_log = CameraLog(clock)

    def is_wanted(self, job: Job) -> bool:
        """Return whether the frame's partition is still this worker's, so that work on it counts.

        If it is not, the frame ends here without a trace: another worker processes it.
        """
        return self._positions.is_current(job.position)

    def skip(self, job: Job, reason: str) -> None:
        """Leave a frame out."""
        self._metrics.skipped(job.frame.camera, reason)
        self._positions.finish(job.position)
        self._trace(job, f"skipped: {reason}")

    def bury(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        """Send a record to the dead letters, in which no frame was found."""
        self._dead_letters.put(record, position, error)

    def bury_frame(self, job: Job, error: InvalidMessageError) -> None:
        """Send a frame whose image cannot be used to the dead letters."""
        self.bury(job.record, job.position, error)
        self._trace(job, f"dead letter: {error.reason}")

    def abandon(self, job: Job) -> None:
        """Leave a frame to another worker."""
        self._positions.abandon(job.position)

    def store(self, job: Job, result: Result, outcome: Outcome) -> None:
        """Note what became of a frame's result; called by the thread that stores alone."""
        if outcome in _WARNINGS:
            self._camera_log.warn(result.camera, outcome.value, _WARNINGS[outcome])
        if outcome in (Outcome.SET_BACK, Outcome.RESUMED):
            self._metrics.suspect(result.camera, outcome.value)
        if outcome.stored:
            latency = self._wall_clock() - result.captured_at.timestamp()
            classes = Counter(instance.class_name for instance in result.instances)
            self._metrics.stored(result.camera, latency, classes)
        elif outcome is Outcome.DUPLICATE:
            camera = self._metrics.camera(result.camera)
            self._metrics.frames_duplicate.labels(camera).inc()
        else:
            self._metrics.skipped(result.camera, outcome.value)
        self._positions.finish(job.position)
        self._trace(job, outcome.value)

    def _trace(self, job: Job, outcome: str) -> None:
        if job.trace is not None and self._traces is not None:
            at = (job.position.partition, job.position.number)
            self._traces.finish(job.trace, job.frame, outcome, at)
