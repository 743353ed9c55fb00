"""Change what an artifact says about itself; its weights and graphs stay byte for byte."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from contract import artifact_files
from contract.artifact import Artifact, Precision
from contract.errors import ConfigurationError
from model.export.stamps import read_stamps, write_stamps
from model.registry.store_files import HISTORY_FILE


def rewrite_artifact(
    folder: Path,
    *,
    accuracy: Mapping[str, float] | None = None,
    precision: Precision | None = None,
    seed_threshold: float | None = None,
    score_threshold: float | None = None,
    min_pixels: int | None = None,
    object_pixels: float | None = None,
) -> Artifact:
    """Write new values into the metadata of an artifact's files and into ``model.json``.

    Thresholds are those of all its files. Figures that another file has of thresholds that it no
    longer has are dropped.

    Args:
        folder: Folder ``NAME/VERSION`` or its ``model.onnx``.
        accuracy: Measured figures by name, instead of all there were; None keeps those.
        precision: Precision of the file that was measured; None: that of ``model.onnx``.
        seed_threshold: Lowest seed score that starts an instance, 0..1; None keeps it.
        score_threshold: Lowest instance score reported by default, 0..1; None keeps it.
        min_pixels: Smallest instance, in pixels of the input; None keeps it.
        object_pixels: Median area of the training objects, in pixels of the input; None keeps it.

    Returns:
        What the measured file says now.

    Raises:
        ConfigurationError: No artifact, one of a store, one that cannot be written, or a value out
            of its range. Nothing has changed then.
    """
    path = artifact_files.find_model(folder).resolve()
    check_rewritable(path)
    given = {
        "seed_threshold": seed_threshold,
        "score_threshold": score_threshold,
        "min_pixels": min_pixels,
        "object_pixels": object_pixels,
    }
    shared = {name: value for name, value in given.items() if value is not None}
    stamps = read_stamps(path.parent)
    measured = precision or stamps[path.name].precision
    if measured not in {old.precision for old in stamps.values()}:
        raise ConfigurationError(f"{path.parent}: has no file of precision {measured}")
    new = {}
    main = stamps[path.name]
    # A rewrite that was killed half-way may have left other values in the further files.
    shared = {name: getattr(main, name) for name in artifact_files.SHARED} | shared
    for name, old in stamps.items():
        changed = msgspec.structs.replace(old, **shared)
        if accuracy is not None and old.precision == measured:
            changed = msgspec.structs.replace(changed, accuracy=dict(accuracy))
        elif accuracy is not None and changed != old:
            changed = msgspec.structs.replace(changed, accuracy={})
        new[name] = changed
    try:
        write_stamps(path.parent, new)
    except OSError as error:
        raise ConfigurationError(_unwritable(path.parent, str(error.strerror))) from error
    return next(each for each in new.values() if each.precision == measured)


def check_rewritable(path: Path) -> None:
    """Refuse an artifact whose files are not to be changed, before hours of measuring.

    Args:
        path: Folder ``NAME/VERSION`` or its ``model.onnx``.

    Raises:
        ConfigurationError: It is a version of a store, has another file name than artifacts have,
            or cannot be written.
    """
    path = artifact_files.find_model(path).resolve()
    folder = path.parent
    faults = []
    if path.name != artifact_files.MODEL_FILE:
        faults.append(
            f"{path}: expected a file {artifact_files.MODEL_FILE} in a folder NAME/VERSION; its "
            "thresholds cannot be stored"
        )
    if (folder.parent / HISTORY_FILE).exists():
        faults.append(
            f"{folder}: a version of a store, which never changes; copy the folder to a place "
            "outside, change the copy, or release the run again with the new values"
        )
    elif not os.access(folder, os.W_OK):
        faults.append(_unwritable(folder, "no permission"))
    if faults:
        raise ConfigurationError(faults)


def _unwritable(folder: Path, reason: str) -> str:
    return f"{folder}: cannot be written: {reason}; copy the folder and change the copy"
