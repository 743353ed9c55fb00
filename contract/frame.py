"""Producer and worker: the frame record on Kafka.

CloudEvents 1.0, Kafka protocol binding, binary content mode: the key is the camera id, the value
the encoded image, the headers the event's attributes. Unknown headers are ignored.
"""

import re
import secrets
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from contract.errors import InvalidMessageError

EVENT_TYPE = "seedstream.frame.v1"
JPEG = "image/jpeg"
I420 = "video/x-raw; format=I420"
CONTENT_TYPES = (JPEG, I420)
CAMERA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
CAMERA_ID_RULE = "1 to 128 letters, digits, '.', '_', ':' or '-', the first a letter or digit"
MAX_SIDE_PIXELS = 16_384

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earliest capture time: a clock that shows an earlier one was never set."""

MAX_FRAME_PIXELS = 4096 * 2304
"""Largest frame, in pixels, that producers and workers agree on unless set: the producer scales
down to it, a worker makes a dead letter of what is larger."""

Header = tuple[str, bytes]

_REQUIRED = (
    "ce_specversion",
    "ce_type",
    "ce_source",
    "ce_id",
    "ce_time",
    "content-type",
    "ce_width",
    "ce_height",
    "ce_session",
    "ce_sequence",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame as it travels through Kafka.

    Attributes:
        camera: Camera id, the Kafka key; see ``CAMERA_ID_RULE``.
        session: Id of the uninterrupted connection to the camera, in one partition: a UUIDv7, so
            ids of one camera sort by the time the session began.
        sequence: Number of the decoded frame within the session, from 0. Frames that the producer
            dropped leave gaps.
        captured_at: Capture time, UTC, microseconds; within a session it never descends unless the
            clock is set back. Of a live camera: its time stamp, anchored to the least delayed frame
            of the session, so a backlog in network or decoder counts into every latency; the time
            of arrival where there is no usable stamp. Of a file played in real time: when the
            frame was due; of one read as fast as possible: when it was read.
        width: Width of the encoded image in pixels.
        height: Height of the encoded image in pixels.
        data: The encoded image.
        content_type: ``image/jpeg`` or ``video/x-raw; format=I420`` (planes Y, U, V of 8 bits,
            tightly packed, even sides).
        traceparent: W3C trace context; None of a frame that is not traced.
    """

    camera: str
    session: str
    sequence: int
    captured_at: datetime
    width: int
    height: int
    data: bytes
    content_type: str = JPEG
    traceparent: str | None = None


def new_session(not_before_ms: int = 0) -> str:
    """Return a fresh session id: a UUIDv7 (RFC 9562, section 5.7).

    Args:
        not_before_ms: The id's time is at least this, in milliseconds since 1970: pass the previous
            session's ``session_start_ms`` + 1 to keep ids of one camera ascending when the wall
            clock steps back.
    """
    start_ms = max(time.time_ns() // 1_000_000, not_before_ms)
    random = secrets.randbits(74)
    value = start_ms << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def session_start_ms(session: str) -> int:
    """Return the time in a session id, in milliseconds since 1970."""
    return uuid.UUID(session).int >> 80


def encode_frame(frame: Frame) -> tuple[bytes, bytes, list[Header]]:
    """Return the Kafka record of ``frame``: key, value, headers."""
    headers = {
        "ce_specversion": "1.0",
        "ce_type": EVENT_TYPE,
        "ce_source": f"/cameras/{frame.camera}",
        "ce_id": f"{frame.session}/{frame.sequence}",
        "ce_time": format_time(frame.captured_at),
        "content-type": frame.content_type,
        "ce_width": str(frame.width),
        "ce_height": str(frame.height),
        "ce_session": frame.session,
        "ce_sequence": str(frame.sequence),
    }
    if frame.traceparent is not None:
        headers["traceparent"] = frame.traceparent
    encoded = [(name, text.encode()) for name, text in headers.items()]
    return frame.camera.encode(), frame.data, encoded


def decode_frame(
    key: bytes | None, value: bytes | None, headers: Iterable[Header], *, max_bytes: int
) -> Frame:
    """Read a Kafka record; the image itself is not decoded here.

    Args:
        key: The record's key.
        value: The record's value.
        headers: The record's headers; of headers with one name the last counts.
        max_bytes: Largest accepted value, in bytes.

    Raises:
        InvalidMessageError: With the reason ``missing_header``, ``malformed_header``,
            ``unknown_version``, ``unknown_content_type``, ``key_mismatch``, ``empty``,
            ``oversized`` or ``implausible_time``.
    """
    texts = _texts(headers)
    missing = [name for name in _REQUIRED if name not in texts]
    if missing:
        raise InvalidMessageError("missing_header", f"headers missing: {', '.join(missing)}")
    _check_version(texts)
    if not value:
        raise InvalidMessageError("empty", "the value is empty, expected an encoded image")
    if len(value) > max_bytes:
        raise InvalidMessageError(
            "oversized", f"the value has {len(value)} bytes, the limit is {max_bytes}"
        )
    return Frame(
        camera=_camera(key, texts["ce_source"]),
        session=_session(texts["ce_session"]),
        sequence=_integer(texts, "ce_sequence", 0, 2**63 - 1),
        captured_at=_captured_at(texts["ce_time"]),
        width=_integer(texts, "ce_width", 1, MAX_SIDE_PIXELS),
        height=_integer(texts, "ce_height", 1, MAX_SIDE_PIXELS),
        data=value,
        content_type=texts["content-type"],
        traceparent=texts.get("traceparent"),
    )


def format_time(moment: datetime) -> str:
    """Return ``moment`` as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time with a zone.

    Raises:
        InvalidMessageError: ``malformed_header``.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # overflow: a zone that leads out of the years 1 to 9999
        pass
    raise InvalidMessageError(
        "malformed_header", f"ce_time is {text[:40]!r}, expected RFC 3339 with a zone"
    )


def _texts(headers: Iterable[Header]) -> dict[str, str]:
    texts = {}
    for name, raw in headers:
        try:
            texts[name] = bytes(raw or b"").decode()
        except UnicodeDecodeError as error:
            if name in _REQUIRED:
                raise InvalidMessageError("malformed_header", f"{name} is not UTF-8") from error
    return texts


def _check_version(texts: dict[str, str]) -> None:
    if texts["ce_specversion"] != "1.0":
        raise InvalidMessageError(
            "unknown_version", f"ce_specversion is {texts['ce_specversion'][:40]!r}, expected '1.0'"
        )
    if texts["ce_type"] != EVENT_TYPE:
        raise InvalidMessageError(
            "unknown_version", f"ce_type is {texts['ce_type'][:80]!r}, expected {EVENT_TYPE!r}"
        )
    if texts["content-type"] not in CONTENT_TYPES:
        raise InvalidMessageError(
            "unknown_content_type",
            f"content-type is {texts['content-type'][:80]!r}, expected one of {CONTENT_TYPES}",
        )


def _camera(key: bytes | None, source: str) -> str:
    try:
        camera = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidMessageError("key_mismatch", "the key is not UTF-8") from error
    if not CAMERA_ID.fullmatch(camera):
        raise InvalidMessageError(
            "key_mismatch", f"the key is {camera[:140]!r}, expected a camera id: {CAMERA_ID_RULE}"
        )
    if source != f"/cameras/{camera}":
        raise InvalidMessageError(
            "key_mismatch", f"ce_source is {source[:140]!r}, expected '/cameras/{camera}'"
        )
    return camera


def _session(text: str) -> str:
    try:
        session = uuid.UUID(text)
    except ValueError:
        session = uuid.UUID(int=0)
    if session.version != 7 or str(session) != text:
        raise InvalidMessageError(
            "malformed_header", f"ce_session is {text[:80]!r}, expected a UUIDv7 in lower case"
        )
    return text


def _captured_at(text: str) -> datetime:
    moment = parse_time(text)
    if moment < EARLIEST:
        raise InvalidMessageError(
            "implausible_time",
            f"ce_time is {text[:40]!r}, expected {EARLIEST:%Y} or later: was the producer's clock "
            "ever set?",
        )
    return moment


def _integer(texts: dict[str, str], name: str, low: int, high: int) -> int:
    text = texts[name]
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or not low <= int(text) <= high:
        raise InvalidMessageError(
            "malformed_header", f"{name} is {text[:40]!r}, expected an integer {low}..{high}"
        )
    return int(text)
