"""Change what an artifact says about itself; its weights and graph stay byte for byte."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import onnx
from onnx import helper

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact
from contract.errors import ConfigurationError
from contract.plain_files import check_self_contained
from model.registry.store_files import HISTORY_FILE, sync


def rewrite_artifact(
    folder: Path,
    *,
    accuracy: Mapping[str, float] | None = None,
    seed_threshold: float | None = None,
    score_threshold: float | None = None,
    min_pixels: int | None = None,
    object_pixels: float | None = None,
) -> Artifact:
    """Write new values into the metadata of ``model.onnx`` and into ``model.json``.

    Each file is replaced by one rename, and whoever loads the artifact in between finds it whole:
    the card says nothing about the file's sha256 while the file changes.

    Args:
        folder: Folder ``NAME/VERSION`` or its ``model.onnx``.
        accuracy: Measured figures by name, instead of all there were; None keeps those.
        seed_threshold: Lowest seed score that starts an instance, 0..1; None keeps it.
        score_threshold: Lowest instance score reported by default, 0..1; None keeps it.
        min_pixels: Smallest instance, in pixels of the input; None keeps it.
        object_pixels: Median area of the training objects, in pixels of the input; None keeps it.

    Returns:
        What the artifact says now.

    Raises:
        ConfigurationError: No artifact, one of a store, one that cannot be written, or a value out
            of its range. Nothing has changed then.
    """
    path = artifact_files.find_model(folder).resolve()
    check_rewritable(path)
    check_self_contained(path)
    model = onnx.load(path)
    metadata = {each.key: each.value for each in model.metadata_props}
    given = {
        "accuracy": None if accuracy is None else dict(accuracy),
        "seed_threshold": seed_threshold,
        "score_threshold": score_threshold,
        "min_pixels": min_pixels,
        "object_pixels": object_pixels,
    }
    old = contract.from_metadata(metadata, str(path))
    new = msgspec.structs.replace(
        old,
        **{name: value for name, value in given.items() if value is not None},
    )
    stamped = metadata | contract.to_metadata(new)
    contract.from_metadata(stamped, str(path))  # refuses values out of their range
    helper.set_model_props(model, stamped)
    try:
        _replace(path, model.SerializeToString(), old, new)
    except OSError as error:
        raise ConfigurationError(_unwritable(path.parent, str(error.strerror))) from error
    return new


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


def _replace(path: Path, content: bytes, old: Artifact, new: Artifact) -> None:
    folder = path.parent
    fresh = folder / f".{artifact_files.MODEL_FILE}.partial"
    try:
        fresh.write_bytes(content)
        sync(fresh)
        fresh.chmod(path.stat().st_mode & 0o777)
        _write_card(old, folder, file_sha256="")
        fresh.replace(path)
        _write_card(new, folder, file_sha256=hashlib.sha256(content).hexdigest())
        sync(folder)
    finally:
        fresh.unlink(missing_ok=True)


def _write_card(artifact: Artifact, folder: Path, file_sha256: str) -> None:
    values = {name: getattr(artifact, name) for name in artifact.__struct_fields__}
    card = artifact_files.Card(**values, file_sha256=file_sha256)
    partial = folder / f".{artifact_files.CARD_FILE}.partial"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    sync(partial)
    partial.replace(folder / artifact_files.CARD_FILE)
