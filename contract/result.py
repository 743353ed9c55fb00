"""Worker and every reader of results: the result document in Redis and the keys it lies under.

Keys of one camera share a hash tag, so they stay in one slot of a Redis Cluster. Every key expires.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from contract.errors import InvalidMessageError
from contract.frame import Frame, session_start_ms
from contract.json_text import JSON_ERRORS
from contract.mask import RunLengths

SCHEMA = 1
CAMERAS_KEY = "seedstream:cameras"
"""Sorted set of camera ids, score = time last seen (seconds since 1970)."""

DOCUMENT_FIELD = "result"
"""Field of a stream entry whose value is the JSON document."""

ORIGIN_FIELD = "origin"
"""Field of a stream entry that workers order by: ``<session> <log> <position>``, where ``log``
names the Kafka partition as ``<topic id>/<partition>``, empty where topics have no ids."""


class Instance(msgspec.Struct, frozen=True, omit_defaults=True, rename={"class_name": "class"}):
    """One object instance, in pixels of the captured frame.

    The last four say who it is through time; a worker that does not track leaves them out.

    Attributes:
        id: Number within the frame, from 1, in order of discovery.
        class_name: Class of the object (``class`` in the document).
        score: Score of the instance's seed, 0..1.
        box: [x, y, width, height] of the mask's tight box.
        center: [x, y] of the mask's centroid.
        area: Number of mask pixels.
        mask: COCO run-length encoding; masks of one frame do not overlap.
        track: Number of the object through time, never used again for this camera.
        age_seconds: Seconds since the object was first seen.
        velocity: [x, y] in pixels a second.
        confirmed: Whether the object was seen often enough not to be a false find.
    """

    id: int
    class_name: str
    score: Annotated[float, Meta(ge=0, le=1)]
    box: tuple[int, int, int, int]
    center: tuple[float, float]
    area: int
    mask: RunLengths
    track: int | None = None
    age_seconds: float | None = None
    velocity: tuple[float, float] | None = None
    confirmed: bool | None = None


class ModelReference(msgspec.Struct, frozen=True):
    """Which weights made a result: artifact name, version and sha256 of the weights."""

    name: str
    version: str
    sha256: str


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one frame.

    Attributes:
        camera: Camera id.
        session: Session id of the frame.
        sequence: Number of the frame within its session.
        captured_at: Capture time, UTC.
        processed_at: When the instances were ready, UTC.
        width: Width of the captured frame in pixels.
        height: Height of the captured frame in pixels.
        model: Which weights made it.
        latency_seconds: ``processed_at`` - ``captured_at``; negative when clocks disagree.
        position: [partition, offset] of the frame's record in Kafka; absent in older documents and
            in those of files.
        trace: Id of the frame's trace, 32 hexadecimal digits; absent where none was recorded.
        instances: The objects, in order of discovery.
        schema: Version of this document.
    """

    # A factory's value is written even where it is the default.
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    camera: str
    session: str
    sequence: int
    captured_at: Annotated[datetime, Meta(tz=True)]
    processed_at: Annotated[datetime, Meta(tz=True)]
    width: int
    height: int
    model: ModelReference
    latency_seconds: float
    position: tuple[int, int] | None = None
    trace: str | None = None
    instances: list[Instance]


_decoder = msgspec.json.Decoder(Result)
_encoder = msgspec.json.Encoder()


def encode_result(result: Result) -> bytes:
    """Return the JSON document."""
    return _encoder.encode(result)


def decode_result(document: bytes | str) -> Result:
    """Read a JSON document; unknown fields are ignored.

    Raises:
        InvalidMessageError: ``malformed_result`` or ``unknown_version``.
    """
    try:
        result = _decoder.decode(document)
    except JSON_ERRORS as error:
        raise InvalidMessageError("malformed_result", f"not a result document: {error}") from error
    if result.schema != SCHEMA:
        raise InvalidMessageError(
            "unknown_version", f"result schema is {result.schema}, expected {SCHEMA}"
        )
    try:
        session_start_ms(result.session)
    except ValueError as error:
        raise InvalidMessageError(
            "malformed_result", f"the session is {result.session[:80]!r}, expected a UUIDv7"
        ) from error
    return result


def results_key(camera: str) -> str:
    """Return the key of the camera's stream of results."""
    return f"seedstream:{{{camera}}}:results"


def latest_key(camera: str) -> str:
    """Return the key of the camera's newest result."""
    return f"seedstream:{{{camera}}}:latest"


def sessions_key(camera: str) -> str:
    """Return the key of the camera's recent sessions, which only workers read."""
    return f"seedstream:{{{camera}}}:sessions"


def tracks_key(camera: str) -> str:
    """Return the key of the state of the camera's tracks, which only workers read."""
    return f"seedstream:{{{camera}}}:tracks"


def stream_id(frame: Frame | Result) -> str:
    """Return the stream id that a frame's result usually has: ``<session start ms>-<sequence>``.

    Ids of one camera ascend in the order of its records in Kafka. So a session that begins in the
    future by its own clock, or before the session that it follows, gets an id that fits instead
    (ADR 10); which frame an entry is of, its document tells.
    """
    return f"{session_start_ms(frame.session)}-{frame.sequence}"
