"""What the files of an artifact say about themselves: read, and written for all of them at once.

An artifact has ``model.onnx`` and perhaps further files of the same network; each carries its own
metadata, and the card lists them all. Weights and graphs stay byte for byte. Library: onnx.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import onnx
from onnx import helper

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact
from contract.artifact_files import Card
from contract.plain_files import check_self_contained
from model.registry.store_files import sync

Stamps = Mapping[str, Artifact]
"""Metadata by name of a file, ``model.onnx`` first."""


def read_stamp(path: Path) -> Artifact:
    """Return the metadata of one file.

    Raises:
        ConfigurationError: The file is no artifact's, or refers to others.
    """
    check_self_contained(path)
    return contract.from_metadata(_properties(onnx.load(path)), str(path))


def read_stamps(folder: Path) -> dict[str, Artifact]:
    """Return the metadata of all files of an artifact, ``model.onnx`` first.

    Args:
        folder: What names an artifact, see `contract.artifact_files.find_files`.

    Raises:
        ConfigurationError: No artifact there, or a file of it is broken.
    """
    files = artifact_files.find_files(folder).values()
    return {path.name: read_stamp(path) for path in files}


def write_stamps(folder: Path, stamps: Stamps, contents: Mapping[str, bytes] | None = None) -> None:
    """Write metadata into the files of an artifact and list the files in its card.

    Each file is replaced by one rename, and whoever loads the artifact in between finds it whole:
    the card says nothing about the files' sha256 while they change.

    Args:
        folder: The artifact's folder.
        stamps: Metadata of every file that the artifact is to have.
        contents: New content by name of a file; the others lie there already.

    Raises:
        ConfigurationError: A value is out of its range, or the files do not belong together.
            Nothing has changed then.
        OSError: A file cannot be written.
    """
    fresh: dict[str, bytes] = {}
    sha256: dict[str, str] = {}
    for name, artifact in stamps.items():
        path = folder / name
        given = (contents or {}).get(name)
        content = path.read_bytes() if given is None else given
        model = onnx.load_from_string(content)
        before = _properties(model)
        stamped = before | contract.to_metadata(artifact)
        contract.from_metadata(stamped, str(path))  # refuses values out of their range
        if stamped != before or given is not None:
            helper.set_model_props(model, stamped)
            content = fresh[name] = model.SerializeToString()
        sha256[name] = hashlib.sha256(content).hexdigest()
    main, *others = stamps.values()
    card = artifact_files.make_card(main, {each.precision: each for each in others}, sha256)
    if (folder / artifact_files.CARD_FILE).exists():
        _replace_card(folder, _without_sha256(artifact_files.read_card(folder)))
    for name, content in fresh.items():
        _replace(folder / name, content)
    _replace_card(folder, card)
    sync(folder)


def _properties(model: Any) -> dict[str, str]:
    return {each.key: each.value for each in model.metadata_props}


def _without_sha256(card: Card) -> Card:
    further = tuple(msgspec.structs.replace(each, file_sha256="") for each in card.further)
    return msgspec.structs.replace(card, file_sha256="", further=further)


def _replace_card(folder: Path, card: Card) -> None:
    _replace(folder / artifact_files.CARD_FILE, artifact_files.encode_card(card))


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.partial")
    try:
        fresh.write_bytes(content)
        sync(fresh)
        if path.exists():
            fresh.chmod(path.stat().st_mode & 0o777)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
