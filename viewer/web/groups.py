"""Groups of cameras, as a person lists them in a file."""

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from contract.errors import ConfigurationError
from contract.yaml_text import RepeatedKeyError, read_yaml

_groups = msgspec.json.Decoder(dict[str, list[str]])


def read_groups(path: Path | None) -> dict[str, list[str]]:
    """Read the file: name -> patterns of camera ids.

    Raises:
        ConfigurationError: It cannot be used.
    """
    if path is None:
        return {}
    try:
        said: Any = read_yaml(path.read_text(encoding="utf-8-sig")) or {}
        return _groups.decode(msgspec.json.encode(said))
    except OSError as error:
        raise ConfigurationError(f"VIEW_GROUPS_FILE is {path}: {error.strerror}") from None
    except RepeatedKeyError as error:
        raise ConfigurationError(
            f"VIEW_GROUPS_FILE is {path}, line {error.line}: {error.key!r} {error.where}"
        ) from None
    except (ValueError, TypeError, msgspec.MsgspecError, yaml.YAMLError):
        raise ConfigurationError(
            f"VIEW_GROUPS_FILE is {path}: expected YAML with a list of camera ids for each name"
        ) from None


def members(groups: Mapping[str, Iterable[str]], cameras: Iterable[str]) -> dict[str, list[str]]:
    """Return the cameras of each group, in the order of the file; groups without any are left out.

    Args:
        groups: Name -> patterns.
        cameras: Those that somebody may see.
    """
    known = sorted(cameras)
    found = {
        name: list(
            dict.fromkeys(
                camera
                for pattern in patterns
                for camera in known
                if camera == pattern or fnmatch.fnmatchcase(camera, pattern)
            )
        )
        for name, patterns in groups.items()
    }
    return {name: listed for name, listed in found.items() if listed}
