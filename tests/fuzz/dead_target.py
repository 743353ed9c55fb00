"""What `seedstream dead` makes of a record of the dead-letter topic, as a function of bytes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from contract.topics import DEAD_RAW_HEADER
from tests.fakes import jpeg, make_frame, make_record
from tests.fuzz.set_targets import FIELDS
from viewer.dead_replay import record_of
from viewer.dead_report import as_json, as_lines, as_table, collect, described
from viewer.dead_topic import Choice, as_letter, frame_of
from workers.dead_letters import dead_headers

PAIR = b"\x1f"
"""Between the name and the value of a header."""


def dead_letter(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a record: its time, key, value and headers."""

    def run(data: bytes) -> object:
        time, key, value, *rest = (data + 2 * FIELDS).split(FIELDS)
        headers = [
            (name.decode("utf-8", "surrogateescape"), text or None)
            for name, _, text in (each.partition(PAIR) for each in rest)
        ]
        record = SimpleNamespace(
            offset=7,
            timestamp=int.from_bytes(time[:8], "big", signed=True),
            key=key or None,
            value=value or None,
            headers=headers,
        )
        letter = as_letter(0, record)
        if letter is None:
            return None
        found = collect([letter, letter], Choice(), 5)
        shown = as_table(found), as_json(found), as_lines(letter), described(letter)
        return shown, record_of(letter, "frames.dead"), frame_of(letter)

    return run


def dead_letter_seeds() -> list[bytes]:
    """Return a letter of a frame, one whose headers are at fault, and raw bytes."""
    record = make_record(make_frame(data=jpeg(height=16, width=16)), 7)
    moment = (1_764_000_000_000).to_bytes(8, "big")
    found = []
    for own in (record.headers, [], [(DEAD_RAW_HEADER, b"a batch from 7 on")]):
        letter = dataclasses.replace(record, headers=own)
        headers = dead_headers(letter, "frames", "corrupt_image", "it is broken")
        texts = [name.encode() + PAIR + value for name, value in headers]
        found.append(FIELDS.join([moment, record.key or b"", record.value or b"", *texts]))
    return found
