"""Encoded frames on their way from the cameras' threads to the one publishing thread."""

import threading
from collections import deque
from collections.abc import Callable

from contract.frame import Frame
from producer.metrics import DropReason


class Outbox:
    """A bounded buffer for each camera, emptied in turn so that no camera starves another.

    Args:
        on_drop: Called with each frame that leaves the buffer unpublished, and why.
    """

    def __init__(self, on_drop: Callable[[Frame, DropReason], None]) -> None:
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._buffers: dict[str, deque[Frame]] = {}
        self._turns: deque[str] = deque()
        self._closed = False
        self._refused = 0

    def put(self, frame: Frame, capacity: int, *, wait: bool) -> bool:
        """Add a frame, which must count as captured already.

        Args:
            frame: The frame.
            capacity: Frames of its camera that may lie here.
            wait: Whether a full buffer makes the caller wait; else the oldest frame is dropped.

        Returns:
            Whether the frame was taken; it is not once the outbox is closed, and counts as dropped.
        """
        pushed_out = []
        with self._changed:
            buffer = self._buffers.setdefault(frame.camera, deque())
            while wait and len(buffer) >= capacity and not self._closed:
                self._changed.wait()
            taken = not self._closed
            if taken:
                while len(buffer) >= capacity:
                    pushed_out.append(buffer.popleft())
                buffer.append(frame)
                if len(buffer) == 1 and frame.camera not in self._turns:
                    self._turns.append(frame.camera)
                self._changed.notify_all()
        for lost in pushed_out:
            self._on_drop(lost, "buffer_full")
        if not taken:
            self.refuse(frame)
        return taken

    def refuse(self, frame: Frame) -> None:
        """Drop a frame that came too late for the shutdown."""
        with self._changed:
            self._refused += 1
        self._on_drop(frame, "shutdown")

    def take(self, timeout_seconds: float) -> Frame | None:
        """Remove the next camera's oldest frame; None if there is none within the timeout.

        Once the outbox is closed nothing is waited for.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._turns or self._closed, timeout_seconds)
            if not self._turns:
                return None
            camera = self._turns.popleft()
            buffer = self._buffers[camera]
            frame = buffer.popleft()
            if buffer:
                self._turns.append(camera)
            self._changed.notify_all()
            return frame

    def close(self) -> None:
        """Take no more frames; those inside can still be taken out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self) -> int:
        """Drop all frames inside; return how many the shutdown has cost, refused ones included."""
        with self._changed:
            refused = self._refused
            lost = [frame for buffer in self._buffers.values() for frame in buffer]
            self._buffers.clear()
            self._turns.clear()
        for frame in lost:
            self._on_drop(frame, "shutdown")
        return len(lost) + refused

    def forget(self, camera: str) -> None:
        """Forget the buffer of a camera that has left, once it is empty."""
        with self._changed:
            if not self._buffers.get(camera, True):
                del self._buffers[camera]

    @property
    def empty(self) -> bool:
        """Whether no frame lies here."""
        with self._changed:
            return not self._turns
