"""A camera's newest picture, read once and shared by all who look at it."""

from datetime import datetime

import msgspec

from contract.errors import InvalidMessageError
from contract.json_text import JSON_ERRORS
from contract.preview import decode_preview
from viewer.web.watching import KNOWN_BYTES


class Picture(msgspec.Struct, frozen=True):
    """One matched pair: a result document and the very frame that it was made from.

    Attributes:
        camera: Camera id.
        document: The result document, as it was stored.
        jpeg: The frame, scaled.
        known: First bytes of the value, by which Redis tells whether it has another one.
        session: Session id of the frame.
        sequence: Number of the frame within its session.
        captured_at: Seconds since 1970, by the clock of the camera's producer.
        processed_at: Seconds since 1970, by the worker's clock.
    """

    camera: str
    document: bytes
    jpeg: bytes
    known: bytes
    session: str
    sequence: int
    captured_at: float
    processed_at: float

    @property
    def frame(self) -> tuple[str, int]:
        """Which frame it is of."""
        return self.session, self.sequence

    @property
    def size_bytes(self) -> int:
        """Bytes of document and JPEG."""
        return len(self.document) + len(self.jpeg)


class _Stamp(msgspec.Struct):
    """The part of a result that the hub needs; the masks are not looked at."""

    camera: str
    session: str
    sequence: int
    captured_at: datetime
    processed_at: datetime


_decoder = msgspec.json.Decoder(_Stamp)


def read_picture(camera: str, value: bytes) -> Picture:
    """Read the value of a camera's preview.

    Raises:
        InvalidMessageError: It is no preview of this camera.
    """
    preview = decode_preview(value)
    try:
        stamp = _decoder.decode(preview.document)
    except JSON_ERRORS as error:
        raise InvalidMessageError(
            "malformed_preview", f"its document is not a result: {error}"
        ) from error
    if stamp.camera != camera:
        raise InvalidMessageError(
            "malformed_preview", f"the preview of {camera!r} holds a result of {stamp.camera!r}"
        )
    return Picture(
        camera,
        preview.document,
        preview.jpeg,
        value[:KNOWN_BYTES],
        stamp.session,
        stamp.sequence,
        stamp.captured_at.timestamp(),
        stamp.processed_at.timestamp(),
    )
