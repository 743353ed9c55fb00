"""The producer process: puts the parts together and runs them to their end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from logging import getLogger

import cv2

from contract.errors import UnavailableError
from contract.probe_server import ProbeServer
from contract.process import (
    EXIT_FAILED,
    EXIT_OK,
    Shutdown,
    configure_logging,
    log_dead_thread,
    process_registry,
)
from contract.settings import warn_of_unknown_variables
from contract.trace_export import Traces, open_export
from producer.camera_list import CameraList, load_list
from producer.cameras import Camera
from producer.frame_endings import FrameEndings
from producer.frame_traces import FrameTraces
from producer.list_files import ListFiles, read_list_files
from producer.list_watch import ListWatch
from producer.metrics import ProducerMetrics
from producer.opening import check_support
from producer.outbox import Outbox
from producer.placement import Placement
from producer.publisher import Publisher
from producer.record_limit import RecordLimit
from producer.roster import Roster
from producer.runner import CameraRunner
from producer.sender import Sender, connect
from producer.settings import ProducerSettings
from producer.watchdog import Watchdog
from servers.kafka import find_refusal

log = getLogger("seedstream.producer")

_TICK_SECONDS = 0.1
_STUCK_SECONDS = 30.0
"""A thread that has not turned for this long, beyond what it may wait for, makes liveness fail."""

_UNACKNOWLEDGED_SECONDS = 10.0
"""A Kafka that answers and acknowledges nothing for so long does not count as connected."""

_STOP_SECONDS = 2.0
"""How long the cameras' threads may take to stop before the rest is published without them."""


def run(settings: ProducerSettings, cameras: Sequence[str] = ()) -> int:
    """Publish the frames of all cameras until they end or the process is asked to.

    Args:
        settings: The process's settings.
        cameras: ``ID=URL`` strings, beside the list in ``settings.config``.

    Returns:
        The exit code: 0 when all cameras ended well or after SIGTERM with all frames flushed; 1
        when Kafka stayed away, a camera failed, or frames were lost at the end.

    Raises:
        ConfigurationError: With every fault of the camera list and the options, or Kafka cannot be
            used as configured.
    """
    configure_logging("producer", settings.log_level, settings.log_format, settings.lane)
    warn_of_unknown_variables(type(settings))
    threading.excepthook = log_dead_thread
    cv2.setNumThreads(1)  # cameras are parallel anyway
    files = read_list_files(settings.config, settings.credentials)
    load = partial(_load, settings, cameras)
    listed = load(files)
    shutdown = Shutdown()
    shutdown.install()
    try:
        return _Process(settings, listed, files, load, shutdown).run()
    except UnavailableError as error:
        log.error("%s", error)
        return EXIT_FAILED


def _load(settings: ProducerSettings, options: Sequence[str], files: ListFiles) -> CameraList:
    return load_list(settings, options, os.environ, files, check_support)


class _Process:
    """The composition root, and the two answers for Kubernetes."""

    def __init__(
        self,
        settings: ProducerSettings,
        listed: CameraList,
        files: ListFiles,
        load: Callable[[ListFiles], CameraList],
        shutdown: Shutdown,
    ) -> None:
        self._settings = settings
        self._shutdown = shutdown
        registry = process_registry(settings.lane)
        self._metrics = metrics = ProducerMetrics(registry)
        clock = time.monotonic
        self._traces = Traces("producer", settings.topic, open_export("producer"))
        self._followed = FrameTraces(self._traces, settings.trace_share)
        endings = FrameEndings(metrics, self._followed)
        self._placement = Placement(listed.ids)
        self._outbox = Outbox(endings.drop)
        self._limit = RecordLimit(settings.topic, settings.max_record_bytes)
        self._publisher = Publisher(
            settings,
            self._outbox,
            self._reconnect,
            metrics,
            clock,
            find_refusal=lambda: find_refusal(settings),
            endings=endings,
            limit=self._limit,
        )
        self._watchdog = Watchdog([], metrics, clock, threading.Event())
        self._roster = Roster(
            listed,
            self._watchdog,
            self._runner,
            self._placement,
            self._outbox,
            metrics,
            clock,
            settings.handover_seconds,
        )
        read_files = partial(read_list_files, settings.config, settings.credentials)
        self._list_watch = ListWatch(read_files, load, files, metrics)
        self._note(listed)
        self._tried = False
        self._sender: Sender | None = None
        metrics.kafka_connected.follow(self._kafka_answers)
        self._probes = ProbeServer(
            registry, self._alive, self._ready, settings.http_host, settings.http_port
        )

    def _runner(self, camera: Camera, stop: threading.Event) -> CameraRunner:
        return CameraRunner(
            camera,
            self._outbox,
            self._metrics,
            time.monotonic,
            stop,
            self._settings.max_frames,
            max_frame_pixels=self._settings.max_frame_pixels,
            traces=self._followed,
            limit=self._limit,
        )

    def run(self) -> int:
        """Run to the end; return the exit code."""
        self._probes.start()
        log.info("probes and /metrics on port %d", self._probes.port)
        try:
            self._heed_changes()
            sender = self._shutdown.unless_requested(
                lambda: connect(
                    self._settings,
                    lambda: self._shutdown.requested,
                    placement=self._placement,
                )
            )
            if sender is None:
                return EXIT_OK
            self._sender = sender
            self._publisher.start(sender)
            self._watch()
            return self._end()
        finally:
            self._list_watch.stop()
            self._traces.close()
            self._probes.stop()

    def _heed_changes(self) -> None:
        """Look at the list from now on; a terminal that closes still ends the process."""
        if self._settings.config is None and self._settings.credentials is None:
            return
        if sys.stdin is None or not sys.stdin.isatty():
            signal.signal(signal.SIGHUP, lambda *_: self._list_watch.look_now())
        self._list_watch.start()

    def _watch(self) -> None:
        self._roster.tick()
        while not self._shutdown.wait(_TICK_SECONDS):
            if (listed := self._list_watch.take()) is not None:
                self._placement.apply(listed.ids)
                self._roster.apply(listed)
                self._metrics.list_reloads.labels("applied").inc()
                self._note(listed)
            self._roster.tick()
            self._watchdog.tick()
            if self._publisher.error is not None or self._roster.finished:
                return

    def _note(self, listed: CameraList) -> None:
        """Say which list this process has."""
        shard = listed.shard
        log.info("shard %s handles %d cameras", shard, len(listed.cameras))
        assert shard.count is not None
        if shard.index >= shard.count:
            log.warning(
                "this is process number %d, from 0, and the list says shards: %d: it carries no "
                "camera until the list says more",
                shard.index,
                shard.count,
            )
        self._metrics.shards.set(shard.count)
        self._metrics.list_applied.set_to_current_time()

    def _end(self) -> int:
        """Stop the cameras, publish what waits, and say how it went."""
        drain = self._settings.drain_seconds
        began = time.monotonic()
        self._watchdog.stop(min(_STOP_SECONDS, drain / 2))
        flushed = self._publisher.stop(max(0.0, drain - (time.monotonic() - began)))
        if self._publisher.error is not None:
            raise self._publisher.error
        if not flushed:
            log.error("frames were not acknowledged within %g s and are lost", drain)
            return EXIT_FAILED
        if self._watchdog.failed and not self._shutdown.requested:
            log.error("cameras that failed: %s", ", ".join(self._watchdog.failed))
            return EXIT_FAILED
        log.info("all frames are published")
        return EXIT_OK

    def _reconnect(self) -> Sender:
        self._sender = sender = connect(self._settings, placement=self._placement)
        assert sender is not None  # only a stop gives None
        return sender

    def _kafka_answers(self) -> bool:
        sender, waiting_seconds = self._sender, self._publisher.waiting_seconds
        answers = sender is not None and sender.answered
        return answers and waiting_seconds < _UNACKNOWLEDGED_SECONDS

    def _alive(self) -> str | None:
        now, patience = time.monotonic(), _STUCK_SECONDS + self._settings.kafka_timeout_seconds
        if self._sender is None:
            return None
        if now - self._publisher.heartbeat > patience:
            return f"the publisher has been stuck for {now - self._publisher.heartbeat:.0f} s"
        if now - self._watchdog.heartbeat > _STUCK_SECONDS:
            return f"the watchdog has been stuck for {now - self._watchdog.heartbeat:.0f} s"
        return None

    def _ready(self) -> str | None:
        if self._sender is None:
            return "Kafka has not been reached yet"
        untried = [] if self._tried else self._roster.untried
        # Once: a camera that a changed list brings makes no process unready.
        self._tried = not untried
        return f"cameras not tried yet: {', '.join(untried)}" if untried else None
