"""The room where frames wait undecoded: bounded, fair to cameras, and in live mode newest wins.

Pure. While the network keeps up, the room is almost empty and every frame is taken in order. Under
overload the two modes differ:

- ``complete``: the room fills, the loop pauses the partitions, and the frames wait in Kafka.
- ``live``: a newcomer pushes out the oldest frame of the camera that holds the most places, and a
  frame that has grown old gives way, when its turn comes, to a newer one of its camera. So the
  latency stays near the age that counts as old, whatever the network can do, and a burst that the
  network can work off costs no frame.
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

    def holds(self, camera: str) -> bool:
        """Return whether an item of ``camera`` waits."""
        return camera in self._queues

    def put(self, camera: str, item: T) -> T | None:
        """Let ``item`` wait; with no place left, return the item that had to go for it."""
        pushed_out = self._push_out() if self.full else None
        self._queues.setdefault(camera, deque()).append(item)
        self._size += 1
        return pushed_out

    def take(self, gives_way: Callable[[T], bool] = lambda item: False) -> tuple[T | None, list[T]]:
        """Take the oldest item of the camera whose turn it is.

        Args:
            gives_way: Whether an item is left out where a newer one of its camera waits.

        Returns:
            The item, None when nobody waits; and those that gave way to it, oldest first.
        """
        if not self._queues:
            return None, []
        camera, queue = next(iter(self._queues.items()))
        gave_way: list[T] = []
        while len(queue) > 1 and gives_way(queue[0]):
            gave_way.append(queue.popleft())
        item = queue.popleft()
        self._size -= 1 + len(gave_way)
        if queue:
            self._queues.move_to_end(camera)
        else:
            del self._queues[camera]
        return item, gave_way

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
