"""What the files of a camera list say: defaults, cameras, shards, and all their faults at once.

Library: PyYAML.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from contract.yaml_text import RepeatedKeyError, read_yaml
from producer.cameras import Camera
from producer.shards import MOST_SHARDS

_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
_KEYS = ("cameras", "defaults", "shards", "shards_before")


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        where: Its path, for messages.
        defaults: What its own cameras have unless they say otherwise.
        entries: Where each camera stands, for messages, and what is said of it.
        shards: How many processes share the whole list, if it says so.
        shards_before: How many did before the last change, if it says so.
    """

    where: str
    defaults: dict[str, Any] = field(default_factory=dict)
    entries: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    shards: int | None = None
    shards_before: int | None = None


def read_documents(texts: dict[str, str], faults: list[str]) -> list[Document]:
    """Read the files of a list, path -> text; add what is wrong with them to ``faults``."""
    found = []
    for where, text in texts.items():
        mapping = _mapping(where, text, faults)
        found.append(
            Document(
                where,
                _defaults(mapping, where, faults),
                _entries(mapping, where, faults),
                _number(mapping, "shards", where, faults),
                _number(mapping, "shards_before", where, faults),
            )
        )
    return found


def stated(documents: Iterable[Document], key: str, faults: list[str]) -> int | None:
    """Return what the list as a whole says of ``shards`` or ``shards_before``."""
    said = [(value, each.where) for each in documents if (value := getattr(each, key)) is not None]
    if len({value for value, _ in said}) > 1:
        places = ", ".join(f"{value} in {where}" for value, where in said)
        faults.append(f"{key} is {places}: say it in one file only")
    return said[0][0] if said else None


def shown(name: object) -> str:
    """Return an id or key for a message, unless it looks like a URL in the wrong place."""
    text = str(name)[:140]
    return "(not shown)" if re.search(r"[@/=?&]", text) else text


def _mapping(where: str, text: str, faults: list[str]) -> dict[str, Any]:
    try:
        document = read_yaml(text)
    except RepeatedKeyError as error:
        faults.append(f"{where}, line {error.line}: {shown(error.key)} {error.where}")
        return {}
    except yaml.YAMLError as error:
        # The error's own text quotes the file, and with it a password.
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        # So does the problem: an unquoted password that begins with *, & or ! is a word of YAML.
        problem = _QUOTED.sub("a word", getattr(error, "problem", None) or "invalid YAML")
        faults.append(f"{where}{line}: not YAML: {problem}; is a password without quotes?")
        return {}
    if not isinstance(document, dict):
        faults.append(f"{where}: expected a mapping with 'cameras', found {_type(document)}")
        return {}
    unknown = sorted(shown(key) for key in document.keys() - set(_KEYS))
    if unknown:
        faults.append(
            f"{where}: unknown keys {', '.join(unknown)}; expected {', '.join(_KEYS[:-1])} or "
            f"{_KEYS[-1]}"
        )
    return document


def _defaults(document: dict[str, Any], where: str, faults: list[str]) -> dict[str, Any]:
    defaults = document.get("defaults") or {}
    if not isinstance(defaults, dict):
        faults.append(f"{where}: defaults: expected a mapping, found {_type(defaults)}")
        return {}
    allowed = Camera.model_fields.keys() - {"id", "url", "substream"}
    for key in defaults.keys() - allowed:
        faults.append(
            f"{where}: defaults: unknown key {shown(key)!r}; known: {', '.join(sorted(allowed))}"
        )
    return {key: value for key, value in defaults.items() if key in allowed}


def _entries(
    document: dict[str, Any], where: str, faults: list[str]
) -> list[tuple[str, dict[str, Any]]]:
    cameras = document.get("cameras") or []
    if not isinstance(cameras, list):
        faults.append(f"{where}: cameras: expected a list, found {_type(cameras)}")
        return []
    entries = []
    for number, entry in enumerate(cameras, start=1):
        if not isinstance(entry, dict):
            faults.append(f"{where}: camera {number}: expected a mapping, found {_type(entry)}")
            continue
        name = shown(entry.get("id", f"number {number}, without an id"))
        entries.append((f"{where}: camera {name}", entry))
    return entries


def _number(document: dict[str, Any], key: str, where: str, faults: list[str]) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_SHARDS:
        seen = value if type(value) is int else _type(value)
        faults.append(
            f"{where}: {key}: expected a whole number from 1 to {MOST_SHARDS}, found {seen}"
        )
        return None
    return value


def _type(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
