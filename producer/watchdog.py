"""The watchdog of all cameras: starts their threads and replaces those that hang or die."""

import threading
from collections.abc import Iterable
from logging import getLogger

from producer.lease import Clock, Lease
from producer.metrics import ProducerMetrics
from producer.runner import CameraRunner

log = getLogger("seedstream.producer.watchdog")


class _Slot:
    """A camera, the thread in charge of it, and the hung ones before."""

    def __init__(self, runner: CameraRunner) -> None:
        self.runner = runner
        self.lease: Lease | None = None
        self.thread: threading.Thread | None = None
        self.hung: list[threading.Thread] = []

    @property
    def busy(self) -> bool:
        """Whether a thread that has not been given up still has the camera."""
        return self.thread is not None and self.thread.is_alive()


class Watchdog:
    """Watches all cameras from one thread that never calls FFmpeg.

    Args:
        runners: The cameras to begin with.
        metrics: Where abandoned threads are counted.
        clock: Monotonic clock.
        stop: Set when the process ends.
        hung_threads: Hung threads of one camera that are left behind before it is no longer opened.
    """

    def __init__(
        self,
        runners: Iterable[CameraRunner],
        metrics: ProducerMetrics,
        clock: Clock,
        stop: threading.Event,
        hung_threads: int = 3,
    ) -> None:
        self._slots = {runner.camera.id: _Slot(runner) for runner in runners}
        self._leaving: list[_Slot] = []
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._most_hung = hung_threads
        self.heartbeat = clock()
        """When ``tick`` last ran, in seconds of the monotonic clock."""

    def start(self) -> None:
        """Start all cameras."""
        for slot in self._slots.values():
            self._start(slot)

    def add(self, runner: CameraRunner) -> None:
        """Start one camera more; none of its id may be here, or ``leaving``."""
        self._slots[runner.camera.id] = slot = _Slot(runner)
        self._start(slot)

    def remove(self, camera: str) -> None:
        """Stop a camera: no further frame of it is delivered; its thread ends when it can."""
        slot = self._slots.pop(camera)
        slot.runner.stop()
        self._leaving.append(slot)

    def leaving(self, camera: str) -> bool:
        """Return whether a thread of a camera that was removed still has it open."""
        return any(slot.busy and slot.runner.camera.id == camera for slot in self._leaving)

    def tick(self) -> None:
        """Look at every camera once; call a few times a second."""
        everyone = [*self._slots.values(), *self._leaving]
        for slot in everyone:
            slot.hung = [thread for thread in slot.hung if thread.is_alive()]
            if not self._stop.is_set():
                self._look(slot)
        self._leaving = [slot for slot in self._leaving if slot.busy or slot.hung]
        self._metrics.hung.set(sum(len(slot.hung) for slot in everyone))
        self.heartbeat = self._clock()

    @property
    def finished(self) -> bool:
        """Whether there were cameras and none will give another frame.

        A shard to which no camera falls is not finished: it waits for the next list.
        """
        return bool(self._slots) and all(
            slot.runner.state != "running" and not slot.busy for slot in self._slots.values()
        )

    @property
    def failed(self) -> list[str]:
        """Ids of the cameras that were given up."""
        return [name for name, slot in self._slots.items() if slot.runner.state == "failed"]

    @property
    def untried(self) -> list[str]:
        """Ids of the cameras that have not been tried yet."""
        # A copy in one step: the thread that answers probes asks.
        return [
            slot.runner.camera.id for slot in [*self._slots.values()] if not slot.runner.attempted
        ]

    def move(self, sessions: dict[str, str]) -> None:
        """Let cameras go on in a new session, each if the one that is given still goes on."""
        for camera, session in sessions.items():
            if camera in self._slots:
                self._slots[camera].runner.leave(session)

    def stop(self, timeout_seconds: float) -> None:
        """End all threads; those still inside FFmpeg after the timeout are left behind."""
        self._stop.set()
        everyone = [*self._slots.values(), *self._leaving]
        for slot in everyone:
            slot.runner.stop()
        deadline = self._clock() + timeout_seconds
        for slot in everyone:
            if slot.thread is not None:
                slot.thread.join(max(0.0, deadline - self._clock()))
            if slot.lease is not None:
                slot.lease.revoke()

    def _look(self, slot: _Slot) -> None:
        # In this order: a thread that is seen dead has set its last state before.
        dead = slot.thread is not None and not slot.thread.is_alive()
        running = slot.runner.state == "running" and not slot.runner.stopped
        if dead and running:
            # An error that nobody foresaw ended it; threading has logged it. The others go on.
            slot.thread = None
            slot.runner.lose("its thread died")
        elif slot.thread is None and running:
            if len(slot.hung) < self._most_hung:
                self._start(slot)
        elif slot.thread is not None and not dead:
            self._check_lease(slot, slot.thread)

    def _check_lease(self, slot: _Slot, thread: threading.Thread) -> None:
        """Give the thread up if it hangs, whatever the camera's state: nobody may wait for it."""
        phase = slot.lease.overdue() if slot.lease is not None else None
        if phase is None:
            return
        camera = slot.runner.camera.id
        log.error("camera %s: its thread hangs (%s), abandoned", camera, phase)
        self._metrics.abandoned.labels(camera).inc()
        slot.hung.append(thread)
        slot.thread = None
        if phase != "close" and not slot.runner.stopped:
            # At "close" the runner has said by itself how the stream ended.
            slot.runner.lose(f"no answer ({phase})")
        if slot.runner.state == "running" and len(slot.hung) >= self._most_hung:
            log.error(
                "camera %s: %d hung threads, not opened again until one of them ends",
                camera,
                len(slot.hung),
            )

    def _start(self, slot: _Slot) -> None:
        slot.lease = Lease(self._clock)
        slot.thread = threading.Thread(
            target=slot.runner.run,
            args=(slot.lease,),
            name=f"camera {slot.runner.camera.id}",
            daemon=True,  # FFmpeg may never come back
        )
        slot.thread.start()
