"""People who write recipes and options by hand, and the command that reads them: TOML's faults."""

import tomllib
from typing import Any

_LARGEST = 1 << 63


def read_toml(text: str) -> dict[str, Any]:
    """Return what a TOML document says; a byte order mark before it counts for nothing.

    Raises:
        ValueError: It is not TOML, too deeply nested, or holds a number beyond 64 bits, which TOML
            does not know and no message can show.
    """
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
        _check(document)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def _check(value: Any) -> None:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check(each)
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError(f"holds a whole number of {value.bit_length()} bits, expected at most 63")
