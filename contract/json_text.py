"""Whoever writes a JSON document and whoever reads it: what can be wrong with one.

Library: msgspec.
"""

import msgspec

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on JSON that is broken or not as expected, on text that is not UTF-8, and on
nesting too deep for it."""
