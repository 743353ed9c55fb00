"""How a captured frame ends: published, or dropped for a reason. Counted, and told to its trace."""

from datetime import UTC, datetime

from contract.frame import Frame
from producer.frame_traces import FrameTraces
from producer.metrics import DropReason, ProducerMetrics


class FrameEndings:
    """Ends frames, each exactly once.

    Args:
        metrics: Counts.
        traces: The traced ones; None traces none.
    """

    def __init__(self, metrics: ProducerMetrics, traces: FrameTraces | None = None) -> None:
        self._metrics = metrics
        self._traces = traces

    def begin_to_send(self, frame: Frame) -> None:
        """Note that a frame is given to Kafka's client, and has not ended."""
        if self._traces is not None:
            self._traces.send(frame)

    def publish(self, frame: Frame) -> None:
        """Note that Kafka has acknowledged a frame."""
        self._metrics.publish(frame.camera)
        age = datetime.now(UTC) - frame.captured_at
        self._metrics.publish_seconds.observe(max(age.total_seconds(), 0.0))
        if self._traces is not None:
            self._traces.end(frame, "published")

    def drop(self, frame: Frame, reason: DropReason) -> None:
        """Note why a frame is not published."""
        self._metrics.drop(frame.camera, reason)
        if self._traces is not None:
            self._traces.end(frame, f"dropped: {reason}")
