"""The room where frames wait undecoded: bounded, fair to cameras, and in live mode newest wins.

Pure. While the network keeps up, the room is almost empty and every frame is taken in order. Under
overload the two modes differ:

- ``complete``: the room fills, the loop pauses the partitions, and the frames wait in Kafka.
- ``live``: a newcomer pushes out the oldest frame of the camera that holds the most, and a
  frame that has grown old gives way, when its turn comes, to a newer one of its camera. So the
  latency stays near the age that counts as old, whatever the network can do, and a burst that the
  network can work off costs no frame.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A bounded queue for each camera, taken from in turn.

    Args:
        capacity: Most items that wait.
        max_bytes: Most bytes that wait; a larger item still may, alone.
        bytes_of: Returns the size of an item, in bytes.
    """

    def __init__(self, capacity: int, max_bytes: int, bytes_of: Callable[[T], int]) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._bytes_of = bytes_of
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._size

    @property
    def places(self) -> int:
        """How many items may come; none once the bytes are used up."""
        return max(0, self._capacity - self._size) if self._bytes < self._max_bytes else 0

    def holds(self, camera: str) -> bool:
        """Return whether an item of ``camera`` waits."""
        return camera in self._queues

    def make_room(self, item: T) -> list[T]:
        """Throw out what must go before ``item`` can come, and return it.

        It is the oldest item of the camera that holds the most places, or the most bytes where
        those are short, and so on.
        """
        pushed_out: list[T] = []
        while self._queues:
            if self._bytes + self._bytes_of(item) > self._max_bytes:
                pushed_out.append(self._push_out(lambda queue: sum(map(self._bytes_of, queue))))
            elif self._size >= self._capacity:
                pushed_out.append(self._push_out(len))
            else:
                break
        return pushed_out

    def put(self, camera: str, item: T) -> None:
        """Let ``item`` wait; look at ``places`` or call ``make_room`` before."""
        self._queues.setdefault(camera, deque()).append(item)
        self._count(item, 1)

    def take(
        self,
        gives_way: Callable[[T], bool] = lambda item: False,
        held_up: Callable[[str], bool] = lambda camera: False,
    ) -> tuple[T | None, list[T]]:
        """Take the oldest item of the camera whose turn it is.

        Args:
            gives_way: Whether an item is left out where a newer one of its camera waits.
            held_up: Whether the items of a camera have to go on waiting.

        Returns:
            The item, None when nobody waits who may come; and those that gave way to it, oldest
            first.
        """
        camera = next((each for each in self._queues if not held_up(each)), None)
        if camera is None:
            return None, []
        queue = self._queues[camera]
        gave_way: list[T] = []
        while len(queue) > 1 and gives_way(queue[0]):
            gave_way.append(queue.popleft())
        item = queue.popleft()
        for gone in (item, *gave_way):
            self._count(gone, -1)
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
        for item in removed:
            self._count(item, -1)
        return removed

    def _push_out(self, weight: Callable[[deque[T]], int]) -> T:
        camera = max(self._queues, key=lambda name: weight(self._queues[name]))
        queue = self._queues[camera]
        item = queue.popleft()
        self._count(item, -1)
        if not queue:
            del self._queues[camera]
        return item

    def _count(self, item: T, sign: int) -> None:
        self._size += sign
        self._bytes += sign * self._bytes_of(item)
