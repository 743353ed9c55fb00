"""The worker process: settings in, exit code out. The only place that knows every part."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import cv2
from prometheus_client import CollectorRegistry

from contract.errors import InvalidMessageError, UnavailableError
from contract.probe_server import ProbeServer
from contract.process import (
    EXIT_FAILED,
    EXIT_OK,
    ExitDeadline,
    Shutdown,
    configure_logging,
    process_registry,
)
from contract.settings import warn_of_unknown_variables
from contract.trace_export import Traces, open_export
from servers.kafka import STEP_SECONDS, reach, wait_for_topics, watch_brokers
from servers.redis import Redis
from servers.redis_watch import RedisWatch
from workers.dead_letters import DeadLetters, open_producer
from workers.dead_share import DeadShare
from workers.endings import Endings
from workers.freshness import Freshness
from workers.group_member import open_consumer
from workers.health import Health
from workers.inference import Inference, build_inference
from workers.loop import Loop, Rules
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.previews import Previews
from workers.records import Position
from workers.settings import WorkerSettings
from workers.sink import RedisSink
from workers.source import KafkaSource
from workers.stages.line import Limits, Line
from workers.track_chains import TrackChains, observer_of, warm_up_tracking

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 8.0
"""How long the end may take after the drain."""

_SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter to itself while others want it. The line's threads leave
it for compiled code all the time; with Python's 5 ms each of them would wait long to come back."""

_PART_SECONDS = 3.0
"""How long each part may take to end."""


class Worker:
    """One worker: makes its parts, runs them, and stops them in the opposite order.

    Args:
        settings: Settings.
        inference: What finds the instances.
        shutdown: Tells when the end is requested.
        deadline: Ends the process should a part hang at the end.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        inference: Inference,
        shutdown: Shutdown,
        deadline: ExitDeadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._inference = inference
        self._shutdown = shutdown
        self._deadline = deadline
        self._clock = clock
        self._registry = process_registry(settings.lane)
        self._metrics = _metrics(self._registry, settings, inference)
        self._look = observer_of(track=settings.track, appearance=settings.track_appearance)
        self._previews = Previews(self._metrics, clock) if settings.preview else None
        self._positions = OffsetTracker()
        self._dead_share = DeadShare(settings.max_dead_share)
        self.health = Health(clock)
        self._closing = ExitStack()

    def run(self) -> None:
        """Start, process frames until the end is requested, drain, and stop.

        Raises:
            UnavailableError: Kafka, Redis or the accelerator stays away.
            ConfigurationError: The worker cannot run as configured.
        """
        with self._closing:
            self._serve_probes()
            self._warm_up()
            redis_sink = self._shutdown.unless_requested(self._open_redis)
            kafka = self._shutdown.unless_requested(self._open_kafka)
            if redis_sink is not None and kafka is not None:
                self._assemble(redis_sink, *kafka).run(lambda: self._shutdown.requested)

    def _warm_up(self) -> None:
        def warm_up() -> bool:
            self._inference.warm_up()
            if self._look is not None:
                warm_up_tracking(self._look)
            return True

        self.health.warming_since = self._clock()
        if self._shutdown.unless_requested(warm_up) is None:
            self._deadline.leave_at_once()
        self.health.warming_since = None

    def _serve_probes(self) -> None:
        probes = ProbeServer(
            self._registry,
            self.health.alive,
            self.health.ready,
            self._settings.http_host,
            self._settings.http_port,
        )
        probes.start()
        self._closing.callback(probes.stop)
        log.info("metrics and probes on port %d", probes.port)

    def _open_redis(self) -> RedisSink:
        server = Redis(self._settings)
        self._metrics.redis_connected.follow(lambda: server.presence.answers)
        redis_sink = RedisSink(
            server,
            ttl_seconds=self._settings.result_ttl_seconds,
            max_results=self._settings.max_results_per_camera,
            tracks=TrackChains(self._metrics, self._clock) if self._settings.track else None,
            previews=self._previews,
        )
        self._closing.callback(redis_sink.close)
        redis_sink.start()
        watch = RedisWatch(server)
        watch.start()
        self._closing.callback(watch.stop)
        return redis_sink

    def _open_kafka(self) -> tuple[DeadLetters, KafkaSource] | None:
        """Wait for Kafka and its topics; None when the end is requested meanwhile."""
        settings, wait = self._settings, self._shutdown.wait
        self._metrics.kafka_connected.follow(lambda: False)  # until it answers
        give_up_at = self._clock() + settings.kafka_timeout_seconds  # one bound for all of it

        def left() -> float:
            return max(STEP_SECONDS, give_up_at - self._clock())

        if not reach(settings, wait, self._clock):
            return None
        producer = open_producer(settings, left())
        dead_letters = DeadLetters(producer, settings, self._dead_letter_done)
        self._closing.callback(dead_letters.stop, _PART_SECONDS)
        topics = {settings.topic: "WORKER_TOPIC", settings.dead_topic: "WORKER_DEAD_TOPIC"}
        if not wait_for_topics(producer, topics, settings, wait, give_up_at, self._clock):
            return None
        consumer = open_consumer(settings, left())
        self._metrics.kafka_connected.follow(watch_brokers(consumer))
        source = KafkaSource(consumer, settings)
        self._closing.callback(source.close, _PART_SECONDS)
        return dead_letters, source

    def _assemble(
        self, redis_sink: RedisSink, dead_letters: DeadLetters, source: KafkaSource
    ) -> Loop:
        """Put the parts that work together, and start all but the loop."""
        settings = self._settings
        freshness = _freshness(settings)
        traces = Traces("worker", settings.topic, open_export("worker"))
        self._closing.callback(traces.close)
        endings = Endings(
            self._positions, dead_letters, self._metrics, traces=traces, clock=self._clock
        )
        line = Line(
            self._inference.segmenter,
            redis_sink,
            endings,
            self._metrics,
            _limits(settings, self._inference),
            freshness,
            self._look,
            self._previews,
            on_end=self._positions.wake,
        )
        self._metrics.hung_decoders.set_function(lambda: line.hung_decoders)
        self._closing.callback(self._stop, line)
        loop = Loop(
            source,
            line,
            endings,
            dead_letters,
            self._positions,
            self._metrics,
            _rules(settings),
            freshness,
            self._dead_share,
        )
        self.health.watch(loop, line)
        source.subscribe(loop.hand_over)
        dead_letters.start()
        line.start()
        log.info("%s mode, batches of %d", settings.mode, self._inference.max_batch_size)
        return loop

    def _stop(self, line: Line) -> None:
        self._deadline.begin()
        self._deadline.note(ended=line.stop(_PART_SECONDS))

    def _dead_letter_done(self, position: Position, reason: str) -> None:
        self._metrics.dead_letters.labels(reason).inc()
        self._positions.finish(position)
        self._dead_share.dead(position, reason)


def _freshness(settings: WorkerSettings) -> Freshness:
    if settings.mode == "complete":
        return Freshness()
    return Freshness(
        max_age_seconds=settings.max_age_seconds, old_after_seconds=settings.old_after_seconds
    )


def _limits(settings: WorkerSettings, inference: Inference) -> Limits:
    return Limits(
        max_waiting_frames=settings.max_waiting_frames,
        max_waiting_bytes=settings.max_waiting_bytes,
        max_batch_size=inference.max_batch_size,
        linger_seconds=inference.linger_seconds,
        decode_threads=inference.decode_threads,
        max_frame_pixels=settings.max_frame_pixels,
    )


def _rules(settings: WorkerSettings) -> Rules:
    return Rules(
        max_ahead_seconds=settings.max_ahead_seconds,
        max_frame_bytes=settings.max_frame_bytes,
        max_poll_records=settings.max_poll_records,
        drain_seconds=settings.drain_seconds,
    )


def _metrics(
    registry: CollectorRegistry, settings: WorkerSettings, inference: Inference
) -> WorkerMetrics:
    metrics = WorkerMetrics(registry)
    metrics.live_mode.set(settings.mode == "live")
    model = inference.segmenter.reference
    metrics.model_info.labels(
        *(model.name, model.version, inference.provider, inference.precision, inference.reason)
    ).set(1)
    return metrics


def run(
    settings: WorkerSettings,
    build: Callable[[WorkerSettings], Inference] = build_inference,
) -> int:
    """Run a worker until SIGTERM, or until a server stays away.

    Args:
        settings: Settings.
        build: Loads the model.

    Returns:
        The exit code: 0 after a drain on SIGTERM or SIGINT, 1 when Kafka, Redis or the accelerator
        stayed away or hangs; what was not stored by then is not committed, so it is not lost.

    Raises:
        ConfigurationError: The worker cannot run as configured.
    """
    configure_logging("worker", settings.log_level, settings.log_format, settings.lane)
    warn_of_unknown_variables(type(settings))
    cv2.setNumThreads(1)  # frames are parallel anyway
    sys.setswitchinterval(_SWITCH_SECONDS)
    shutdown = Shutdown()
    shutdown.install()
    deadline = ExitDeadline(_LEAVE_SECONDS)
    try:
        # Loading and compiling are foreign code, in which the main thread would hear no signal.
        inference = shutdown.unless_requested(lambda: build(settings))
        if inference is None:
            deadline.leave_at_once()
        else:
            Worker(settings, inference, shutdown, deadline).run()
    except (UnavailableError, InvalidMessageError) as error:
        log.error("%s", error)
        return EXIT_FAILED
    finally:
        deadline.left()
    return EXIT_OK
