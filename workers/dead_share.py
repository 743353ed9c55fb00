"""How much of what a worker reads becomes dead letters, camera by camera. Pure."""

import threading
from collections import Counter, OrderedDict, deque

from contract.frame import CAMERA_ID
from workers.records import Position

WINDOW_RECORDS = 100
"""Records that a camera's share is taken over, its last ones."""

MIN_RECORDS = 200
"""Fewer in all say nothing yet."""

_MIN_CAMERAS = 2
"""A single one that sends rubbish is that camera's trouble, also where it is alone in a worker:
the next worker, and the cameras that it has, would be stopped by it just so."""

_MOST_CAMERAS = 500
"""Those that were read last are remembered."""

_SILENT_READS = 1_000
"""A camera of which none of the last so many records is no longer counts: this worker may not read
it any more, since another one does or since it was switched off."""

_SILENT_READS_PER_CAMERA = 2 * WINDOW_RECORDS
"""Among many cameras it takes so many for each of them, so that slow ones go on counting."""

_KEY_BYTES = 200
"""More than a camera id has."""

_NO_CAMERA = ""
"""Stands for all records whose key is no camera id, so that random keys do not count as many."""


class _Camera:
    """The last records of a camera.

    Attributes:
        positions: Where they lay, the oldest first.
        dead: How many of them became dead letters.
        last_read: How many records of all cameras had been read with its last one.
    """

    __slots__ = ("dead", "last_read", "positions")

    def __init__(self) -> None:
        self.positions: deque[Position] = deque()
        self.dead = 0
        self.last_read = 0

    @property
    def share(self) -> float:
        """The share of dead letters among them."""
        return self.dead / len(self.positions)


class DeadShare:
    """The share of dead letters among the last records of each camera.

    So one camera that sends rubbish, however fast, and whether others send beside it or not, does
    not stop a worker; a faulty release of the producer, or a setting that fits no frame, does. So
    does a topic without any camera's frames, which is not ours. Cameras that the worker no longer
    reads do not count. Thread-safe.

    Args:
        limit: Largest share that is borne, the mean of the cameras', 0..1; 1 bears everything.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._cameras: OrderedDict[str, _Camera] = OrderedDict()
        self._reads: dict[Position, tuple[_Camera, str]] = {}  # with the reason of a dead letter
        self._count = 0
        self._written = 0
        self._any_camera = False
        self._exceeded: str | None = None

    @property
    def written(self) -> int:
        """Dead letters written so far."""
        with self._lock:
            return self._written

    @property
    def exceeded(self) -> str | None:
        """What was seen, once the limit was exceeded."""
        with self._lock:
            return self._exceeded

    def read(self, position: Position, key: bytes | None) -> None:
        """Count a record that was read."""
        camera = (key or b"")[:_KEY_BYTES].decode("ascii", "replace")
        if not CAMERA_ID.fullmatch(camera):
            camera = _NO_CAMERA
        with self._lock:
            if position in self._reads:
                return
            self._count += 1
            self._any_camera |= camera != _NO_CAMERA
            counts = self._cameras.setdefault(camera, _Camera())
            self._cameras.move_to_end(camera)
            counts.last_read = self._count
            counts.positions.append(position)
            self._reads[position] = (counts, "")
            if len(counts.positions) > WINDOW_RECORDS:
                _, reason = self._reads.pop(counts.positions.popleft())
                counts.dead -= bool(reason)
            self._forget()

    def dead(self, position: Position, reason: str) -> None:
        """Count a record that became a dead letter."""
        with self._lock:
            self._written += 1
            counts, before = self._reads.get(position, (None, ""))
            if counts is None or before:
                return
            self._reads[position] = (counts, reason)
            counts.dead += 1
            self._judge()

    def _forget(self) -> None:
        """Forget the cameras that no longer count, those that were read longest ago."""
        while True:
            known = len(self._cameras)
            borne = max(_SILENT_READS, _SILENT_READS_PER_CAMERA * known)
            oldest = next(iter(self._cameras.values()))
            if known <= _MOST_CAMERAS and self._count - oldest.last_read < borne:
                return
            self._cameras.popitem(last=False)
            for each in oldest.positions:
                del self._reads[each]

    def _judge(self) -> None:
        if self._exceeded is not None or self._count < MIN_RECORDS:
            return
        shares = [each.share for each in self._cameras.values()]
        share = sum(shares) / len(shares)
        bad = sum(1 for each in shares if each > self._limit)
        if share <= self._limit or (bad < _MIN_CAMERAS and self._any_camera):
            return
        reasons = Counter(reason for _, reason in self._reads.values() if reason)
        by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        self._exceeded = (
            f"{sum(reasons.values())} of the last {len(self._reads)} records became dead letters "
            f"({by_reason}), {share:.0%} with each of {len(shares)} cameras weighing the same"
        )
