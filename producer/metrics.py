"""The producer's metrics: one catalogue.

For every camera, at rest: captured = published + dropped (all reasons) + in flight.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contract.connected_gauge import ConnectedGauge
from producer.camera_pictures import Damage

DropReason = Literal[
    "fps_cap", "damaged", "static", "buffer_full", "too_large", "send_failed", "shutdown"
]
"""Why a captured frame was not published: above the camera's frame cap; damaged, and the camera
drops such frames; nothing moves in it, for the camera's motion gate; pushed out by a newer one
while Kafka was slower; larger than a record may be; refused by or never acknowledged by Kafka; not
acknowledged within the drain time of a shutdown."""

DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)

DAMAGES: tuple[Damage, ...] = get_args(Damage)

_KIB = 1024.0


class ProducerMetrics:
    """Every metric of the producer.

    Args:
        registry: Where they are registered; one instance per registry.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        self.captured = counter("seedstream_frames_captured_total", "Frames decoded.", "camera")
        self.published = counter(
            "seedstream_frames_published_total", "Frames acknowledged by Kafka.", "camera"
        )
        self.dropped = counter(
            "seedstream_frames_dropped_total",
            "Frames captured but not published, by reason.",
            *("camera", "reason"),
        )
        self.in_flight = gauge(
            "seedstream_frames_in_flight",
            "Frames captured but not yet published or dropped.",
            "camera",
        )
        self.damaged = counter(
            "seedstream_frames_damaged_total",
            "Frames decoded from damaged data, by reason: cut (its data ends too early) or corrupt "
            "(marked by the decoder). Whether they are dropped is the camera's drop_corrupt.",
            *("camera", "reason"),
        )
        self.decode_errors = counter(
            "seedstream_decode_errors_total",
            "Packets that did not decode and snapshots that did not come (not counted as captured "
            "frames).",
            "camera",
        )
        self.up = gauge(
            "seedstream_camera_up",
            "1 while frames of the camera arrive, else 0; absent after the end of a file.",
            "camera",
        )
        self.fps_target = gauge(
            "seedstream_camera_fps_target",
            "Maximum frames per second published, from the settings; absent without a cap.",
            "camera",
        )
        self.reconnects = counter(
            "seedstream_camera_reconnects_total",
            "Reconnections to the camera after a failed or lost connection.",
            "camera",
        )
        self.abandoned = counter(
            "seedstream_camera_threads_abandoned_total",
            "Hung decoding threads abandoned by the watchdog.",
            "camera",
        )
        self.hung = gauge(
            "seedstream_camera_threads_hung", "Abandoned decoding threads that still hang."
        )
        self.frame_bytes = histogram(
            "seedstream_frame_bytes",
            "Size of the encoded frames, all cameras.",
            [size * _KIB for size in (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)],
        )
        self.publish_seconds = histogram(
            "seedstream_publish_seconds",
            "Time from capture to Kafka's acknowledgement, all cameras, in seconds.",
            [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
        )
        self.sends_in_flight = gauge(
            "seedstream_sends_in_flight",
            "Records handed to the Kafka client and not yet acknowledged.",
        )
        self.sends_in_flight_bytes = gauge(
            "seedstream_sends_in_flight_bytes",
            "Bytes handed to the Kafka client and not yet acknowledged.",
        )
        self.kafka_connected = ConnectedGauge(
            "seedstream_kafka_connected",
            "1 while Kafka answers and acknowledges frames, else 0.",
            registry,
        )
        self.kafka_restarts = counter(
            "seedstream_kafka_client_restarts_total",
            "Kafka clients replaced after an unrecoverable error.",
        )
        self.shards = gauge(
            "seedstream_producer_shards",
            "Number of producers that share the cameras, from this one's settings or its list.",
        )
        self.list_reloads = counter(
            "seedstream_camera_list_reloads_total",
            "Changed camera lists, by result: applied, or refused as a whole for a fault.",
            "result",
        )
        self.list_refused = gauge(
            "seedstream_camera_list_refused",
            "1 while the camera list on disk is refused and the one before goes on, else 0.",
        )
        self.list_applied = gauge(
            "seedstream_camera_list_applied_timestamp_seconds",
            "When the camera list that runs was taken over, in seconds since 1970.",
        )
        for result in ("applied", "refused"):
            self.list_reloads.labels(result)

    def add_camera(self, camera: str, fps_target: float | None = None) -> None:
        """Let every series of ``camera`` exist from the start, at 0, so that rates are right.

        Of a camera whose settings changed the counters go on.

        Args:
            camera: Camera id.
            fps_target: The cap on its published frames per second, if it has one.
        """
        self.finish(camera)
        if fps_target is not None:
            self.fps_target.labels(camera).set(fps_target)
        for metric in (
            self.captured,
            self.published,
            self.in_flight,
            self.decode_errors,
            self.up,
            self.reconnects,
            self.abandoned,
        ):
            metric.labels(camera)
        for reason in DROP_REASONS:
            self.dropped.labels(camera, reason)
        for damage in DAMAGES:
            self.damaged.labels(camera, damage)

    def finish(self, camera: str) -> None:
        """Note that a file has come to its end: it is neither up nor down, and owes no frames."""
        for gauge in (self.up, self.fps_target):
            gauge.remove_by_labels({"camera": camera})

    def forget(self, camera: str) -> None:
        """Remove every series of a camera that has left; nothing of it may be counted any more."""
        self.finish(camera)
        for metric in (
            self.captured,
            self.published,
            self.dropped,
            self.in_flight,
            self.damaged,
            self.decode_errors,
            self.reconnects,
            self.abandoned,
        ):
            metric.remove_by_labels({"camera": camera})

    def rests(self, camera: str) -> bool:
        """Return whether every captured frame of a camera was published or dropped."""
        return not any(
            sample.value
            for metric in self.in_flight.collect()
            for sample in metric.samples
            if sample.labels["camera"] == camera
        )

    def capture(self, camera: str) -> None:
        """Count a decoded frame; ``publish`` or ``drop`` must follow exactly once."""
        self.captured.labels(camera).inc()
        self.in_flight.labels(camera).inc()

    def publish(self, camera: str) -> None:
        """Count a captured frame as published."""
        self.published.labels(camera).inc()
        self.in_flight.labels(camera).dec()  # last: a camera that rests may be forgotten

    def drop(self, camera: str, reason: DropReason) -> None:
        """Count a captured frame as dropped."""
        self.dropped.labels(camera, reason).inc()
        self.in_flight.labels(camera).dec()
