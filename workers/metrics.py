"""Every metric of the worker, in one catalogue.

Library: prometheus-client.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from contract.connected_gauge import ConnectedGauge
from workers.stages.stage_times import StageTimes

STAGES = ("fetch", "decode", "infer", "cluster", "track", "preview", "store")
"""Stages of ``seedstream_stage_seconds``: fetch and decode are of a frame, infer of one run of the
network (of which a tiled frame takes several), cluster of a batch up to its results (its frames
side by side, with their colours and pictures), track of a frame that is stored (its colours and its
identities), preview of a picture for who looks at a camera, store of what waited, with the
identities.
``fetch`` runs from the record's time stamp in Kafka to its arrival in the worker."""

OTHER = "other"
"""Label of cameras beyond the bound on series."""

_LONGEST_SECONDS = 86_400.0
"""Longest time that is observed: one clock that is years off would drown every sum."""

_CAMERA_LATENCIES = (0.1, 0.15, 0.2, 0.3, 0.5, 1.5, 5)
"""Few, since each is a series of every camera; 1.5 s is the objective."""

_LATENCIES = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 120)
_STAGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class WorkerMetrics:
    """The worker's metrics.

    Args:
        registry: Where they are registered.
        max_cameras: Most cameras with series of their own.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        max_cameras: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_cameras = max_cameras
        self._clock = clock
        self._lock = threading.Lock()
        self._last_seen: dict[str, float] = {}
        self.frames_processed = Counter(
            "seedstream_frames_processed",
            "Frames whose result was stored.",
            ["camera"],
            registry=registry,
        )
        self.frames_skipped = Counter(
            "seedstream_frames_skipped",
            "Frames left out on purpose: too_old (older than the set age), superseded (newer ones "
            "took their place under overload), out_of_order (older than what Redis holds).",
            ["camera", "reason"],
            registry=registry,
        )
        self.frames_suspect = Counter(
            "seedstream_frames_suspect",
            "Frames that show a wrong clock or a second producer: ahead (captured in the worker's "
            "future), set_back (the first of a session that begins, by its clock, before the one "
            "it follows), resumed (of a session that goes on after another one of the camera).",
            ["camera", "reason"],
            registry=registry,
        )
        self.frames_duplicate = Counter(
            "seedstream_frames_duplicate",
            "Redelivered frames whose result was already stored.",
            ["camera"],
            registry=registry,
        )
        self.instances = Counter(
            "seedstream_instances",
            "Instances in stored results.",
            ["camera", "class"],
            registry=registry,
        )
        self.tracks_active = Gauge(
            "seedstream_tracks_active",
            "Confirmed objects in the newest frame that this worker stored.",
            ["camera"],
            registry=registry,
        )
        self.tracks_began = Counter(
            "seedstream_tracks_began",
            "Objects that were seen for the first time, also those that were never confirmed.",
            ["camera"],
            registry=registry,
        )
        self.tracks_ended = Counter(
            "seedstream_tracks_ended",
            "Objects that were forgotten.",
            ["camera"],
            registry=registry,
        )
        self.track_conflicts = Counter(
            "seedstream_track_conflicts",
            "Times when Redis held another state of a camera's tracks than this worker expected, "
            "and identities were computed again from there: once when it takes a camera over.",
            registry=registry,
        )
        self.previews = Counter(
            "seedstream_previews",
            "Pictures made for the live page: watched (somebody looks at the camera), idle (one "
            "every 10 s of a camera that nobody looks at), failed (none could be made; the result "
            "is stored).",
            ["reason"],
            registry=registry,
        )
        self.preview_bytes = Counter(
            "seedstream_preview_bytes",
            "Bytes of the pictures made for the live page.",
            registry=registry,
        )
        self.end_to_end_latency = Histogram(
            "seedstream_end_to_end_latency_seconds",
            "Time from capture to stored result, by camera, in seconds.",
            ["camera"],
            registry=registry,
            buckets=_CAMERA_LATENCIES,
        )
        self.result_latency = Histogram(
            "seedstream_result_latency_seconds",
            "Time from capture to stored result, all cameras, in seconds.",
            registry=registry,
            buckets=_LATENCIES,
        )
        self.dead_letters = Counter(
            "seedstream_dead_letters",
            "Invalid records sent to the dead-letter topic, by reason.",
            ["reason"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "seedstream_batch_size",
            "Frames per network batch.",
            registry=registry,
            buckets=_SIZES,
        )
        self.tiles = Counter(
            "seedstream_tiles",
            "Pictures that ran through the network: one a frame, or its tiles.",
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "seedstream_stage_seconds",
            "Time taken by a stage, in seconds: fetch and decode of a frame, infer of a run of the "
            "network, cluster of a batch up to its results (of which track and preview are parts), "
            "track of a frame, preview of a picture, store of what waited.",
            ["stage"],
            registry=registry,
            buckets=_STAGES,
        )
        self.stage_time = Counter(
            "seedstream_stage_time_seconds",
            "Where the seconds of each stage of the worker go: waiting_for_input, working, "
            "waiting_for_output. The stage that hardly waits is the bottleneck.",
            ["stage", "state"],
            registry=registry,
        )
        self.hung_decoders = Gauge(
            "seedstream_decoders_hung",
            "Decoding threads stuck on a picture; each keeps a processor busy until the worker "
            "ends.",
            registry=registry,
        )
        self.lag_records = Gauge(
            "seedstream_lag_records",
            "Unfinished records of the partition.",
            ["partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "seedstream_lag_seconds",
            "Age of the partition's first unfinished record, in seconds; 0 without lag.",
            ["partition"],
            registry=registry,
        )
        self.rebalances = Counter(
            "seedstream_rebalances",
            "Changes to the partitions owned by this worker.",
            registry=registry,
        )
        self.live_mode = Gauge(
            "seedstream_live_mode",
            "1 in live mode, 0 in complete mode, where a backlog is allowed.",
            registry=registry,
        )
        self.kafka_connected = ConnectedGauge(
            "seedstream_kafka_connected",
            "1 while Kafka answers, else 0; absent until it is first asked.",
            registry,
        )
        self.redis_connected = ConnectedGauge(
            "seedstream_redis_connected",
            "1 while Redis answers and stores, else 0; absent until it is first asked.",
            registry,
        )
        self.model_info = Gauge(
            "seedstream_model_info",
            "Always 1; the labels name the model, what runs it, and why that was chosen.",
            ["name", "version", "provider", "precision", "reason"],
            registry=registry,
        )
        self._of_camera: tuple[MetricWrapperBase, ...] = (
            self.frames_processed,
            self.frames_skipped,
            self.frames_suspect,
            self.frames_duplicate,
            self.instances,
            self.tracks_active,
            self.tracks_began,
            self.tracks_ended,
            self.end_to_end_latency,
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        for reason in ("watched", "idle", "failed"):
            self.previews.labels(reason)

    def times(self, stage: str, clock: Callable[[], float] = time.monotonic) -> StageTimes:
        """Return the account of a stage's seconds."""
        return StageTimes(self.stage_time, stage, clock)

    def camera(self, camera: str) -> str:
        """Return the label for a camera and note that it was seen."""
        with self._lock:
            if camera not in self._last_seen and len(self._last_seen) >= self._max_cameras:
                return OTHER
            self._last_seen[camera] = self._clock()
            return camera

    def skipped(self, camera: str, reason: str) -> None:
        """Count a frame that was left out."""
        self.frames_skipped.labels(self.camera(camera), reason).inc()

    def suspect(self, camera: str, reason: str) -> None:
        """Count a frame that shows a wrong clock or a second producer."""
        self.frames_suspect.labels(self.camera(camera), reason).inc()

    def fetched(self, age_seconds: float) -> None:
        """Observe the age of a record's time stamp."""
        self.stage_seconds.labels("fetch").observe(min(age_seconds, _LONGEST_SECONDS))

    def stored(self, camera: str, latency_seconds: float, classes: Mapping[str, int]) -> None:
        """Count a stored result.

        Args:
            camera: Camera id.
            latency_seconds: Time from capture to stored; negative when clocks disagree.
            classes: Instances by class name.
        """
        label = self.camera(camera)
        self.frames_processed.labels(label).inc()
        latency = min(max(0.0, latency_seconds), _LONGEST_SECONDS)
        self.end_to_end_latency.labels(label).observe(latency)
        self.result_latency.observe(latency)
        for name, count in classes.items():
            self.instances.labels(label, name).inc(count)

    def tracked(self, camera: str, *, active: int, began: int, ended: int, seconds: float) -> None:
        """Count what tracking made of a stored frame.

        Args:
            camera: Camera id.
            active: Confirmed objects in it.
            began: Objects that are new.
            ended: Objects that are forgotten.
            seconds: What that took.
        """
        label = self.camera(camera)
        if label != OTHER:
            self.tracks_active.labels(label).set(active)
        self.tracks_began.labels(label).inc(began)
        self.tracks_ended.labels(label).inc(ended)
        self.stage_seconds.labels("track").observe(seconds)

    def lag(self, partition: int, records: int, seconds: float | None) -> None:
        """Show how far a partition is behind; in seconds not where they are unknown (None)."""
        self.lag_records.labels(str(partition)).set(records)
        if seconds is None:
            self.lag_seconds.remove_by_labels({"partition": str(partition)})
        else:
            self.lag_seconds.labels(str(partition)).set(seconds)

    def forget_partitions(self, partitions: Collection[int]) -> None:
        """Remove the series of partitions that are no longer owned."""
        for partition in partitions:
            for gauge in (self.lag_records, self.lag_seconds):
                gauge.remove_by_labels({"partition": str(partition)})

    def forget_cameras(self, not_seen_for_seconds: float) -> list[str]:
        """Remove the series of cameras that have gone, and return which they were."""
        with self._lock:
            limit = self._clock() - not_seen_for_seconds
            gone = [camera for camera, seen in self._last_seen.items() if seen < limit]
            for camera in gone:
                del self._last_seen[camera]
        for camera in gone:
            for metric in self._of_camera:
                metric.remove_by_labels({"camera": camera})
        return gone
