"""Model export, store and worker: the files of a model artifact and the card that lists them.

An artifact is a folder ``NAME/VERSION/`` with ``model.onnx`` and ``model.json``. The ONNX file
carries all that a worker needs in its metadata (`contract.artifact`); ``model.json`` repeats it for
people and adds the file's own sha256, against which a copy is checked. There may be further files
of the same network in other precisions, like ``model.int8.onnx``: each carries its own metadata,
and ``model.json`` lists them with their own sha256 and figures.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec

from contract.artifact import Artifact, Precision
from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from contract.plain_files import check_plain

MODEL_FILE = "model.onnx"
CARD_FILE = "model.json"
CURRENT = "current"
"""Link or folder in a model's folder: the version that workers load."""

_MOST_CARD_BYTES = 1024 * 1024

SHARED = (
    *("schema", "name", "version", "classes", "height", "width", "grid_step", "n_sigma"),
    *("seed_threshold", "score_threshold", "min_pixels", "connected", "object_pixels"),
)
"""Fields that all files of an artifact agree on: a worker may load any of them."""


def further_file(precision: Precision) -> str:
    """Return the name of the file that holds another precision, beside ``model.onnx``."""
    return f"model.{precision}.onnx"


class FurtherFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file beside ``model.onnx``: the same network in another precision.

    Attributes:
        file: Name of the file, for instance ``model.int8.onnx``.
        precision: Precision of its weights.
        file_sha256: sha256 of the file; empty while it changes.
        weights_sha256: As of an `Artifact`, of this file.
        accuracy: Figures measured with this file, by name.
        comparison: This file against PyTorch at export, by name.
    """

    file: str
    precision: Precision
    weights_sha256: str
    file_sha256: str = ""
    accuracy: dict[str, float] = {}
    comparison: dict[str, float] = {}


class Card(Artifact, frozen=True, kw_only=True):
    """What ``model.json`` says.

    Attributes:
        file_sha256: sha256 of ``model.onnx`` beside it; empty while the file changes.
        further: The other files of the artifact, each of another precision; empty in older cards.
    """

    file_sha256: str = ""
    further: tuple[FurtherFile, ...] = ()


_cards = msgspec.json.Decoder(Card, strict=False)


def make_card(
    artifact: Artifact, further: Mapping[Precision, Artifact], sha256: Mapping[str, str]
) -> Card:
    """Return the card of an artifact.

    Args:
        artifact: The metadata of ``model.onnx``.
        further: The metadata of the other files by precision.
        sha256: sha256 by name of a file; one that is absent is left empty, and so unchecked.

    Raises:
        ConfigurationError: The files are of different networks, or two have one precision.
    """
    faults = [
        f"{further_file(precision)}: {field} is {getattr(other, field)!r}, expected "
        f"{getattr(artifact, field)!r} as of {MODEL_FILE}"
        for precision, other in further.items()
        for field in SHARED
        if getattr(other, field) != getattr(artifact, field)
    ]
    faults += [
        f"{further_file(precision)}: its precision is {other.precision}, expected {precision}"
        for precision, other in further.items()
        if other.precision != precision
    ]
    if artifact.precision in further:
        faults.append(f"{MODEL_FILE} and {further_file(artifact.precision)}: the same precision")
    if faults:
        raise ConfigurationError(faults)
    return Card(
        **{field: getattr(artifact, field) for field in Artifact.__struct_fields__},
        file_sha256=sha256.get(MODEL_FILE, ""),
        further=tuple(
            FurtherFile(
                file=further_file(precision),
                precision=precision,
                weights_sha256=other.weights_sha256,
                file_sha256=sha256.get(further_file(precision), ""),
                accuracy=other.accuracy,
                comparison=other.comparison,
            )
            for precision, other in further.items()
        ),
    )


def write_card(
    artifact: Artifact, folder: Path, further: Mapping[Precision, Artifact] | None = None
) -> Path:
    """Write ``model.json`` beside the files of an artifact and return its path.

    Args:
        artifact: The metadata of ``folder/model.onnx``.
        folder: The artifact's folder.
        further: The metadata of the other files by precision; None: there are none.

    Raises:
        ConfigurationError: The files do not belong together, see `make_card`.
    """
    further = further or {}
    names = [MODEL_FILE, *map(further_file, further)]
    card = make_card(artifact, further, {name: _sha256(folder / name) for name in names})
    path = folder / CARD_FILE
    path.write_bytes(encode_card(card))
    return path


def encode_card(card: Card) -> bytes:
    """Return the content of ``model.json``."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def find_model(path: Path) -> Path:
    """Return the ONNX file that ``path`` names, after checking it against its card.

    Args:
        path: A ``.onnx`` file, a folder ``NAME/VERSION`` that holds ``model.onnx``, or a folder
            ``NAME`` with an entry ``current`` (a link or folder) that holds it. Of a folder all
            files are checked.

    Raises:
        ConfigurationError: Nothing there, a file is not the one that the card describes, or a
            link leads out of the folder.
    """
    return next(iter(find_files(path).values()))


def find_files(path: Path) -> dict[Precision | None, Path]:
    """Return the ONNX files that ``path`` names by precision, after checking them.

    Args:
        path: As of `find_model`. A file names itself alone, a folder all files that its card lists.

    Returns:
        ``model.onnx`` first, then the others in the card's order. The precision is None where no
        card tells it: the file's own metadata does.

    Raises:
        ConfigurationError: See `find_model`.
    """
    candidates = [path, path / MODEL_FILE, path / CURRENT / MODEL_FILE]
    model = next((candidate for candidate in candidates if candidate.is_file()), None)
    if model is None:
        found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else "nothing"
        raise ConfigurationError(
            f"{path}: no model here: expected a .onnx file or a folder NAME/VERSION with "
            f"{MODEL_FILE}, found {found}; export one with `seedstream export`"
        )
    check_plain(model, _home(path, model))
    known = {MODEL_FILE, *map(further_file, get_args(Precision))}
    if model.name not in known or not model.with_name(CARD_FILE).is_file():
        return {None: model}  # a file of its own, whatever lies beside it
    if path != model:
        card = check_file(model.parent)
        return {precision: model.parent / name for precision, (name, _) in _listed(card).items()}
    for precision, (name, sha256) in _listed(read_card(model.parent)).items():
        if name == model.name:
            _check_sha256(model, sha256)
            return {precision: model}
    return {None: model}


def _listed(card: Card) -> dict[Precision, tuple[str, str]]:
    """Return (name, sha256) of all files that a card lists by precision, ``model.onnx`` first."""
    further = {each.precision: (each.file, each.file_sha256) for each in card.further}
    return {card.precision: (MODEL_FILE, card.file_sha256), **further}


def _home(path: Path, model: Path) -> Path:
    """Return the folder in which a model must lie: that of the name, where one was given."""
    if path == model:
        return path.parent
    return path.parent if path.name == CURRENT else path


def read_card(folder: Path) -> Card:
    """Read ``model.json`` of an artifact's folder; the ONNX files are not looked at.

    Raises:
        ConfigurationError: It is missing or no model card.
    """
    path = folder / CARD_FILE
    if path.exists():
        check_plain(path, folder, _MOST_CARD_BYTES)
    try:
        card = _cards.decode(without_mark(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the model card: {error.strerror}") from error
    except JSON_ERRORS as error:
        raise ConfigurationError(f"{path}: not a model card: {error}") from error
    faults = _further_faults(card, path)
    if faults:
        raise ConfigurationError(faults)
    return card


def _further_faults(card: Card, path: Path) -> list[str]:
    seen = {card.precision}
    faults = []
    for each in card.further:
        # The name leads to a file that is read: nothing but one of this folder.
        if each.file != further_file(each.precision):
            faults.append(
                f"{path}: a further file {each.file!a} of precision {each.precision}, expected "
                f"{further_file(each.precision)!r}"
            )
        if each.precision in seen:
            faults.append(f"{path}: two files of precision {each.precision}, expected one")
        seen.add(each.precision)
    return faults


def check_file(folder: Path) -> Card:
    """Compare the ONNX files with the sha256 that the card beside them says; return the card.

    Raises:
        ConfigurationError: A file is missing, or a sha256 is another.
    """
    try:
        return _check_file(folder)
    except ConfigurationError:
        return _check_file(folder)  # the card may have been of the files before a rewrite


def _check_file(folder: Path) -> Card:
    card = read_card(folder)
    for name, sha256 in _listed(card).values():
        model = folder / name
        if not model.is_file():
            raise ConfigurationError(
                f"{model}: missing, but the {CARD_FILE} beside it lists it; copy the folder again"
            )
        check_plain(model, folder)
        _check_sha256(model, sha256)
    return card


def _check_sha256(model: Path, expected: str) -> None:
    seen = _sha256(model)
    if expected and expected != seen:
        raise ConfigurationError(
            f"{model}: sha256 is {seen}, the card beside it says {expected}: a broken or partial "
            "copy; copy the folder again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
