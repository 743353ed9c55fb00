"""``seedstream dead`` against a real broker."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import simplejpeg
from kafka import KafkaProducer, TopicPartition
from PIL import Image
from typer.testing import CliRunner

from contract.errors import ConfigurationError, UnavailableError
from contract.frame import Frame, decode_frame, encode_frame
from contract.settings import load_settings
from seedstream.cli import build
from servers.record_fetcher import reading_past_faults
from stack.broker import Broker
from tests.fakes import jpeg, make_frame, wait_until
from viewer.dead_commands import list_letters, replay_letters, show_letter
from viewer.dead_topic import Choice
from viewer.settings import DeadSettings
from workers.dead_letters import dead_headers
from workers.records import Record

Name = Callable[[str], str]


@dataclass
class Topics:
    """A topic of frames and one of dead letters, written as workers write them."""

    settings: DeadSettings
    frames: str
    producer: KafkaProducer
    said: list[str] = field(default_factory=list)
    places: Counter[int] = field(default_factory=Counter)

    def bury(
        self,
        frame: Frame,
        position: int,
        reason: str = "corrupt_image",
        partition: int = 2,
        **changes: Any,
    ) -> str:
        key, value, headers = encode_frame(frame)
        record = {"key": key, "value": value, "headers": headers} | changes
        dead = Record(partition, position, **record, timestamp_seconds=None)
        headers = dead_headers(dead, self.frames, reason, changes.get("detail", "it is broken"))
        sent = self.producer.send(
            self.settings.topic, key=dead.key, value=dead.value, headers=headers, partition=0
        ).get(10)
        return f"0:{sent.offset}"

    def listed(self, limit: int = 50, **choice: Any) -> dict[str, Any]:
        self.said.clear()
        assert list_letters(
            self.settings, Choice(**choice), limit, self.said.append, json_wanted=True
        ) == 0  # fmt: skip
        found: dict[str, Any] = json.loads(self.said[0])
        return found

    def replay(self, *ids: str, limit: int = 100, yes: bool = True, **choice: Any) -> int:
        self.said.clear()
        return replay_letters(
            self.settings, Choice(ids=frozenset(ids), **choice), limit, self.said.append,
            dry_run=False, confirmed=lambda question: yes,
        )  # fmt: skip

    def sent_again(self, count: int) -> list[Any]:
        consumer = reading_past_faults(bootstrap_servers=self.settings.bootstrap_servers)
        partitions = [TopicPartition(self.frames, number) for number in range(4)]
        consumer.assign(partitions)
        for each in partitions:
            consumer.seek(each, 0)
        found: list[Any] = []

        def read() -> bool:
            for place, records in consumer.poll(timeout_ms=100).items():
                found.extend(records)
                self.places[place.partition] += len(records)
            return len(found) >= count

        wait_until(read, 20)
        consumer.close()
        return found


@pytest.fixture
def topics(kafka: Broker, unique_name: Name) -> Iterator[Topics]:
    frames, dead = unique_name("frames"), unique_name("dead")
    kafka.create_topic(frames, 4)
    kafka.create_topic(dead, 1)
    settings = load_settings(
        DeadSettings, bootstrap_servers=kafka.bootstrap_servers, topic=dead,
        kafka_timeout_seconds=10, log_level="ERROR",
    )  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    yield Topics(settings, frames, producer)
    producer.close(5)


def test_the_list_shows_each_record_once_with_its_reason_and_place(topics: Topics) -> None:
    first = topics.bury(make_frame("gate"), 17)
    topics.bury(make_frame("yard"), 18, "missing_header", headers=())
    topics.bury(make_frame("gate"), 17)  # written again after a rebalance
    topics.producer.send(topics.settings.topic, value=b"no dead letter").get(10)
    found = topics.listed()
    assert (found["count"], found["doubled"]) == (2, 1)
    assert found["reasons"] == {"corrupt_image": 1, "missing_header": 1}
    assert found["letters"][0] | {"written_at": ""} == {
        "id": first, "written_at": "", "reason": "corrupt_image", "detail": "it is broken",
        "camera": "gate", "topic": topics.frames, "partition": 2, "position": 17, "raw": "",
    }  # fmt: skip
    assert [each["camera"] for each in topics.listed(reason="missing_header")["letters"]] == [
        "yard"
    ]
    assert [each["position"] for each in topics.listed(camera="gate")["letters"]] == [17]
    future = datetime.now(UTC) + timedelta(hours=1)
    assert topics.listed(since=future)["count"] == 0
    assert len(topics.listed(limit=1)["letters"]) == 1
    list_letters(topics.settings, Choice(), 1, topics.said.append, json_wanted=False)
    table = topics.said[-1].splitlines()
    assert len(table) == 3
    assert table[-1] == (
        "2 dead letters (corrupt_image 1, missing_header 1), the newest 1 shown; further copies "
        "left out: 1"
    )


def test_a_terminal_is_not_at_the_mercy_of_a_key(topics: Topics) -> None:
    topics.bury(make_frame("gate"), 1, key=b"\x1b[2J\xff\n\r" + "größe".encode())
    list_letters(topics.settings, Choice(), 9, topics.said.append, json_wanted=False)
    assert "\\x1b[2J\\xff\\x0a\\x0dgröße" in topics.said[0]


def test_one_letter_is_shown_whole_with_its_picture(topics: Topics, tmp_path: Path) -> None:
    letter = topics.bury(make_frame("gate", width=64, height=48), 3)
    path = tmp_path / "frame.png"
    code = show_letter(topics.settings, letter, path, topics.said.append, json_wanted=True)
    about = json.loads(topics.said[0])
    assert code == 0
    assert dict(about["headers"])["ce_source"] == "/cameras/gate"
    assert about["replayable"] is True
    assert about["picture"] == f"{path} (64x48 pixels, image/jpeg)"
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 48))
    show_letter(topics.settings, letter, None, topics.said.append, json_wanted=False)
    assert "  ce_source: /cameras/gate" in topics.said[-1].splitlines()


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "PNG"])
def test_a_jpeg_image_without_headers_is_still_a_picture(
    topics: Topics, tmp_path: Path, suffix: str
) -> None:
    letter = topics.bury(make_frame("gate"), 3, "missing_header", headers=(), value=jpeg(9))
    path = tmp_path / f"frame.{suffix}"
    assert show_letter(topics.settings, letter, path, topics.said.append, json_wanted=False) == 0
    with Image.open(path) as picture:
        assert picture.size == (64, 48)


@pytest.mark.parametrize("value", [b"", None, b"no picture", jpeg()[:100], b"\xff\xd8garbage"])
def test_what_does_not_decode_is_said_and_fails(
    topics: Topics, tmp_path: Path, value: bytes | None
) -> None:
    letter = topics.bury(make_frame("gate"), 3, value=value)
    path = tmp_path / "frame.png"
    assert show_letter(topics.settings, letter, path, topics.said.append, json_wanted=False) == 1
    assert "picture: none, " in topics.said[0]
    assert not path.exists()


def test_a_letter_that_is_not_there_and_names_that_are_none(topics: Topics, tmp_path: Path) -> None:
    topics.bury(make_frame("gate"), 3)
    for absent in ("0:9", "7:0"):
        assert (
            show_letter(topics.settings, absent, None, topics.said.append, json_wanted=False) == 1
        )
        assert f"no dead letter {absent}" in topics.said[-1]
    for wrong in ("9", "a:b", "0:-1", "0:1:2"):
        with pytest.raises(ConfigurationError, match="is no dead letter's id"):
            show_letter(topics.settings, wrong, None, topics.said.append, json_wanted=False)
    with pytest.raises(ConfigurationError, match=r"ends in \.png or \.jpg"):
        show_letter(
            topics.settings, "0:0", tmp_path / "frame.gif", topics.said.append, json_wanted=False
        )
    gone = topics.settings.model_copy(update={"topic": "absent"})
    with pytest.raises(UnavailableError, match="has no topic 'absent'"):
        list_letters(gone, Choice(), 9, topics.said.append, json_wanted=False)


def test_a_replayed_record_is_the_original_with_a_header_more_and_the_letter_stays(
    topics: Topics,
) -> None:
    frames = [make_frame("gate", number) for number in range(3)]
    letters = [topics.bury(frame, number) for number, frame in enumerate(frames)]
    topics.bury(frames[0], 0)  # a second copy of the first
    assert topics.replay(letters[0], letters[2]) == 0
    assert topics.said[-1].startswith("2 of 2 sent again")
    sent = topics.sent_again(2)
    assert topics.places == {2: 2}
    for record, frame, letter in zip(sent, (frames[0], frames[2]), letters[::2], strict=True):
        key, value, headers = encode_frame(frame)
        replayed = ("seedstream_replay_of", f"{topics.settings.topic}/{letter}".encode())
        assert (record.key, record.value) == (key, value)
        assert record.headers == [*headers, replayed]
        again = decode_frame(record.key, record.value, record.headers, max_bytes=10**6)
        assert again == frame
    assert topics.listed()["count"] == 3
    assert topics.replay(camera="gate") == 0
    assert len(topics.sent_again(5)) == 5


def test_a_record_whose_partition_is_gone_goes_to_that_of_its_key(topics: Topics) -> None:
    letter = topics.bury(make_frame("gate"), 0, partition=40)
    assert topics.replay(letter) == 0
    assert [record.key for record in topics.sent_again(1)] == [b"gate"]


def test_nothing_is_sent_that_was_not_agreed_to_or_is_too_much(topics: Topics) -> None:
    letters = [topics.bury(make_frame("gate", number), number) for number in range(3)]
    assert topics.replay(*letters, yes=False) == 1
    assert topics.said[-1] == "nothing sent"
    with pytest.raises(ConfigurationError, match="more than --limit 2"):
        topics.replay(*letters, limit=2)
    topics.said.clear()
    code = replay_letters(
        topics.settings, Choice(), 9, topics.said.append, dry_run=True, confirmed=lambda _: False
    )
    assert code == 0
    assert topics.said[-1] == f"nothing sent; without --dry-run, they would go to {topics.frames}"
    assert topics.replay(reason="of none") == 1
    assert topics.replay(letters[1]) == 0
    assert [record.value for record in topics.sent_again(1)] == [make_frame("gate", 1).data]


def test_what_is_no_longer_whole_is_not_sent_and_said_so(topics: Topics) -> None:
    raw = topics.bury(
        make_frame("gate"), 1, "unreadable_batch", headers=[("seedstream_dead_raw", b"batch")]
    )
    whole = topics.bury(make_frame("gate", 7), 2)
    assert topics.replay(raw, whole) == 1
    assert f"{raw} not sent: only raw bytes are left of it (batch)" in topics.said
    assert topics.said[-1].startswith("1 of 2 sent again")
    assert len(topics.sent_again(1)) == 1


def test_a_letter_with_forged_headers_is_known_by_those_of_the_worker(topics: Topics) -> None:
    forged = [("seedstream_dead_reason", b"forged"), ("seedstream_dead_position", b"99")]
    topics.bury(make_frame("gate"), 5, headers=forged)
    (letter,) = topics.listed()["letters"]
    assert (letter["reason"], letter["position"]) == ("corrupt_image", 5)


@pytest.mark.parametrize("words", [[], ["--all", "--camera", "gate"], ["--all", "0:1"]])
def test_replay_wants_to_know_which(words: list[str]) -> None:
    result = CliRunner().invoke(build(["dead"]), ["dead", "replay", *words])
    assert isinstance(result.exception, ConfigurationError)
    assert "which dead letters?" in str(result.exception)


def test_the_command_line_reaches_the_letters(topics: Topics) -> None:
    letter = topics.bury(make_frame("gate"), 5)
    where = [
        "--bootstrap-servers", topics.settings.bootstrap_servers, "--topic", topics.settings.topic,
    ]  # fmt: skip
    listed = CliRunner().invoke(build(["dead"]), ["dead", "list", "--json", *where])
    assert json.loads(listed.stdout)["letters"][0]["id"] == letter
    shown = CliRunner().invoke(build(["dead"]), ["dead", "show", letter, *where])
    assert "reason: corrupt_image" in shown.stdout
    asked = ["dead", "replay", letter, *where]
    assert CliRunner().invoke(build(["dead"]), asked, input="n\n").exit_code == 1
    assert CliRunner().invoke(build(["dead"]), asked, input="y\n").exit_code == 0
    assert simplejpeg.is_jpeg(topics.sent_again(1)[0].value)
