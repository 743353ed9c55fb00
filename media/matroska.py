"""Whether a Matroska or WebM file was cut: FFmpeg reads one to where it ends without a word."""

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def shorter_than_it_says(path: Path) -> bool:
    """Whether a file ends before the end that its header states (RFC 8794 and 9559).

    Recorders write that when they finish; of a live recording, and of other files, nothing is said.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        for expected in (_EBML, _SEGMENT):
            number, size = _number(file, marked=True), _number(file)
            if number != expected or size is None:
                return False
            end = file.tell() + size
            if end > length:
                return True
            if expected == _EBML:
                file.seek(end)
    return False


def _number(file: BinaryIO, *, marked: bool = False) -> int | None:
    """Read a number of variable length, with the mark of its length or without.

    Returns:
        None if it is unknown (all ones), or missing.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    if marked:
        return value
    bits = 7 * length
    value &= (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value
