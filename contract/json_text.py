"""Whoever writes a JSON document and whoever reads it: what can be wrong with one.

Library: msgspec. Make its decoders when a module is loaded, not in a function: two threads that are
the first to decode a type crash the process (0.22).
"""

import codecs
import re
from pathlib import Path
from typing import Any

import msgspec

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on JSON that is broken or not as expected, on text that is not UTF-8, and on
nesting too deep for it."""

_NEAR = 20
"""Bytes around a fault that are shown."""

_NOT_NUMBERS = re.compile(rb"-?(NaN|Infinity)")
"""What Python's ``json`` writes all the same."""


def without_mark(content: bytes) -> bytes:
    """Return a document without the byte order mark that editors on Windows put before it."""
    return content.removeprefix(codecs.BOM_UTF8)


def json_fault(error: Exception, content: bytes) -> str:
    """Return what is wrong with a document, and what stands there.

    Args:
        error: One of `JSON_ERRORS`, of decoding it.
        content: The document.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is text in UTF-16, expected UTF-8"
    found = re.search(r"\(byte (\d+)\)", str(error))
    if found is None:
        return str(error)
    place = int(found[1])
    near = content[max(0, place - _NEAR) : place + _NEAR].decode("utf-8", "replace")
    hint = ", which is no number of JSON" if _NOT_NUMBERS.match(content[place:]) else ""
    return f"{error}, at {' '.join(near.split())!r}{hint}"


def why_not(path: Path, decoder: "msgspec.json.Decoder[Any]", said: str = "") -> str:
    """Return why a file does not hold what a decoder reads; "" where it does.

    Args:
        path: The file.
        decoder: What reads it.
        said: Stands before what is wrong in the file, but not where it cannot be read at all.
    """
    try:
        content = without_mark(path.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        decoder.decode(content)
    except JSON_ERRORS as error:
        return f"{said}{json_fault(error, content)}"
    return ""
