from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from contract.errors import InvalidMessageError
from contract.frame import Frame, encode_frame, new_session
from servers.kafka import KafkaConnection
from servers.record_batches import FetchedRecord
from viewer import history, topic_reader

NOW = 1_800_000_000.0
SINCE = datetime.fromtimestamp(NOW - 600, UTC)


@dataclass
class Time:
    """Every poll takes a second, on both clocks."""

    seconds: float = NOW

    def __call__(self) -> float:
        return self.seconds


@dataclass
class FakeConsumer:
    """Gives the scripted records, one a poll, then for ever those of another camera, as of now."""

    time: Time
    records: Iterator[Any]
    polls: int = field(default=0)

    def poll(self, **_: Any) -> dict[str, list[Any]]:
        self.polls += 1
        assert self.polls < 100, "reading does not end"
        self.time.seconds += 1
        return {"partition": [next(self.records, record("other", self.time.seconds))]}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    def offsets_for_times(self, moments: dict[Any, int]) -> dict[Any, Any]:
        return dict.fromkeys(moments, SimpleNamespace(offset=0))

    def assign(self, _: Any) -> None: ...

    def seek(self, *_: Any) -> None: ...

    def close(self) -> None: ...


def record(camera: str, stamped: float) -> Any:
    frame = Frame(
        camera=camera,
        session=new_session(),
        sequence=0,
        captured_at=SINCE,
        width=8,
        height=8,
        data=b"\xff\xd8\xff\xd9",
    )
    key, value, headers = encode_frame(frame)
    return FetchedRecord(0, int(stamped * 1000), key, value, headers)


def read(monkeypatch: pytest.MonkeyPatch, records: list[Any]) -> list[Frame]:
    time = Time()
    consumer = FakeConsumer(time, iter(records))
    monkeypatch.setattr(topic_reader, "reading_past_faults", lambda **_: consumer)
    return list(history.read_frames(KafkaConnection(), "frames", "mine", SINCE, 5.0, time, time))


def test_reading_a_camera_ends_while_others_go_on_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = read(monkeypatch, [record("mine", NOW - 9)])
    assert [frame.camera for frame in frames] == ["mine"]


def test_a_long_stretch_of_older_records_of_others_is_read_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    between = [record("other", NOW - 60) for _ in range(20)]
    frames = read(monkeypatch, [record("mine", NOW - 99), *between, record("mine", NOW - 9)])
    assert len(frames) == 2


def test_what_workers_cannot_read_is_no_frame_of_the_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = InvalidMessageError("unreadable_header", "the name is not UTF-8")
    unreadable = replace(record("mine", NOW - 9), fault=fault)
    assert len(read(monkeypatch, [unreadable, record("mine", NOW - 9)])) == 1
