"""What strangers wrote into a dead letter reaches a terminal as text alone."""

from types import SimpleNamespace

from tests.fakes import make_frame, make_record
from viewer.dead_report import as_lines, as_table, collect
from viewer.dead_topic import Choice, as_letter
from workers.dead_letters import dead_headers

EVIL = "\x1b[2J\x1b]0;owned\x07\r\n\x9b31m"


def test_every_line_of_a_letter_is_printable() -> None:
    frame = make_record(make_frame(camera="gate"), 7)
    headers = dead_headers(frame, f"frames{EVIL}", f"reason{EVIL}", f"detail{EVIL}")
    record = SimpleNamespace(
        offset=3,
        timestamp=1_764_000_000_000,
        key=f"camera{EVIL}".encode(),
        value=b"",
        headers=[*headers, (f"name{EVIL}", f"value{EVIL}".encode())],
    )
    letter = as_letter(0, record)
    assert letter is not None
    lines = [*as_table(collect([letter], Choice(), 5)), *as_lines(letter)]
    assert any("reason\\x1b[2J" in line for line in lines)
    assert [line for line in lines if not line.isprintable()] == []
