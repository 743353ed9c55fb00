"""How much of what a worker reads becomes dead letters. Pure."""

import threading
from collections import OrderedDict

from contract.frame import CAMERA_ID
from workers.records import Position

WINDOW_RECORDS = 1_000
"""Records that the share is taken over, the last ones that the worker read."""

MIN_RECORDS = 200
"""Fewer say nothing yet."""

_KEY_BYTES = 200
"""More than a camera id has."""

_NO_CAMERA = ""
"""Stands for all records whose key is no camera id, so that random keys do not count as many."""


class DeadShare:
    """The share of dead letters among the last records, in which each camera weighs the same.

    So one camera that sends rubbish, however fast, does not stop a worker that has others; a faulty
    release of the producer, or a setting that fits no frame, does. Thread-safe.

    Args:
        limit: Largest share that is borne, 0..1; 1 bears everything.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._window: OrderedDict[Position, tuple[str, list[str]]] = OrderedDict()
        self._cameras: dict[str, list[int]] = {}
        self._written = 0
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
            self._window[position] = (camera, [])
            self._cameras.setdefault(camera, [0, 0])[0] += 1
            while len(self._window) > WINDOW_RECORDS:
                self._forget_first()

    def dead(self, position: Position, reason: str) -> None:
        """Count a record that became a dead letter."""
        with self._lock:
            self._written += 1
            camera, reasons = self._window.get(position, (None, []))
            if camera is None or reasons:
                return
            reasons.append(reason)
            self._cameras[camera][1] += 1
            self._judge()

    def _forget_first(self) -> None:
        _, (camera, reasons) = self._window.popitem(last=False)
        counts = self._cameras[camera]
        counts[0] -= 1
        counts[1] -= len(reasons)
        if not counts[0]:
            del self._cameras[camera]

    def _judge(self) -> None:
        read = len(self._window)
        if self._exceeded is not None or read < MIN_RECORDS:
            return
        share = sum(dead / of for of, dead in self._cameras.values()) / len(self._cameras)
        if share <= self._limit:
            return
        counts: dict[str, int] = {}
        for _, reasons in self._window.values():
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
        by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
        self._exceeded = (
            f"{sum(counts.values())} of the last {read} records became dead letters ({by_reason}), "
            f"{share:.0%} with each of {len(self._cameras)} cameras weighing the same"
        )
