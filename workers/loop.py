"""The worker's loop: poll, admit, commit. It never blocks for long and never stops polling.

One thread owns it. The line of stages works in threads of its own and tells, through
``OffsetTracker``, what may be committed.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contract.errors import ConfigurationError, InvalidMessageError
from contract.frame import Frame, decode_frame
from contract.trace import FrameTrace
from workers.camera_log import CameraLog
from workers.dead_share import DeadShare
from workers.endings import Endings
from workers.freshness import TOO_OLD, Freshness, reference_seconds
from workers.interfaces import DeadLetterBox, Source
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.records import Change, Event, Job, Record
from workers.stages.line import Line
from workers.stages.stage_times import State

log = logging.getLogger(__name__)

MAX_TRACKED = 20_000
"""Most positions held in memory: in live mode, skipped ones behind a frame that still runs."""

_CAMERA_SERIES_SECONDS = 300.0
"""Metrics of a camera vanish this long after its last frame."""

_BUSY_SECONDS = 0.02

_EMPTY_POLL_SECONDS = 0.05
"""How often Kafka is polled while there is no room. It keeps the membership; at each frame's end it
would cost more than taking the frame from Kafka."""

_HOUSEKEEPING_SECONDS = 1.0

_AHEAD_SECONDS = 5.0
"""Clocks that agree no better than this deserve a warning."""

_DEAD_COMMIT_SECONDS = 0.05
"""How soon after a dead letter what is done is committed, lest the next owner write it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the loop goes by; the meaning is that of the settings of the same name.

    Attributes:
        max_ahead_seconds: How far a capture time may lie in the worker's future, in seconds.
        commit_interval_seconds: Shortest time between two commits of positions, in seconds.
    """

    max_ahead_seconds: float
    max_frame_bytes: int
    max_poll_records: int
    drain_seconds: float
    commit_interval_seconds: float = 0.5


class Loop:
    """The loop.

    Attributes:
        turned_at: Monotonic time of the last sign of life, in seconds.
        joined: Whether the group has been joined at least once.

    Args:
        source: Where records come from.
        line: What processes the frames.
        endings: Ends frames that never reach the line.
        dead_letters: Where invalid records go.
        positions: What is done, shared with ``endings`` and ``dead_letters``.
        metrics: Counts.
        rules: Settings.
        freshness: Tells which frames are dropped at once.
        dead_share: Tells when too much becomes dead letters.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        source: Source,
        line: Line,
        endings: Endings,
        dead_letters: DeadLetterBox,
        positions: OffsetTracker,
        metrics: WorkerMetrics,
        rules: Rules,
        freshness: Freshness,
        dead_share: DeadShare,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._line = line
        self._endings = endings
        self._dead_letters = dead_letters
        self._positions = positions
        self._metrics = metrics
        self._rules = rules
        self._dead_share = dead_share
        self._dead_committed = 0
        self._clock = clock
        self._freshness = freshness
        self._times = metrics.times("fetch", clock)
        self._committed_at = self._swept_at = self.turned_at = clock()
        self._polled_empty_at = -math.inf
        self._camera_log = CameraLog(clock)
        self.joined = False
        self._end_requested: Callable[[], bool] = lambda: False
        self._end_by = math.inf

    def run(self, end_requested: Callable[[], bool]) -> None:
        """Turn until the end is requested, then drain.

        Raises:
            UnavailableError: Kafka or Redis stays away; nothing unfinished was committed.
            ConfigurationError: Kafka or Redis refuses access, or too much became dead letters; what
                was done is committed then.
        """
        self._end_requested = end_requested
        try:
            while not end_requested() and self._dead_share.exceeded is None:
                self.turn()
            self.drain()
            self._check_share()
        finally:
            self._end_by = -math.inf  # leaving the group hands partitions over: no second wait

    def turn(self) -> None:
        """Do one round."""
        self._beat()
        room = self._room()
        records = self._poll(room) if room or self._empty_poll_is_due() else []
        for event in self._source.take_events():
            self._follow(event)
        for record in records:
            self._admit(record)
        if self._clock() - self._committed_at >= self._commit_interval():
            self._commit()
        self._sweep()
        if not room:
            self._times.enter(State.OUTPUT)
            self._positions.wait(_BUSY_SECONDS)
            self._times.enter(State.WORK)

    def drain(self) -> None:
        """Take no new records, finish what is in flight within the bound, and commit it."""
        self._begin_to_end()
        while self._positions.in_flight() and self._clock() < self._end_by:
            self._turn_without_records()
            self._positions.wait(_BUSY_SECONDS)
        left = self._positions.in_flight()
        if left:
            log.warning(
                "%d frames not finished within %g s: not committed, another worker takes over",
                left, self._rules.drain_seconds,
            )  # fmt: skip
        # Work that was done in a rebalance is committed after it, lest it be done again.
        while not self._commit() and self._source.rebalancing and self._clock() < self._end_by:
            self._turn_without_records()

    def hand_over(self, partitions: frozenset[int]) -> Mapping[int, int]:
        """Prepare for another worker to take partitions over, from another thread.

        Frames that no work has gone into are left to it; the others are finished within the bound.
        The loop's own thread waits in ``poll`` meanwhile. Once the end is requested, that is the
        bound of the drain; after the drain, nothing is waited for.

        Returns:
            What may be committed of the partitions.
        """
        self._line.abandon_waiting(partitions)
        give_up_at = self._clock() + self._rules.drain_seconds
        while (
            self._positions.in_flight(partitions)
            and self._clock() < min(give_up_at, self._end_by)
            and self._line.ended is None
        ):
            self.turned_at = self._clock()
            if self._end_requested():
                self._begin_to_end()
            self._positions.wait(_BUSY_SECONDS)
        ready = self._positions.committable()
        return {partition: ready[partition] for partition in partitions & ready.keys()}

    def _check_share(self) -> None:
        seen = self._dead_share.exceeded
        if seen is not None:
            raise ConfigurationError(
                f"stopped to keep the topic from draining into dead letters: {seen}; expected "
                "at most WORKER_MAX_DEAD_SHARE; look at them with `seedstream dead list`, fix "
                "their cause (the producers, or this worker's limits), send them again with "
                "`seedstream dead replay`; WORKER_MAX_DEAD_SHARE=1 goes on regardless"
            )

    def _poll(self, room: int) -> list[Record]:
        """Poll; its processor time is work (records are taken apart in it), the rest is waiting."""
        before = time.thread_time()
        self._times.enter(State.INPUT if room else State.OUTPUT)
        records = self._source.poll(room)
        worked = time.thread_time() - before
        self._times.enter(State.WORK, worked_seconds=worked)
        return records

    def _empty_poll_is_due(self) -> bool:
        now = self._clock()
        if now - self._polled_empty_at < _EMPTY_POLL_SECONDS:
            return False
        self._polled_empty_at = now
        return True

    def _turn_without_records(self) -> None:
        self._beat()
        self._source.poll(0)
        for event in self._source.take_events():
            self._follow(event)

    def _begin_to_end(self) -> None:
        if self._end_by == math.inf:
            self._end_by = self._clock() + self._rules.drain_seconds

    def _beat(self) -> None:
        self.turned_at = self._clock()
        self._line.check()
        self._dead_letters.check()

    def _room(self) -> int:
        if self._dead_letters.full or self._positions.tracked >= MAX_TRACKED:
            return 0
        if self._freshness.live:
            return self._rules.max_poll_records  # live: newcomers push out the oldest
        return min(self._line.room, self._rules.max_poll_records)

    def _admit(self, record: Record) -> None:
        position = self._positions.begin(record.partition, record.number, record.timestamp_seconds)
        if position is None:
            return  # of a partition that is no longer owned
        self._dead_share.read(position, record.key)
        if record.fault is not None:
            self._endings.bury(record, position, record.fault)
            return
        age = self._age(record.timestamp_seconds)
        if age is not None:
            self._metrics.fetched(age)
        try:
            frame = decode_frame(
                record.key, record.value, record.headers, max_bytes=self._rules.max_frame_bytes
            )
            self._check_clock(frame)
        except InvalidMessageError as error:
            self._endings.bury(record, position, error)
            return
        self._metrics.camera(frame.camera)
        reference = reference_seconds(frame, record)
        job = Job(record, position, frame, reference, _trace(frame, record))
        if self._freshness.too_old(job.reference_seconds):
            self._endings.skip(job, TOO_OLD)
            self._warn_old(frame.camera, self._freshness.age_seconds(job.reference_seconds))
            return
        self._line.put(job)

    def _follow(self, event: Event) -> None:
        self._metrics.rebalances.inc()
        log.info("partitions %s: %s", event.change.value, sorted(event.partitions))
        if event.change is Change.ASSIGNED:
            self._positions.assign(event.partitions)
            return
        self._line.abandon_waiting(event.partitions)
        self._positions.drop(event.partitions)
        self._metrics.forget_partitions(event.partitions)

    def _commit_interval(self) -> float:
        usual = self._rules.commit_interval_seconds
        dead = self._dead_share.written != self._dead_committed
        return min(usual, _DEAD_COMMIT_SECONDS) if dead else usual

    def _commit(self) -> bool:
        """Commit what is done; return whether nothing is left to be committed."""
        self._dead_committed = self._dead_share.written
        positions = self._positions.committable()
        committed = not positions or self._source.commit(positions)
        if positions and committed:
            self._positions.mark_committed(positions)
        self._committed_at = self._clock()
        return committed

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept_at < _HOUSEKEEPING_SECONDS:
            return
        self._swept_at = now
        self.joined = self.joined or self._source.joined
        for partition in self._positions.owned:
            self._show_lag(partition)
        self._metrics.forget_cameras(_CAMERA_SERIES_SECONDS)

    def _show_lag(self, partition: int) -> None:
        front, end = self._positions.front(partition), self._source.end(partition)
        if front is None or end is None:
            return
        records = max(0, end - front[0])
        self._metrics.lag(partition, records, self._age(front[1]) if records else 0.0)

    def _age(self, timestamp_seconds: float | None) -> float | None:
        # Below zero the sender's clock is ahead, or this one was set back.
        if timestamp_seconds is None:
            return None
        return max(0.0, self._freshness.age_seconds(timestamp_seconds))

    def _check_clock(self, frame: Frame) -> None:
        """Note a capture time that lies ahead of this worker's clock.

        Raises:
            InvalidMessageError: ``future_time``: it lies further ahead than the rules allow.
        """
        ahead = -self._freshness.age_seconds(frame.captured_at.timestamp())
        if ahead <= _AHEAD_SECONDS:
            return
        self._metrics.suspect(frame.camera, "ahead")
        self._camera_log.warn(
            frame.camera,
            "ahead",
            f"frames are captured {ahead:.1f} s in the future: the producer's clock is ahead, or "
            "this worker's is behind",
        )
        limit = self._rules.max_ahead_seconds
        if ahead > limit:
            raise InvalidMessageError(
                "future_time",
                f"captured {ahead:.0f} s ahead of this worker's clock, expected at most {limit:g} "
                "s: set the clocks of producers and workers",
            )

    def _warn_old(self, camera: str, age_seconds: float) -> None:
        self._camera_log.warn(
            camera,
            "too_old",
            f"frames arrive {age_seconds:.1f} s after capture and are skipped: a backlog, or the "
            "producer's clock is behind, or this worker's ahead",
        )


def _trace(frame: Frame, record: Record) -> FrameTrace | None:
    """Begin to trace a frame, from when its record was written; None unless it asks for that."""
    if frame.traceparent is None:
        return None
    written = record.timestamp_seconds
    trace = FrameTrace.following(
        frame.traceparent, "fetch", time.time() if written is None else written
    )
    if trace is not None:
        trace.enter("wait_decode")
    return trace
