"""The cameras that this process carries, and how they become those of a changed list."""

import threading
from collections.abc import Callable, Iterable
from logging import getLogger

from producer.camera_list import CameraList
from producer.cameras import Camera
from producer.lease import Clock
from producer.metrics import ProducerMetrics
from producer.outbox import Outbox
from producer.placement import Placement
from producer.runner import CameraRunner
from producer.watchdog import Watchdog

log = getLogger("seedstream.producer.roster")

MakeRunner = Callable[[Camera, threading.Event], CameraRunner]


class Roster:
    """Starts, stops and changes only what changed; used by one thread.

    Whoever loses a camera stops it at once. Whoever gains one that another process carried waits
    for the hand-over time first, so that no camera is on two processes.

    Args:
        listed: The list to begin with.
        watchdog: Where the cameras' threads live, empty.
        make_runner: Makes the runner of a camera, which ends when the event is set.
        placement: Each session's partition.
        outbox: Where frames wait.
        metrics: Where they are counted.
        clock: Monotonic clock.
        handover_seconds: The hand-over time.
    """

    def __init__(
        self,
        listed: CameraList,
        watchdog: Watchdog,
        make_runner: MakeRunner,
        placement: Placement,
        outbox: Outbox,
        metrics: ProducerMetrics,
        clock: Clock,
        handover_seconds: float,
    ) -> None:
        self._listed = listed
        self._watchdog = watchdog
        self._make_runner = make_runner
        self._placement = placement
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock
        self._handover_seconds = handover_seconds
        self._running: dict[str, Camera] = {}
        self._waiting: dict[str, tuple[Camera, float]] = {}
        self._leaving: set[str] = set()
        self._wait_for(listed.cameras, listed.arriving)

    def apply(self, listed: CameraList) -> None:
        """Become the cameras of another list; the placement knows it already."""
        before, self._listed = self._listed, listed
        cameras = {camera.id: camera for camera in listed.cameras}
        for name in [*self._waiting]:
            if name not in cameras:
                del self._waiting[name]
        stopped = [name for name, old in self._running.items() if _differs(old, cameras.get(name))]
        for name in stopped:
            self._watchdog.remove(name)
            del self._running[name]
            self._leaving.add(name)
        new = [camera for name, camera in cameras.items() if name not in self._running]
        # Who was in the list before, and neither here nor on its way, was somebody else's.
        self._wait_for(new, before.ids - {*stopped, *self._waiting})
        log.info(
            "the camera list has changed: %d cameras stopped, %d to start, %d go on",
            len(stopped),
            len(new),
            len(self._running),
        )

    def tick(self) -> None:
        """Start what is due and forget who has left; call a few times a second."""
        now = self._clock()
        for name, (camera, due) in [*self._waiting.items()]:
            if now >= due and not self._watchdog.leaving(name):
                del self._waiting[name]
                self._leaving.discard(name)
                self._running[name] = camera
                self._watchdog.add(self._make_runner(camera, threading.Event()))
        for name in [*self._leaving]:
            if name not in self._waiting:
                self._forget(name)
        self._watchdog.move(self._placement.misplaced())

    @property
    def finished(self) -> bool:
        """Whether there were cameras and none will give another frame."""
        return not self._waiting and self._watchdog.finished

    @property
    def untried(self) -> list[str]:
        """Ids of the cameras that have not been tried yet."""
        return [*self._waiting, *self._watchdog.untried]

    def _wait_for(self, cameras: Iterable[Camera], others: frozenset[str]) -> None:
        now = self._clock()
        for camera in cameras:
            _, due = self._waiting.get(camera.id, (camera, now))
            if camera.id in others:
                due = now + self._handover_seconds
            self._waiting[camera.id] = camera, due

    def _forget(self, name: str) -> None:
        """Remove a camera's series and buffers once its last frame is settled."""
        if self._watchdog.leaving(name) or not self._metrics.rests(name):
            return
        self._leaving.remove(name)
        self._metrics.forget(name)
        self._outbox.forget(name)
        self._placement.forget(name)


def _differs(old: Camera, new: Camera | None) -> bool:
    """Return whether a camera is another one, however many its process carries beside it."""
    return new is None or old.carried(1, old.max_frame_pixels) != new.carried(
        1, old.max_frame_pixels
    )
