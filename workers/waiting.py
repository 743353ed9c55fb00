"""The room where frames wait undecoded: bounded, fair to cameras, and in live mode newest wins.

Pure. While the network keeps up, the room is almost empty and every frame is taken in order. Under
overload the two modes differ:

- ``complete``: the room fills, the loop pauses the partitions, and the frames wait in Kafka.
- ``live``: a newcomer pushes out the oldest frame of the camera that holds the most places. The
  frames inside are then always the newest few of every camera, so the latency stays at about
  ``capacity`` divided by the rate at which frames arrive, whatever the network can do.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingRoom(Generic[T]):
    """A bounded queue for each camera, taken from in turn.

    Args:
        capacity: Most items that wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return self._size >= self._capacity

    def put(self, camera: str, item: T) -> T | None:
        """Let ``item`` wait; with no place left, return the item that had to go for it."""
        pushed_out = self._push_out() if self.full else None
        self._queues.setdefault(camera, deque()).append(item)
        self._size += 1
        return pushed_out

    def take(self) -> T | None:
        """Return the oldest item of the camera whose turn it is, or None when nobody waits."""
        if not self._queues:
            return None
        camera, queue = next(iter(self._queues.items()))
        item = queue.popleft()
        self._size -= 1
        if queue:
            self._queues.move_to_end(camera)
        else:
            del self._queues[camera]
        return item

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Throw out all items that are ``unwanted`` and return them."""
        removed: list[T] = []
        for camera, queue in list(self._queues.items()):
            removed += [item for item in queue if unwanted(item)]
            kept = deque(item for item in queue if not unwanted(item))
            if kept:
                self._queues[camera] = kept
            else:
                del self._queues[camera]
        self._size -= len(removed)
        return removed

    def _push_out(self) -> T:
        camera = max(self._queues, key=lambda name: len(self._queues[name]))
        queue = self._queues[camera]
        item = queue.popleft()
        self._size -= 1
        if not queue:
            del self._queues[camera]
        return item
