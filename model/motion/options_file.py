"""Options of `seedstream label-from-motion`, read from a TOML file and from flags."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import ConfigurationError
from contract.toml_text import read_toml
from model.motion.motion_options import Options


def load_options(file: Path | None, **flags: Any) -> Options:
    """Read an options file; flags that are not None replace its values.

    Args:
        file: TOML with the fields of `Options`; None for flags alone.
        flags: Fields of `Options`, and those of `Motion` as a mapping ``motion``.

    Raises:
        ConfigurationError: The file is missing, is no TOML, or holds faults; all are listed.
    """
    values = {} if file is None else _read_toml(file)
    given = {name: value for name, value in flags.items() if value is not None}
    motion = {k: v for k, v in (given.pop("motion", None) or {}).items() if v is not None}
    if motion and isinstance(values.get("motion", {}), dict):
        given["motion"] = values.get("motion", {}) | motion
    values |= given
    where = "options" if file is None else str(file)
    if "class" not in values:
        raise ConfigurationError(f"{where}: no class, expected the name of what moves (--class)")
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(
            [
                f"{where}: {'.'.join(str(part) for part in fault['loc']) or 'options'} is "
                f"{_shorten(fault['input'])}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors()
            ]
        ) from error


def parse_range(text: str) -> tuple[int, int]:
    """Read ``FIRST-LAST``.

    Raises:
        ConfigurationError: It is something else.
    """
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigurationError(
            f"{text!r} is not a range of frames, expected FIRST-LAST, like 455-500"
        )
    return int(match[1]), int(match[2])


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return read_toml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{file}: not a TOML file: {error}") from error


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
