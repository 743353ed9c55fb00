"""The data set's folder as a whole: whether it may be written, and the move of what was made."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from contract.errors import ConfigurationError
from model.motion.scene_store import SCENES, read_description

FOLDERS = ("images", "instances", "classes", SCENES)
"""Folders of a data set made from motion; each holds one folder per scene."""

MOST_CLASSES = 254


def begin(out: Path, add: bool, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that the data set has so far.

    Raises:
        ConfigurationError: The folder holds something and ``add`` is not set, or ``add`` is set and
            it holds no such data set or already has one of the scenes ``names``; all faults.
    """
    faults = [
        f"{names.count(name)} videos are named {name!r}, expected one scene each; rename them"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    known: tuple[str, ...] = ()
    if not add and out.exists() and (not out.is_dir() or any(out.iterdir())):
        faults.append(f"{out}: already exists; add to it with --add, or choose another folder")
    if add:
        try:
            known = tuple(read_description(out)["classes"])
        except ConfigurationError as error:
            faults += [f"--add: {fault}" for fault in error.faults]
        faults += [
            f"{out}: has a scene {name!r} already; rename the video, or create the data set again"
            for name in names
            if any((out / folder / name).exists() for folder in FOLDERS)
        ]
    if faults:
        raise ConfigurationError(faults)
    return known


def finish(
    stage: Path,
    out: Path,
    classes: Sequence[str],
    validation: Sequence[str],
    credits: Sequence[str],
    warnings: Sequence[str],
    command: str,
) -> None:
    """Move the scenes made in ``stage`` into the data set and describe it.

    Args:
        stage: Folder on the same disk.
        out: The data set; made where it is missing.
        classes: Class names of the whole data set.
        validation: Names of the new pictures that measure and do not teach.
        credits: Authors and licences of the new scenes.
        warnings: What is doubtful about their labels, one sentence each.
        command: What the user typed.

    Raises:
        ConfigurationError: There are more classes than a label map holds.
    """
    if len(classes) > MOST_CLASSES:
        raise ConfigurationError(f"{len(classes)} classes, expected at most {MOST_CLASSES}")
    described = (out / "dataset.json").is_file()
    values: dict[str, Any] = read_description(out) if described else {}
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
        for scene in sorted((stage / folder).iterdir()):
            scene.rename(out / folder / scene.name)
    known = [text for text in [values.get("credits", ""), *credits] if text]
    values |= {
        "classes": list(classes),
        "credits": "; ".join(dict.fromkeys(known)),
        "warnings": [*values.get("warnings", []), *warnings],
        "validation": [*values.get("validation", []), *validation],
        "made_by": [*values.get("made_by", []), *([command] if command else [])],
        "seedstream": metadata.version("seedstream"),
    }
    text = json.dumps(values, indent=1, ensure_ascii=False)
    (out / "dataset.json").write_text(text + "\n", encoding="utf-8")
