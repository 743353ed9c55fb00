"""What ``seedstream dead`` prints and writes: lists of letters, one letter, its picture."""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from contract.errors import ConfigurationError, InvalidMessageError
from contract.frame import MAX_FRAME_PIXELS, format_time
from segmentation.decode import decode_image
from viewer.dead_topic import Choice, DeadLetter, frame_of
from viewer.printable import printable

_JPEG_QUALITY = 92
_SHOWN_BYTES = 200
_DETAIL_CHARACTERS = 60
_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass
class Found:
    """The letters that were asked for.

    Attributes:
        letters: The newest of them, oldest first, without values and headers.
        reasons: How many there are of each reason.
        doubled: How many of them the topic has once more.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    doubled: int = 0

    @property
    def count(self) -> int:
        """How many there are, each once."""
        return self.reasons.total()


def each_once(letters: Iterable[DeadLetter], found: Found) -> Iterator[DeadLetter]:
    """Pass on the first of the letters that are the same record; the others are counted."""
    seen: set[int] = set()
    for letter in letters:
        known = hash(letter.origin)
        if known in seen:
            found.doubled += 1
        else:
            seen.add(known)
            found.reasons[letter.reason] += 1
            yield letter


def collect(letters: Iterable[DeadLetter], choice: Choice, limit: int) -> Found:
    """Return what is asked for; at most ``limit`` letters are in memory."""
    found = Found()
    newest: list[tuple[Any, str, DeadLetter]] = []
    for letter in each_once(filter(choice.takes, letters), found):
        entry = (letter.written_at, letter.id, replace(letter, value=None, headers=()))
        if len(newest) < limit:
            heapq.heappush(newest, entry)
        else:
            heapq.heappushpop(newest, entry)
    found.letters = [letter for _, _, letter in sorted(newest, key=lambda each: each[:2])]
    return found


def as_table(found: Found) -> list[str]:
    """Return the lines of a list: a line for each letter, then their number by reason."""
    head = ("id", "written", "reason", "camera", "origin", "detail")
    rows = [
        (
            printable(letter.id),
            letter.written_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            printable(letter.reason, 40),
            printable(letter.camera, 40) or "-",
            printable(f"{letter.topic}/{letter.partition}:{letter.position}"),
            printable(letter.detail, _DETAIL_CHARACTERS),
        )
        for letter in found.letters
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in ((head, *rows) if rows else ())
    ]
    return [*lines, summary(found)]


def summary(found: Found) -> str:
    """Return how many letters there are, and of which reasons."""
    if not found.count:
        return "no matching dead letters"
    reasons = ", ".join(
        f"{printable(reason, 40)} {count}" for reason, count in found.reasons.most_common()
    )
    shown = f", the newest {len(found.letters)} shown" if len(found.letters) < found.count else ""
    doubled = f"; further copies left out: {found.doubled}" if found.doubled else ""
    letters = f"{found.count} dead letter{'s' * (found.count != 1)}"
    return f"{letters} ({reasons}){shown}{doubled}"


def as_json(found: Found) -> str:
    """Return the same as one JSON document."""
    return json.dumps(
        {
            "count": found.count,
            "doubled": found.doubled,
            "reasons": dict(found.reasons),
            "letters": [_fields(letter) for letter in found.letters],
        },
        indent=2,
    )


def described(letter: DeadLetter) -> dict[str, Any]:
    """Return everything about one letter, for JSON; what is not text is escaped."""
    value = letter.value
    return _fields(letter) | {
        "key": None if letter.key is None else letter.camera,
        "value_bytes": None if value is None else len(value),
        "headers": [[name, _shown(text)] for name, text in letter.headers],
        "replayable": not letter.incomplete,
    }


def as_lines(letter: DeadLetter) -> list[str]:
    """Return everything about one letter, a line for each thing."""
    about = described(letter)
    headers = about.pop("headers")
    lines = [
        f"{name}: {'-' if value in (None, '') else printable(str(value))}"
        for name, value in about.items()
    ]
    return [*lines, "headers:", *(f"  {printable(name, 80)}: {text}" for name, text in headers)]


def write_picture(letter: DeadLetter, path: Path) -> str:
    """Write the picture that a letter holds and return what it is.

    Raises:
        ConfigurationError: It cannot be written there.
        InvalidMessageError: There is none, or it does not decode.
    """
    kind = _PICTURES.get(path.suffix.lower())
    if kind is None:
        raise ConfigurationError(f"--picture {path}: expected a name that ends in .png or .jpg")
    frame = frame_of(letter)
    picture = Image.fromarray(decode_image(frame, max_pixels=MAX_FRAME_PIXELS))
    try:
        picture.save(path, kind, **({"quality": _JPEG_QUALITY} if kind == "JPEG" else {}))
    except OSError as error:
        raise ConfigurationError(f"--picture {path}: {error.strerror or error}") from error
    return f"{frame.width}x{frame.height} pixels, {frame.content_type}"


def picture_or_why(letter: DeadLetter, path: Path) -> tuple[bool, str]:
    """Write a letter's picture; return whether there is one, and what to say."""
    try:
        return True, f"picture: {path} ({write_picture(letter, path)})"
    except InvalidMessageError as error:
        return False, f"picture: none, {error.reason}: {error}"


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "written_at": format_time(letter.written_at),
        "reason": letter.reason,
        "detail": letter.detail,
        "camera": letter.camera,
        "topic": letter.topic,
        "partition": letter.partition,
        "position": letter.position,
        "raw": letter.raw,
    }


def _shown(text: bytes) -> str:
    cut = text[:_SHOWN_BYTES].decode(errors="backslashreplace")
    more = f"... ({len(text)} bytes)" if len(text) > _SHOWN_BYTES else ""
    return printable(cut, len(cut)) + more
