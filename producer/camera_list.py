"""The list of cameras: a YAML file, ``ID=URL`` options, and all their faults at once.

Library: PyYAML.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contract.errors import ConfigurationError
from contract.frame import CAMERA_ID, CAMERA_ID_RULE
from contract.yaml_text import read_yaml
from producer.addresses import expand
from producer.cameras import Camera
from producer.motion_gate import MotionSettings
from producer.settings import MAX_CAMERAS, ProducerSettings

NO_CAMERA = "no camera: give --camera ID=URL or --config FILE with a list of cameras"
"""The fault of a producer that is given none."""

_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
_NOT_SHOWN = {"id", "url", "substream", "user", "password", "options"}
"""Fields whose value no message quotes."""


def load_cameras(
    settings: ProducerSettings,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> list[Camera]:
    """Read the cameras of ``settings.config`` and of the command line that ``settings.shard`` owns.

    A value comes from the camera itself, else from the file's ``defaults``, else (``fps``) from the
    settings.

    Args:
        settings: The process's settings; ``config`` is the YAML file, if any.
        options: ``ID=URL`` strings.
        environment: Variables for ``${NAME}``; the process's own unless set.

    Raises:
        ConfigurationError: With every fault of both, each naming its camera; also of cameras that
            other shards carry, so that all processes refuse a faulty list.
    """
    faults: list[str] = []
    defaults: dict[str, Any] = {"fps": settings.fps}
    entries: list[tuple[str, dict[str, Any]]] = []
    if settings.config is not None:
        document = _read(settings.config, faults)
        defaults |= _defaults(document, str(settings.config), faults)
        entries += _entries(document, str(settings.config), faults)
    entries += _from_options(options, faults)
    variables = dict(os.environ if environment is None else environment)
    cameras = [
        camera
        for where, entry in entries
        if (camera := _camera(where, defaults, entry, variables, faults)) is not None
    ]
    ours = [camera for camera in cameras if settings.shard.owns(camera.id)]
    faults += _collective_faults(ours, entries, faults)
    if faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    return [
        camera.allowing_link_local(settings.allow_link_local_cameras).carried(
            len(ours), settings.max_frame_pixels
        )
        for camera in ours
    ]


def one_camera(
    url: str,
    config: Path | None = None,
    fields: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Camera:
    """Return a camera that is tried before, or while, it is in the list.

    Args:
        url: Its URL; with ``config`` the id of a camera of that list.
        config: The YAML file, if any.
        fields: ``FIELD=VALUE`` strings, which come before what the list says.
        environment: Variables for ``${NAME}``; the process's own unless set.

    Raises:
        ConfigurationError: With every fault of this camera, and of the list as a whole.
    """
    faults: list[str] = []
    variables = dict(os.environ if environment is None else environment)
    given = _fields(fields, faults)
    where, defaults, entry = "camera", {}, {"id": "probe", "url": url}
    if config is not None:
        document = _read(config, faults)
        defaults = _defaults(document, str(config), faults)
        listed = _entries(document, str(config), faults)
        found = [(place, each) for place, each in listed if str(each.get("id")) == url]
        if not found:
            ids = ", ".join(_shown(each["id"]) for _, each in listed if "id" in each)
            faults.append(f"{config}: no camera has this id; ids: {ids or 'none'}")
            raise ConfigurationError(faults)
        where, entry = found[0]
    options = {**_mapping(defaults, entry, "options"), **given.pop("options", {})}
    camera = _camera(where, defaults, entry | given | {"options": options}, variables, faults)
    if camera is None or faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    allowed = variables.get("PRODUCER_ALLOW_LINK_LOCAL_CAMERAS", "").lower()
    return camera.allowing_link_local(allowed in ("1", "on", "t", "true", "y", "yes"))


def _mapping(defaults: dict[str, Any], entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = (defaults | entry).get(key)
    return value if isinstance(value, dict) else {}


def _fields(fields: Sequence[str], faults: list[str]) -> dict[str, Any]:
    """Read ``FIELD=VALUE`` strings; ``options.NAME=VALUE`` is an option of FFmpeg."""
    given: dict[str, Any] = {}
    for field in fields:
        name, separator, value = field.partition("=")
        if not separator or not name:
            faults.append("--set: expected FIELD=VALUE, for instance transport=udp")
        elif name.startswith("options."):
            given.setdefault("options", {})[name.removeprefix("options.")] = value
        elif name == "crop":
            given[name] = value.strip("[]").split(",")
        elif name == "rotate" and value.isdecimal():
            given[name] = int(value)
        else:
            given[name] = value
    return given


def _read(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        document = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        faults.append(f"{path}: cannot read the camera list: {reason}")
        return {}
    except yaml.YAMLError as error:
        # The error's own text quotes the file, and with it a password.
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        # So does the problem: an unquoted password that begins with *, & or ! is a word of YAML.
        problem = _QUOTED.sub("a word", getattr(error, "problem", None) or "invalid YAML")
        faults.append(f"{path}{line}: not YAML: {problem}; is a password without quotes?")
        return {}
    if not isinstance(document, dict):
        faults.append(f"{path}: expected a mapping with 'cameras', found {_type(document)}")
        return {}
    unknown = sorted(_shown(key) for key in document.keys() - {"defaults", "cameras"})
    if unknown:
        faults.append(f"{path}: unknown keys {', '.join(unknown)}; expected defaults and cameras")
    return document


def _defaults(document: dict[str, Any], where: str, faults: list[str]) -> dict[str, Any]:
    defaults = document.get("defaults") or {}
    if not isinstance(defaults, dict):
        faults.append(f"{where}: defaults: expected a mapping, found {_type(defaults)}")
        return {}
    allowed = Camera.model_fields.keys() - {"id", "url", "substream"}
    for key in defaults.keys() - allowed:
        faults.append(
            f"{where}: defaults: unknown key {_shown(key)!r}; known: {', '.join(sorted(allowed))}"
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
        name = _shown(entry.get("id", f"number {number}, without an id"))
        entries.append((f"{where}: camera {name}", entry))
    return entries


def _from_options(options: Sequence[str], faults: list[str]) -> list[tuple[str, dict[str, Any]]]:
    entries = []
    for number, option in enumerate(options, start=1):
        name, separator, url = option.partition("=")
        if not separator or not url or not CAMERA_ID.fullmatch(name):
            faults.append(
                f"--camera, number {number}: expected ID=URL, for instance "
                f"gate=rtsp://10.0.0.7/stream; ID: {CAMERA_ID_RULE}"
            )
            continue
        entries.append((f"--camera {name}", {"id": name, "url": url}))
    return entries


def _camera(
    where: str,
    defaults: dict[str, Any],
    entry: dict[str, Any],
    variables: dict[str, str],
    faults: list[str],
) -> Camera | None:
    missing: list[str] = []
    merged = {key: _expand(value, variables, missing) for key, value in (defaults | entry).items()}
    faults += [f"{where}: the variable {name} is not set" for name in dict.fromkeys(missing)]
    try:
        return Camera.model_validate(merged)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        faults += [f"{where}: {_describe(detail, merged)}" for detail in details]
        return None


def _expand(value: Any, variables: dict[str, str], missing: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(inner, variables, missing) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    text, unset = expand(value, variables)
    missing += unset
    return text


def _describe(detail: Any, merged: dict[str, Any]) -> str:
    path = ".".join(_shown(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    # Only plain fields are shown: an address, an option or an unknown key may hold a password.
    if path in Camera.model_fields.keys() - _NOT_SHOWN & merged.keys():
        message += f", found {merged[path]!r}"
    elif path.startswith("motion."):
        name = path.removeprefix("motion.")
        known = MotionSettings.model_fields
        found = merged["motion"].get(name)
        message += f", found {found!r}" if name in known else f"; known: {', '.join(known)}"
    return f"{path}: {message}" if path else message


def _collective_faults(
    cameras: list[Camera], entries: list[tuple[str, dict[str, Any]]], faults: list[str]
) -> list[str]:
    found = []
    ids = [str(entry.get("id")) for _, entry in entries if "id" in entry]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        found.append(
            f"camera {_shown(name)}: the id is used {ids.count(name)} times; ids must differ"
        )
    if len(cameras) > MAX_CAMERAS:
        found.append(
            f"{len(cameras)} cameras, one process handles at most {MAX_CAMERAS}: start more "
            "processes, each with a share of the list (PRODUCER_SHARD, --shard)"
        )
    if not entries and not faults:
        found.append(NO_CAMERA)
    return found


def _shown(name: object) -> str:
    """Return an id or key for a message, unless it looks like a URL in the wrong place."""
    text = str(name)[:140]
    return "(not shown)" if re.search(r"[@/=?&]", text) else text


def _type(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
