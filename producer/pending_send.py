"""One frame on its way to Kafka."""

from contract.frame import Frame, encode_frame
from producer.record_limit import record_bytes


class PendingSend:
    """One record given to the client.

    Attributes:
        frame: The frame.
        record: Key, value, headers and session.
        size: Upper bound of its size in Kafka, in bytes.
        resent: Whether it was sent again after a failure of the client that no other record
            explains.
    """

    __slots__ = ("frame", "record", "resent", "size")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.record = (*encode_frame(frame), frame.session)
        self.size = record_bytes(frame.data)
        self.resent = False
