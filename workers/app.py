"""The worker process: settings in, exit code out. The only place that knows every part."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from contract.errors import UnavailableError
from contract.process import EXIT_FAILED, EXIT_OK, ProbeServer, Shutdown, configure_logging
from workers import sink
from workers.connect import KafkaClients
from workers.dead_letters import DeadLetters
from workers.exit_deadline import ExitDeadline
from workers.inference import Inference, build_inference
from workers.loop import Loop, Rules
from workers.metrics import WorkerMetrics
from workers.pipeline import Limits, Pipeline
from workers.records import OffsetTracker, Position
from workers.settings import WorkerSettings
from workers.source import KafkaSource

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 8.0
"""How long the end may take after the drain."""

_PART_SECONDS = 3.0
"""How long each part may take to end."""


class Health:
    """Answers of ``/healthz`` and ``/readyz``.

    Neither asks Kafka or Redis: restarting the worker does not bring them back.

    Args:
        liveness_seconds: Longest time that the loop or the network may stand still, in seconds.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, liveness_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._liveness_seconds = liveness_seconds
        self._clock = clock
        self._running: tuple[Loop, Pipeline] | None = None

    def watch(self, loop: Loop, pipeline: Pipeline) -> None:
        """Look at these from now on."""
        self._running = (loop, pipeline)

    def alive(self) -> str | None:
        """Return what stands still, if anything."""
        if self._running is None:
            return None
        loop, pipeline = self._running
        still = self._clock() - loop.turned_at
        if still > self._liveness_seconds:
            return f"the loop has not turned for {still:.0f} s"
        busy = pipeline.busy_seconds
        if busy > self._liveness_seconds:
            return f"the network has been at one batch for {busy:.0f} s"
        return None

    def ready(self) -> str | None:
        """Return what is still missing, if anything."""
        if self._running is None:
            return "starting: model, Kafka and Redis are not ready yet"
        return None if self._running[0].joined else "waiting for the consumer group"


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
    configure_logging("worker", settings.log_level, settings.log_format)
    shutdown = Shutdown()
    shutdown.install()
    leaving = ExitDeadline(_LEAVE_SECONDS)
    try:
        with ExitStack() as stack:
            _run(settings, build, shutdown, stack, leaving)
    except UnavailableError as error:
        log.error("%s", error)
        return EXIT_FAILED
    finally:
        leaving.left()
    return EXIT_OK


def _run(
    settings: WorkerSettings,
    build: Callable[[WorkerSettings], Inference],
    shutdown: Shutdown,
    stack: ExitStack,
    leaving: ExitDeadline,
) -> None:
    inference = build(settings)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    metrics = WorkerMetrics(registry, max_cameras=settings.max_camera_series, clock=time.monotonic)
    model = inference.segmenter.reference
    metrics.model_info.labels(model.name, model.version, inference.provider).set(1)
    health = Health(settings.liveness_seconds)
    probes = ProbeServer(
        registry, health.alive, health.ready, settings.http_host, settings.http_port
    )
    probes.start()
    stack.callback(probes.stop)
    log.info("metrics and probes on port %d", probes.port)
    inference.warm_up()
    redis_sink = _make_sink(settings)
    stack.callback(redis_sink.close)
    redis_sink.start()
    kafka = KafkaClients(settings, shutdown.wait)
    if not kafka.reach():
        return
    _work(settings, inference, metrics, health, redis_sink, kafka, shutdown, stack, leaving)


def _work(
    settings: WorkerSettings,
    inference: Inference,
    metrics: WorkerMetrics,
    health: Health,
    redis_sink: sink.RedisSink,
    kafka: KafkaClients,
    shutdown: Shutdown,
    stack: ExitStack,
    leaving: ExitDeadline,
) -> None:
    positions = OffsetTracker()
    progress = threading.Event()

    def dead_letter_done(position: Position, reason: str) -> None:
        metrics.dead_letters.labels(reason).inc()
        positions.finish(position)
        progress.set()

    producer = kafka.producer()
    dead_letters = DeadLetters(
        producer,
        topic=settings.dead_topic,
        source_topic=settings.topic,
        timeout_seconds=settings.kafka_timeout_seconds,
        on_done=dead_letter_done,
    )
    stack.callback(dead_letters.stop, _PART_SECONDS)
    if not kafka.check_topics(producer):
        return
    source = KafkaSource(
        kafka.consumer(),
        topic=settings.topic,
        timeout_seconds=settings.kafka_timeout_seconds,
        where=settings.bootstrap_servers,
    )
    stack.callback(source.close, _PART_SECONDS)
    limits = _limits(settings, inference.max_batch_size)
    pipeline = Pipeline(
        inference.segmenter,
        redis_sink,
        dead_letters,
        positions,
        metrics,
        limits,
        on_progress=progress.set,
    )
    stack.callback(lambda: leaving.note(ended=pipeline.stop(_PART_SECONDS)))
    stack.callback(leaving.begin)
    loop = Loop(source, pipeline, dead_letters, positions, metrics, _rules(settings), progress)
    source.subscribe(loop.hand_over)
    dead_letters.start()
    pipeline.start()
    health.watch(loop, pipeline)
    log.info("%s mode, batches of %d", settings.mode, limits.max_batch_size)
    loop.run(lambda: shutdown.requested)


def _make_sink(settings: WorkerSettings) -> sink.RedisSink:
    url, password = settings.redis_url.get_secret_value(), settings.redis_password
    parts = urlsplit(url)
    return sink.RedisSink(
        lambda: sink.connect(
            url,
            cluster=settings.redis_cluster,
            timeout_seconds=settings.redis_timeout_seconds,
            username=settings.redis_username,
            password=password.get_secret_value() if password else None,
        ),
        ttl_seconds=settings.result_ttl_seconds,
        max_results=settings.max_results_per_camera,
        timeout_seconds=settings.redis_timeout_seconds,
        where=parts.netloc.rpartition("@")[2] or parts.path,
    )


def _limits(settings: WorkerSettings, batch_size: int) -> Limits:
    return Limits(
        max_waiting_frames=settings.max_waiting_frames,
        max_waiting_bytes=settings.max_waiting_bytes,
        max_decoded_frames=settings.max_decoded_frames or batch_size,
        max_batch_size=batch_size,
        max_batch_age_seconds=settings.max_batch_age_seconds,
        max_frame_pixels=settings.max_frame_pixels,
        decode_threads=settings.decode_threads,
        max_age_seconds=_max_age(settings),
        old_after_seconds=settings.old_after_seconds if settings.mode == "live" else None,
    )


def _rules(settings: WorkerSettings) -> Rules:
    return Rules(
        max_age_seconds=_max_age(settings),
        max_frame_bytes=settings.max_frame_bytes,
        max_poll_records=settings.max_poll_records,
        commit_interval_seconds=settings.commit_interval_seconds,
        drain_seconds=settings.drain_seconds,
        camera_series_seconds=settings.camera_series_seconds,
    )


def _max_age(settings: WorkerSettings) -> float | None:
    return settings.max_age_seconds if settings.mode == "live" else None
