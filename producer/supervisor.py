"""The watchdog of all cameras: starts their threads and replaces those that hang or die."""

import threading
from logging import getLogger

from producer.metrics import ProducerMetrics
from producer.runner import CameraRunner
from producer.watch import Clock, Watch

log = getLogger("seedstream.producer.watchdog")


class _Seat:
    """A camera, the thread in charge of it, and the hung ones before."""

    def __init__(self, runner: CameraRunner) -> None:
        self.runner = runner
        self.watch: Watch | None = None
        self.thread: threading.Thread | None = None
        self.hung: list[threading.Thread] = []


class Supervisor:
    """Watches all cameras from one thread that never calls FFmpeg.

    Args:
        runners: The cameras.
        metrics: Where abandoned threads are counted.
        clock: Monotonic clock.
        stop: Set when the process ends; the runners' own.
        abandoned_threads: Hung threads of one camera that may be left behind.
    """

    def __init__(
        self,
        runners: list[CameraRunner],
        metrics: ProducerMetrics,
        clock: Clock,
        stop: threading.Event,
        abandoned_threads: int,
    ) -> None:
        self._seats = [_Seat(runner) for runner in runners]
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._abandoned_threads = abandoned_threads
        self.heartbeat = clock()
        """When ``tick`` last ran, in seconds of the monotonic clock."""

    def start(self) -> None:
        """Start all cameras."""
        for seat in self._seats:
            self._start(seat)

    def tick(self) -> None:
        """Look at every camera once; call a few times a second."""
        for seat in self._seats:
            seat.hung = [thread for thread in seat.hung if thread.is_alive()]
            if seat.runner.state == "running" and not self._stop.is_set():
                self._look(seat)
        self._metrics.hung.set(sum(len(seat.hung) for seat in self._seats))
        self.heartbeat = self._clock()

    @property
    def count(self) -> int:
        """How many cameras there are."""
        return len(self._seats)

    @property
    def finished(self) -> bool:
        """Whether there were cameras and none will give another frame.

        A shard to which no camera falls is not finished: it waits for the next list.
        """
        return bool(self._seats) and all(
            seat.runner.state != "running" and not (seat.thread and seat.thread.is_alive())
            for seat in self._seats
        )

    @property
    def failed(self) -> list[str]:
        """Ids of the cameras that were given up."""
        return [seat.runner.camera.id for seat in self._seats if seat.runner.state == "failed"]

    @property
    def untried(self) -> list[str]:
        """Ids of the cameras that have not been tried yet."""
        return [seat.runner.camera.id for seat in self._seats if not seat.runner.attempted]

    def stop(self, timeout_seconds: float) -> None:
        """End all threads; those still inside FFmpeg after the timeout are left behind."""
        self._stop.set()
        deadline = self._clock() + timeout_seconds
        for seat in self._seats:
            if seat.thread is not None:
                seat.thread.join(max(0.0, deadline - self._clock()))
            if seat.watch is not None:
                seat.watch.abandon()

    def _look(self, seat: _Seat) -> None:
        camera = seat.runner.camera.id
        if seat.thread is None:
            if len(seat.hung) < self._abandoned_threads:
                self._start(seat)
        elif (phase := seat.watch.overdue() if seat.watch else None) is not None:
            log.error("camera %s: its thread hangs (%s), given up", camera, phase)
            self._metrics.abandoned.labels(camera).inc()
            seat.hung.append(seat.thread)
            seat.thread = None
            seat.runner.lose(f"no answer ({phase})")
            if len(seat.hung) >= self._abandoned_threads:
                log.error(
                    "camera %s: %d hung threads, not opened again until one of them ends",
                    camera,
                    len(seat.hung),
                )
        elif not seat.thread.is_alive():
            # An error that nobody foresaw ended it; threading has logged it. The others go on.
            seat.runner.lose("its thread died")
            self._start(seat)

    def _start(self, seat: _Seat) -> None:
        seat.watch = Watch(self._clock)
        seat.thread = threading.Thread(
            target=seat.runner.run,
            args=(seat.watch,),
            name=f"camera {seat.runner.camera.id}",
            daemon=True,  # FFmpeg may never come back
        )
        seat.thread.start()
