"""Whoever writes a JSON document and whoever reads it: what can be wrong with one.

Library: msgspec. Make its decoders when a module is loaded, not in a function: two threads that are
the first to decode a type crash the process (0.22).
"""

import codecs

import msgspec

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on JSON that is broken or not as expected, on text that is not UTF-8, and on
nesting too deep for it."""


def without_mark(content: bytes) -> bytes:
    """Return a document without the byte order mark that editors on Windows put before it."""
    return content.removeprefix(codecs.BOM_UTF8)
