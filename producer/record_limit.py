"""The largest record that Kafka takes, as far as this process has learned."""

from logging import getLogger

log = getLogger("seedstream.producer.record_limit")

_OVERHEAD_BYTES = 1024
"""What headers and framing add to a record, at most."""


def record_bytes(data: bytes) -> int:
    """Return an upper bound of the size in Kafka of the record that carries ``data``, in bytes."""
    return len(data) + _OVERHEAD_BYTES


class RecordLimit:
    """The largest record that is worth sending, for this process's life; for any thread.

    Args:
        topic: Kafka topic that records go to.
        max_record_bytes: Limit of the settings, in bytes.
    """

    def __init__(self, topic: str, max_record_bytes: int) -> None:
        self._topic = topic
        self._largest = max_record_bytes
        self._why = f"max_record_bytes = {max_record_bytes}"
        self._warned: set[str] = set()

    def fits(self, size: int) -> bool:
        """Return whether a record of ``size`` bytes may be sent."""
        return size <= self._largest

    def lower(self, camera: str, size: int) -> None:
        """Note that a broker refused a record of ``size`` bytes of ``camera`` as too large."""
        self._largest = min(self._largest, size - 1)
        self._why = f"what Kafka accepts for topic '{self._topic}' (max.message.bytes)"
        self._warned = {camera}
        log.warning(
            "camera %s: Kafka refuses a record of %d bytes as too large; from now on pictures of "
            "this size that came as JPEG are encoded anew, and frames that were encoded here are "
            "dropped unsent: raise max.message.bytes of topic '%s' to "
            "PRODUCER_MAX_RECORD_BYTES, or make the frames smaller (max_side, quality)",
            camera,
            size,
            self._topic,
        )

    def report(self, camera: str, size: int) -> None:
        """Log a frame that is dropped unsent, the first of each camera only: metrics count all."""
        if camera in self._warned:
            return
        self._warned.add(camera)
        log.warning(
            "camera %s: a frame of %d bytes exceeds %s; such frames are dropped",
            camera,
            size,
            self._why,
        )
