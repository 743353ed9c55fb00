"""Which partition of the topic a camera's frames go to: balanced over the whole list.

A session never changes its partition, so Kafka keeps the order of its frames whatever happens to
the list. A camera that belongs elsewhere moves with its next session.
"""

import threading
from collections.abc import Iterable

from producer.assignment import assign


class Placement:
    """The partition of every session. Thread-safe.

    Args:
        ids: All cameras of the list, those of other processes too.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._ids = frozenset(ids)
        self._count = 0
        self._assigned: dict[str, int] = {}
        self._bound: dict[str, tuple[str, int]] = {}

    def apply(self, ids: Iterable[str]) -> None:
        """Take over a changed list, for sessions that begin from now on."""
        new = frozenset(ids)
        with self._lock:
            count = self._count
        assigned = assign(new, count, "partition") if count else {}
        with self._lock:
            self._ids = new
            if count == self._count:
                self._assigned = assigned
            else:  # the topic has grown meanwhile
                self._assigned = assign(new, self._count, "partition")

    def partition(self, camera: str, session: str, count: int) -> int:
        """Return the partition of a frame.

        Args:
            camera: Its camera.
            session: Its session.
            count: How many partitions the topic has now.
        """
        with self._lock:
            if count != self._count:
                self._count, self._assigned = count, assign(self._ids, count, "partition")
            bound = self._bound.get(camera)
            if bound is None or bound[0] != session or bound[1] >= count:
                bound = self._bound[camera] = session, self._home(camera)
            return bound[1]

    def misplaced(self) -> dict[str, str]:
        """Return the cameras whose session is in a partition that is no longer theirs."""
        with self._lock:
            return {
                camera: session
                for camera, (session, partition) in self._bound.items()
                if camera in self._assigned and self._assigned[camera] != partition
            }

    def forget(self, camera: str) -> None:
        """Forget a camera of which no frame will come."""
        with self._lock:
            self._bound.pop(camera, None)

    def _home(self, camera: str) -> int:
        found = self._assigned.get(camera)
        return assign((camera,), self._count, "partition")[camera] if found is None else found
