import contextlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import InvalidMessageError
from contract.frame import (
    CAMERA_ID,
    Frame,
    decode_frame,
    encode_frame,
    new_session,
    session_start_ms,
)

SESSION = "0192f1e0-6b00-7abc-8def-0123456789ab"


def a_frame(**changes: object) -> Frame:
    values: dict[str, object] = {
        "camera": "gate-1",
        "session": SESSION,
        "sequence": 7,
        "captured_at": datetime(2026, 11, 23, 12, 0, 0, 123456, UTC),
        "width": 768,
        "height": 576,
        "data": b"\xff\xd8image",
    }
    return Frame(**{**values, **changes})  # type: ignore[arg-type]


def headers_with(**changes: bytes | None) -> list[tuple[str, bytes]]:
    headers = dict(encode_frame(a_frame())[2])
    for name, value in changes.items():
        name = name.replace("content_type", "content-type")
        if value is None:
            del headers[name]
        else:
            headers[name] = value
    return list(headers.items())


@given(
    camera=st.from_regex(CAMERA_ID, fullmatch=True),
    sequence=st.integers(0, 2**63 - 1),
    moment=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),
    side=st.integers(1, 16_384),
    data=st.binary(min_size=1, max_size=50),
)
def test_a_frame_survives_the_record(
    camera: str, sequence: int, moment: datetime, side: int, data: bytes
) -> None:
    frame = a_frame(
        camera=camera, sequence=sequence, captured_at=moment, width=side, height=side, data=data
    )
    assert decode_frame(*encode_frame(frame), max_bytes=50) == frame


def test_the_record_is_a_cloud_event_in_binary_mode() -> None:
    key, value, headers = encode_frame(a_frame())
    texts = dict(headers)
    assert key == b"gate-1"
    assert value == b"\xff\xd8image"
    assert texts["ce_specversion"] == b"1.0"
    assert texts["ce_type"] == b"seedstream.frame.v1"
    assert texts["ce_source"] == b"/cameras/gate-1"
    assert texts["ce_id"] == f"{SESSION}/7".encode()
    assert texts["ce_time"] == b"2026-11-23T12:00:00.123456Z"
    assert texts["content-type"] == b"image/jpeg"


def test_unknown_headers_are_ignored() -> None:
    headers = [*headers_with(), ("x-else", b"\xff\xfe"), ("ce_extension", b"1")]
    assert decode_frame(b"gate-1", b"x", headers, max_bytes=9).sequence == 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_time": None}, "missing_header"),
        ({"content_type": None}, "missing_header"),
        ({"ce_type": b"seedstream.frame.v2"}, "unknown_version"),
        ({"ce_specversion": b"0.3"}, "unknown_version"),
        ({"content_type": b"image/png"}, "unknown_content_type"),
        ({"ce_width": b"0"}, "malformed_header"),
        ({"ce_width": b"99999"}, "malformed_header"),
        ({"ce_height": b"-5"}, "malformed_header"),
        ({"ce_sequence": b"1.5"}, "malformed_header"),
        ({"ce_sequence": "٣".encode()}, "malformed_header"),
        ({"ce_sequence": b"9" * 5000}, "malformed_header"),
        ({"ce_time": b"yesterday"}, "malformed_header"),
        ({"ce_time": b"0001-01-01T00:00:00Z"}, "implausible_time"),
        ({"ce_time": b"1970-01-01T00:00:07Z"}, "implausible_time"),
        ({"ce_time": b"2026-11-23T12:00:00"}, "malformed_header"),
        ({"ce_time": b"0001-01-01T00:00:00+01:00"}, "malformed_header"),
        ({"ce_time": b"9999-12-31T23:59:59-01:00"}, "malformed_header"),
        ({"ce_session": b"1"}, "malformed_header"),
        ({"ce_session": str(uuid.uuid4()).encode()}, "malformed_header"),
        ({"ce_session": b"\xff"}, "malformed_header"),
        ({"ce_source": b"/cameras/other"}, "key_mismatch"),
        ({"ce_session": SESSION[:20].encode()}, "malformed_header"),  # cut short
        ({"ce_time": b"2026-11-23T12:00:00.12"}, "malformed_header"),  # cut short
        ({"ce_type": b"seedstream.fra"}, "unknown_version"),  # cut short
    ],
)
def test_a_bad_header_is_refused_with_its_reason(
    changes: dict[str, bytes | None], reason: str
) -> None:
    with pytest.raises(InvalidMessageError) as error:
        decode_frame(b"gate-1", b"x", headers_with(**changes), max_bytes=9)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"gate-1", b"", "empty"),
        (b"gate-1", None, "empty"),
        (b"gate-1", b"0123456789", "oversized"),
        (None, b"x", "key_mismatch"),
        (b"\xff", b"x", "key_mismatch"),
        (b"{brace}", b"x", "key_mismatch"),
    ],
)
def test_a_bad_key_or_value_is_refused_with_its_reason(
    key: bytes | None, value: bytes | None, reason: str
) -> None:
    with pytest.raises(InvalidMessageError) as error:
        decode_frame(key, value, headers_with(), max_bytes=9)
    assert error.value.reason == reason


def test_a_session_id_is_a_version_7_uuid_with_its_start() -> None:
    first = new_session()
    parsed = uuid.UUID(first)
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    later = session_start_ms(first) + 60_000
    assert session_start_ms(new_session(not_before_ms=later)) == later
    assert new_session() != new_session()


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=20),
    changes=st.dictionaries(st.sampled_from(sorted(dict(headers_with()))), st.binary(max_size=40)),
    extra=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=10)), max_size=3),
)
def test_no_record_whatever_it_holds_raises_anything_else(
    key: bytes | None,
    value: bytes | None,
    changes: dict[str, bytes],
    extra: list[tuple[str, bytes]],
) -> None:
    headers = [*{**dict(headers_with()), **changes}.items(), *extra]
    with contextlib.suppress(InvalidMessageError):
        frame = decode_frame(key, value, headers, max_bytes=10)
        assert frame.captured_at.utcoffset() == timedelta(0)
