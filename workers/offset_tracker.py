"""Which positions are done, and up to where each partition may be committed. Pure."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping

from workers.records import Position


class _Progress:
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.begun: deque[tuple[int, float | None]] = deque()
        self.done: set[int] = set()
        self.abandoned: set[int] = set()
        self.last_done_seconds: float | None = None
        self.next: int | None = None
        self.committed: int | None = None


class OffsetTracker:
    """Which positions are done, and up to where each partition may be committed; thread-safe.

    Frames finish in any order; Kafka commits one number per partition, everything below it. So only
    the contiguous done positions from the front count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[int, _Progress] = {}
        self._epoch = 0
        self._changed = threading.Event()

    def assign(self, partitions: Iterable[int]) -> None:
        """Start anew on ``partitions``; work begun under an earlier assignment no longer counts."""
        with self._lock:
            self._epoch += 1
            for partition in partitions:
                self._partitions[partition] = _Progress(self._epoch)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget ``partitions``: nothing of them will be committed any more."""
        with self._lock:
            for partition in partitions:
                self._partitions.pop(partition, None)

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that are owned."""
        with self._lock:
            return frozenset(self._partitions)

    def begin(
        self, partition: int, number: int, timestamp_seconds: float | None = None
    ) -> Position | None:
        """Note that a record is in flight; call in the order of ``number``.

        Args:
            partition: Kafka partition.
            number: Kafka's offset.
            timestamp_seconds: Time stamp of the record, seconds since 1970; None when unknown.

        Returns:
            The position to pass to ``finish``, or None when the partition is not owned.
        """
        with self._lock:
            progress = self._partitions.get(partition)
            if progress is None:
                return None
            progress.begun.append((number, timestamp_seconds))
            return Position(partition, number, progress.epoch)

    def finish(self, position: Position) -> None:
        """Note that a record needs no more work; ignored for an earlier assignment."""
        with self._lock:
            progress = self._current(position)
            if progress is None:
                return
            progress.done.add(position.number)
            while progress.begun and progress.begun[0][0] in progress.done:
                first, progress.last_done_seconds = progress.begun.popleft()
                progress.done.remove(first)
                progress.next = first + 1
        self._changed.set()

    def abandon(self, position: Position) -> None:
        """Note that a record is left to another worker: nothing from it on is committed here."""
        with self._lock:
            progress = self._current(position)
            if progress is not None:
                progress.abandoned.add(position.number)

    def is_current(self, position: Position) -> bool:
        """Return whether the position belongs to an assignment that still holds."""
        with self._lock:
            return self._current(position) is not None

    def in_flight(self, partitions: Iterable[int] | None = None) -> int:
        """Return how many records are begun and not yet done, of ``partitions`` or of all."""
        with self._lock:
            chosen = self._partitions if partitions is None else set(partitions)
            return sum(
                len(progress.begun) - len(progress.done) - len(progress.abandoned)
                for partition, progress in self._partitions.items()
                if partition in chosen
            )

    def front(self, partition: int) -> tuple[int, float | None] | None:
        """Return the partition's first position that is not done, and its time stamp.

        Returns:
            The position and its record's time stamp, None when it has none, or that of the last one
            done while it has not been read; None before the first record.
        """
        with self._lock:
            progress = self._partitions.get(partition)
            if progress is None:
                return None
            if progress.begun:
                return progress.begun[0]
            return None if progress.next is None else (progress.next, progress.last_done_seconds)

    @property
    def tracked(self) -> int:
        """How many numbers are held in memory: in flight, or done behind one in flight."""
        with self._lock:
            return sum(len(progress.begun) for progress in self._partitions.values())

    def committable(self) -> dict[int, int]:
        """Return partition -> next position to read, where it advanced since the last commit."""
        with self._lock:
            return {
                partition: progress.next
                for partition, progress in self._partitions.items()
                if progress.next is not None and progress.next != progress.committed
            }

    def mark_committed(self, committed: Mapping[int, int]) -> None:
        """Note what Kafka has acknowledged."""
        with self._lock:
            for partition, number in committed.items():
                progress = self._partitions.get(partition)
                if progress is not None:
                    progress.committed = number

    def wait(self, timeout_seconds: float) -> None:
        """Wait until a position is done or ``wake`` is called, at most ``timeout_seconds``."""
        self._changed.wait(timeout_seconds)
        self._changed.clear()

    def wake(self) -> None:
        """End ``wait``: something else has happened that its caller must look at."""
        self._changed.set()

    def _current(self, position: Position) -> _Progress | None:
        progress = self._partitions.get(position.partition)
        return progress if progress is not None and progress.epoch == position.epoch else None
