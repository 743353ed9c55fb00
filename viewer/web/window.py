"""Which picture a page gets next: a window of few unacknowledged pictures over all its tiles. Pure.

A page that is slow to draw gets fewer pictures, each the newest of its camera, and all its tiles
get their turn: next comes the one that was sent longest ago. Nothing waits in line, so no picture
is older than it must be.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_PICTURES = 4
"""Unacknowledged pictures of a page."""

MAX_BYTES = 640 * 1024
"""Unacknowledged bytes of a page; a single larger picture still passes, alone."""


@dataclass
class Window:
    """The tiles of one page and what it has not acknowledged.

    Attributes:
        max_pictures: Most unacknowledged pictures.
        max_bytes: Most unacknowledged bytes.
    """

    max_pictures: int = MAX_PICTURES
    max_bytes: int = MAX_BYTES
    _tiles: dict[str, int] = field(default_factory=dict)  # camera -> turn in which it was sent
    _waiting: set[str] = field(default_factory=set)
    _queue: list[tuple[int, str]] = field(default_factory=list)  # of those that wait, and others
    _on_the_way: dict[int, int] = field(default_factory=dict)  # number -> bytes
    _bytes: int = 0
    _last: int = 0

    @property
    def tiles(self) -> Iterable[str]:
        """The cameras of the page."""
        return self._tiles.keys()

    @property
    def unacknowledged(self) -> int:
        """How many pictures are on the way."""
        return len(self._on_the_way)

    def show(self, cameras: Iterable[str]) -> list[str]:
        """Replace the tiles; those that stay keep their turn.

        Returns:
            The cameras that are new.
        """
        before = self._tiles
        self._tiles = {camera: before.get(camera, 0) for camera in cameras}
        self._waiting &= self._tiles.keys()
        self._queue = [(self._tiles[camera], camera) for camera in self._waiting]
        heapq.heapify(self._queue)
        return [camera for camera in self._tiles if camera not in before]

    def offer(self, camera: str) -> bool:
        """Note that a camera has a picture that this page was not sent.

        Returns:
            Whether an older one of the camera, which still waited, will never be sent.
        """
        if camera in self._waiting:
            return True
        if camera in self._tiles:
            self._waiting.add(camera)
            heapq.heappush(self._queue, (self._tiles[camera], camera))
        return False

    def next(self) -> str | None:
        """Return the camera whose picture is to be sent now, None while there is none, or no room.

        It is sent, or `skip` is called.
        """
        if len(self._on_the_way) >= self.max_pictures or self._bytes >= self.max_bytes:
            return None
        return self._queue[0][1] if self._queue else None

    def sent(self, camera: str, size_bytes: int) -> int:
        """Note that the newest picture of the camera that `next` returned is sent.

        Returns:
            Its number, by which it is acknowledged.
        """
        self.skip(camera)
        self._last += 1
        if camera in self._tiles:
            self._tiles[camera] = self._last
        self._on_the_way[self._last] = size_bytes
        self._bytes += size_bytes
        return self._last

    def skip(self, camera: str) -> None:
        """Note that a camera that was offered has no picture after all."""
        self._waiting.discard(camera)
        if self._queue and self._queue[0][1] == camera:
            heapq.heappop(self._queue)

    def fits(self, size_bytes: int) -> bool:
        """Return whether a picture of this size may be sent now."""
        return not self._on_the_way or self._bytes + size_bytes <= self.max_bytes

    def acknowledge(self, number: int) -> None:
        """Note that a picture was drawn, or given up; other numbers are ignored."""
        self._bytes -= self._on_the_way.pop(number, 0)
