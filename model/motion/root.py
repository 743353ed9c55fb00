"""The data set's folder as a whole: whether it may be written, and the move of what was made."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from contract.errors import ConfigurationError
from model.data.label_maps import CARD, read_card
from model.data.map_files import CLASSES, IMAGES, INSTANCES
from model.motion.scene_store import SCENES, read_description

FOLDERS = (IMAGES, INSTANCES, CLASSES, SCENES)
"""Folders of a data set made from motion; each holds one folder per scene."""

_MOVES = (INSTANCES, CLASSES, CARD, SCENES, IMAGES)
"""The order in which a scene moves in. Without its pictures nobody sees it, and cut-outs need their
class: wherever a machine dies, the older scenes are whole, and the new one can be labelled again.
"""

MOST_CLASSES = 254


def begin(out: Path, add: bool, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that the data set has so far.

    Raises:
        ConfigurationError: The folder holds something and ``add`` is not set, or ``add`` is set and
            it holds no such data set, cannot be written or already has one of the scenes ``names``;
            all faults.
        OSError: A folder is closed to this user.
    """
    faults = [
        f"{names.count(name)} videos are named {name!r}, expected one scene each; rename them"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    known: tuple[str, ...] = ()
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise ConfigurationError(f"{there}: is a file, expected a folder (--out {out})")
    if not add and out.is_dir() and any(out.iterdir()):
        faults.append(f"{out}: already exists; add to it with --add, or choose another folder")
    if add:
        try:
            known = _classes(out)
        except ConfigurationError as error:
            faults += [f"--add: {fault}" for fault in error.faults]
        faults += [fault for name in names if (fault := _taken(out, name))]
    if faults:
        raise ConfigurationError(faults)
    return known


@contextlib.contextmanager
def stage_for(out: Path) -> Iterator[Path]:
    """Yield an empty folder on the disk of the data set ``out``, and remove it in the end.

    It lies beside the data set; in it where that is a disk of its own, or all that may be written.

    Raises:
        OSError: It cannot be made.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    home = out.parent
    if out.is_dir() and (
        out.stat().st_dev != home.stat().st_dev or not os.access(home, os.W_OK | os.X_OK)
    ):
        home = out
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=home) as folder:
        yield Path(folder)


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the operating system refuses while ``out`` is made into a `ConfigurationError`."""
    try:
        yield
    except OSError as error:
        place = error.filename2 or error.filename or out
        raise ConfigurationError(
            f"{out}: cannot be made: {error.strerror or error}: {place}; expected a folder that "
            "this user may write, on a disk with room (--out)"
        ) from error


def check_classes(classes: Sequence[str]) -> None:
    """Refuse more classes than a label map holds.

    Raises:
        ConfigurationError: There are more.
    """
    if len(classes) > MOST_CLASSES:
        raise ConfigurationError(f"{len(classes)} classes, expected at most {MOST_CLASSES}")


def finish(
    stage: Path,
    out: Path,
    classes: Sequence[str],
    validation: Sequence[str],
    credits: Sequence[str],
    warnings: Sequence[str],
    command: str,
) -> None:
    """Move the scenes made in ``stage`` into the data set and describe it, or leave it as it was.

    Args:
        stage: Folder on the same disk.
        out: The data set; made where it is missing.
        classes: Class names of the whole data set.
        validation: Names of the new pictures that measure and do not teach.
        credits: Authors and licences of the new scenes.
        warnings: What is doubtful about their labels, one sentence each.
        command: What the user typed.

    Raises:
        OSError: Something cannot be written or moved; what had been moved is back in ``stage``.
    """
    described = (out / CARD).is_file()
    values: dict[str, Any] = read_description(out) if described else {}
    known = [text for text in [values.get("credits", ""), *credits] if text]
    values |= {
        "classes": list(classes),
        "credits": "; ".join(dict.fromkeys(known)),
        # Each once: a machine that died may have left the description of the scene.
        "warnings": list(dict.fromkeys([*values.get("warnings", []), *warnings])),
        "validation": list(dict.fromkeys([*values.get("validation", []), *validation])),
        "made_by": [*values.get("made_by", []), *([command] if command else [])],
        "seedstream": metadata.version("seedstream"),
    }
    text = json.dumps(values, indent=1, ensure_ascii=False)
    with _undone_on_failure() as undo:
        for part in _MOVES:
            if part == CARD:
                # Names of files that are no UTF-8 become escapes, which JSON has.
                _describe(out / CARD, f"{text}\n".encode(errors="backslashreplace"), undo)
                continue
            _make_folder(out / part, undo)
            for scene in sorted((stage / part).iterdir()):
                _move(scene, out / part / scene.name, undo)


def _classes(out: Path) -> tuple[str, ...]:
    """Return the classes of a data set that scenes can be added to.

    Raises:
        ConfigurationError: It is no such data set or cannot be written; all faults.
    """
    known = read_description(out)["classes"]
    card = read_card(out)
    missing = [name for name in FOLDERS if not (out / name).is_dir()]
    if missing:
        found = sorted(path.name + "/" * path.is_dir() for path in out.iterdir())
        raise ConfigurationError(
            f"{out}: has {', '.join(found[:8])} and no {', '.join(f'{n}/' for n in missing)}, "
            "expected a data set made by label-from-motion: maps of another kind do not go "
            "together with its own. Label into a folder of its own (--out), and name both folders "
            "as [[sources]] of the recipe"
        )
    home = out.stat().st_dev
    paths = [out, *(out / name for name in FOLDERS), out / CARD]
    faults = [
        f"{out / CARD}: {key} is {card[key]!r:.80}, expected {expected}"
        for key, kind, expected in (("credits", str, "a text"), ("made_by", list, "a list"))
        if not isinstance(card.get(key, kind()), kind)
    ]
    faults += [f"{path}: cannot be written" for path in paths if not os.access(path, os.W_OK)]
    faults += [
        f"{path}: lies on another disk than {out}, expected one disk, so that a scene moves in at "
        "once; put them together"
        for path in paths[1:-1]
        if path.stat().st_dev != home
    ]
    if faults:
        raise ConfigurationError(faults)
    return tuple(known)


def _taken(out: Path, name: str) -> str | None:
    """Say that a data set has a scene, or what is left of one; None where it has not."""
    there = [out / folder / name for folder in FOLDERS if os.path.lexists(out / folder / name)]
    if not there:
        return None
    if out / IMAGES / name not in there:
        return (
            f"{out}: has a part of a scene {name!r} without its pictures, as a killed --add leaves "
            f"it; remove {', '.join(map(str, there))} and repeat, or rename the video"
        )
    return f"{out}: has a scene {name!r} already; rename the video, or create the data set again"


@contextlib.contextmanager
def _undone_on_failure() -> Iterator[contextlib.ExitStack]:
    """Yield what takes the ways back, which are gone where the block fails or is interrupted."""
    with contextlib.ExitStack() as undo:
        yield undo
        undo.pop_all()


# Each way back is noted before the step, since an interrupt may come right behind it, and does
# nothing where the step was not taken. One that fails keeps quiet: the first failure is told.


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    """Make a folder and those above it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, undo)
    undo.callback(_remove_empty, folder)
    folder.mkdir()


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _move(source: Path, target: Path, undo: contextlib.ExitStack) -> None:
    undo.callback(_move_back, source, target)
    source.rename(target)


def _move_back(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        if not source.exists():
            target.rename(source)


def _describe(card: Path, content: bytes, undo: contextlib.ExitStack) -> None:
    """Write ``dataset.json``; where it is a link, the file that it leads to."""
    card = card.resolve()
    undo.callback(_describe_as_before, card, card.read_bytes() if card.is_file() else None)
    _replace(card, content)


def _describe_as_before(card: Path, content: bytes | None) -> None:
    with contextlib.suppress(OSError):
        if content is None:
            card.unlink(missing_ok=True)
        elif card.read_bytes() != content:
            _replace(card, content)


def _replace(path: Path, content: bytes) -> None:
    """Write a file by one rename."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
