"""Which partition a record with a stranger's key goes to.

Library: kafka-python, which hashes keys in Python, a few 100 kB a second, and holds the
interpreter's lock meanwhile.
"""

from typing import Any

from kafka.partitioner.default import DefaultPartitioner

_HASHED_BYTES = 256
"""Camera ids are shorter: they keep the partition that every client of Kafka gives them."""


class FrontOfKey(DefaultPartitioner):  # type: ignore[misc]  # no types there
    """kafka-python's default, by no more than the front of a key."""

    def partition(
        self,
        topic: str,
        key: Any,
        serialized_key: bytes | None,
        value: Any,
        serialized_value: bytes | None,
        cluster: Any,
    ) -> int:
        """Return the partition."""
        front = None if serialized_key is None else serialized_key[:_HASHED_BYTES]
        chosen: int = super().partition(topic, key, front, value, serialized_value, cluster)
        return chosen
