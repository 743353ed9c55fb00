"""The list of cameras: YAML files, ``ID=URL`` options, and all their faults at once.

Library: pydantic.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import ConfigurationError
from contract.frame import CAMERA_ID, CAMERA_ID_RULE
from producer.addresses import expand
from producer.cameras import Camera
from producer.list_documents import Document, read_documents, shown, stated
from producer.list_files import ListFiles, read_list_files
from producer.motion_gate import MotionSettings
from producer.settings import MAX_CAMERAS, ProducerSettings
from producer.shards import Shard, owners

NO_CAMERA = "no camera: give --camera ID=URL or --config FILE with a list of cameras"
"""The fault of a producer that is given none."""

_NOT_SHOWN = {"id", "url", "substream", "user", "password", "options"}
"""Fields whose value no message quotes."""

_Entry = tuple[str, dict[str, Any], dict[str, Any]]
"""Where a camera stands, for messages; its defaults; what is said of itself."""


@dataclass(frozen=True)
class CameraList:
    """A list, and the part of it that one process carries.

    Attributes:
        ids: All cameras, those of other processes too.
        shard: Which part this process carries; its index may be too high for any.
        cameras: The cameras of that part.
        arriving: Those of them that another process carried before, as the list says.
    """

    ids: frozenset[str]
    shard: Shard
    cameras: tuple[Camera, ...]
    arriving: frozenset[str] = frozenset()


def load_list(
    settings: ProducerSettings,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    files: ListFiles | None = None,
    check: Callable[[list[Camera]], None] = lambda _: None,
) -> CameraList:
    """Read the cameras of ``settings.config`` and of the command line, and take this shard's part.

    A value comes from the camera itself, else from its file's ``defaults``, else (``fps``) from the
    settings.

    Args:
        settings: The process's settings; ``config`` is the YAML file or the folder, if any.
        options: ``ID=URL`` strings.
        environment: Variables for ``${NAME}``; the process's own unless set. Files of
            ``settings.credentials`` come before them.
        files: What the files say, if they were read already.
        check: Raises ``ConfigurationError`` for cameras that cannot be carried here.

    Raises:
        ConfigurationError: With every fault of all, each naming its camera; also of cameras that
            other shards carry, so that all processes refuse a faulty list.
    """
    if files is None:
        files = read_list_files(settings.config, settings.credentials)
    faults = list(files.faults)
    documents = read_documents(files.texts, faults)
    shard = _shard(settings.shard, stated(documents, "shards", faults), faults)
    before = stated(documents, "shards_before", faults)
    entries = _all_entries(settings, documents, options, faults)
    variables = {**(os.environ if environment is None else environment), **files.passwords}
    cameras = [
        camera
        for where, defaults, entry in entries
        if (camera := _camera(where, defaults, entry, variables, faults)) is not None
    ]
    assert shard.count is not None
    owner = owners((camera.id for camera in cameras), shard.count)
    faults += _collective_faults(owner, entries, faults)
    if not faults:
        try:
            check(cameras)
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    ours = [camera for camera in cameras if owner[camera.id] == shard.index]
    former = {} if before is None else owners(owner, before)
    arriving = frozenset(
        each.id for each in ours if former.get(each.id, shard.index) != shard.index
    )
    allowed, most_pixels = settings.allow_link_local_cameras, settings.max_frame_pixels
    carried = [each.allowing_link_local(allowed).carried(len(ours), most_pixels) for each in ours]
    return CameraList(frozenset(owner), shard, tuple(carried), arriving)


def load_cameras(
    settings: ProducerSettings,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> list[Camera]:
    """Return this shard's cameras; see ``load_list``.

    Raises:
        ConfigurationError: With every fault of the list.
    """
    return list(load_list(settings, options, environment).cameras)


def one_camera(
    url: str,
    config: Path | None = None,
    fields: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Camera:
    """Return a camera that is tried before, or while, it is in the list.

    Args:
        url: Its URL; with ``config`` the id of a camera of that list.
        config: The YAML file or the folder, if any.
        fields: ``FIELD=VALUE`` strings, which come before what the list says.
        environment: Variables for ``${NAME}``, and the producer's own settings that say how they
            are looked up; the process's unless set.

    Raises:
        ConfigurationError: With every fault of this camera, and of the list as a whole.
    """
    variables = dict(os.environ if environment is None else environment)
    folder = variables.get("PRODUCER_CREDENTIALS")
    files = read_list_files(config, Path(folder) if folder else None)
    faults = list(files.faults)
    given = _fields(fields, faults)
    where, defaults, entry = "camera", dict[str, Any](), {"id": "probe", "url": url}
    if config is not None:
        where, defaults, entry = _listed(config, files, url, faults)
    options = {**_mapping(defaults, entry, "options"), **given.pop("options", {})}
    merged = entry | given | {"options": options}
    camera = _camera(where, defaults, merged, variables | files.passwords, faults)
    if camera is None or faults:
        raise ConfigurationError(list(dict.fromkeys(faults)))
    allowed = variables.get("PRODUCER_ALLOW_LINK_LOCAL_CAMERAS", "").lower()
    return camera.allowing_link_local(allowed in ("1", "on", "t", "true", "y", "yes"))


def _listed(config: Path, files: ListFiles, id: str, faults: list[str]) -> _Entry:
    listed = [
        (where, each.defaults, entry)
        for each in read_documents(files.texts, faults)
        for where, entry in each.entries
    ]
    found = [each for each in listed if str(each[2].get("id")) == id]
    if not found:
        ids = ", ".join(shown(entry["id"]) for _, _, entry in listed if "id" in entry)
        faults.append(f"{config}: no camera has this id; ids: {ids or 'none'}")
        raise ConfigurationError(faults)
    return found[0]


def _shard(given: Shard | None, listed: int | None, faults: list[str]) -> Shard:
    """Return which part of how many: the settings' and the list's word together."""
    if given is None:
        if listed is not None and listed > 1:
            faults.append(
                f"the list says shards: {listed}, and PRODUCER_SHARD (--shard) is not set: set it "
                "to the number of this process, from 0"
            )
        return Shard(0, 1)
    if given.count is None and listed is None:
        faults.append(
            f"PRODUCER_SHARD (--shard) is '{given}', a number without a count, and the list does "
            "not say how many there are: expected `shards: COUNT` beside its cameras, or "
            "INDEX/COUNT here"
        )
        return Shard(given.index, 1)
    if given.count is not None and listed not in (None, given.count):
        faults.append(
            f"PRODUCER_SHARD (--shard) is '{given}', but the list says shards: {listed}: set "
            f"PRODUCER_SHARD to {given.index} alone"
        )
    return Shard(given.index, listed or given.count)


def _all_entries(
    settings: ProducerSettings,
    documents: Sequence[Document],
    options: Sequence[str],
    faults: list[str],
) -> list[_Entry]:
    """Return all cameras; those of the command line have the defaults of a list of one file."""
    fps = {"fps": settings.fps}
    only = documents[0].defaults if len(documents) == 1 else {}
    return [
        (where, fps | each.defaults, entry) for each in documents for where, entry in each.entries
    ] + [(where, fps | only, entry) for where, entry in _from_options(options, faults)]


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
    path = ".".join(shown(part) for part in detail["loc"])
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
    owner: Mapping[str, int], entries: Sequence[_Entry], faults: list[str]
) -> list[str]:
    found = []
    ids = Counter(str(entry["id"]) for _, _, entry in entries if "id" in entry)
    for name in sorted(name for name, count in ids.items() if count > 1):
        found.append(f"camera {shown(name)}: the id is used {ids[name]} times; ids must differ")
    most = max(Counter(owner.values()).values(), default=0)
    if most > MAX_CAMERAS:
        found.append(
            f"{most} cameras, one process handles at most {MAX_CAMERAS}: start more "
            "processes, each with a share of the list (PRODUCER_SHARD, --shard)"
        )
    if not entries and not faults:
        found.append(NO_CAMERA)
    return found
