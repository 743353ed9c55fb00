"""Model export, store and worker: a file of an artifact says of itself what the card says of it.

A sha256 proves that a file is the one that was listed, not that it was rightly listed: only what
the file itself says tells that it is of the same model, and which precision it has. Read without
ONNX Runtime, which the store does without.
"""

import mmap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.artifact import from_metadata
from contract.artifact_files import CARD_FILE, MODEL_FILE, SHARED, Card, FurtherFile, read_card
from contract.errors import ConfigurationError
from contract.protobuf import fields

MOST_OPSET = 22
"""The newest opset of ONNX that every supported ONNX Runtime loads (1.21 is the oldest one)."""

_OWN = ("precision", "weights_sha256")
"""Fields that each file of an artifact has of its own, and the card lists."""

_REWRITTEN = frozenset(
    {"seed_threshold", "score_threshold", "min_pixels", "object_pixels", "weights_sha256"}
)
"""What changes in one file after the other while the card tells no sha256."""

_OPSETS, _METADATA = 8, 14
"""Fields of a model in onnx.proto."""

_DOMAIN, _VERSION = 1, 2
"""Fields of an opset there."""

_KEY, _VALUE = 1, 2
"""Fields of a metadata property there."""


@dataclass(frozen=True)
class Header:
    """What an ONNX file says of itself before its graph.

    Attributes:
        metadata: Its properties.
        opset: Of the standard operators; 0 where it names none.
    """

    metadata: Mapping[str, str]
    opset: int


def read_header(model: Path) -> Header:
    """Read what an ONNX file says of itself.

    Raises:
        ConfigurationError: It is no ONNX file.
    """
    metadata: dict[str, str] = {}
    opset = 0
    try:
        with (
            model.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            for number, value in fields(data, 0, len(data)):
                if number == _METADATA and isinstance(value, tuple):
                    texts = _texts(data, *value)
                    metadata[texts.get(_KEY, "")] = texts.get(_VALUE, "")
                elif number == _OPSETS and isinstance(value, tuple):
                    opset = max(opset, _standard_opset(data, *value))
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{model}: not a model that ONNX Runtime can load: {error}; copy it again or export it "
            "again with `seedstream export`"
        ) from error
    return Header(metadata, opset)


def check_agreement(folder: Path, names: Collection[str] | None = None) -> None:
    """Compare what the files of an artifact say of themselves with the card beside them.

    While the card tells no sha256 of a file, because the file is being rewritten, neither its
    weights nor its thresholds are compared.

    Args:
        folder: The artifact's folder.
        names: Which of its files to compare; None: all that the card lists.

    Raises:
        ConfigurationError: A file is of another model, release or precision than its card says, of
            an opset that no supported ONNX Runtime loads, or no artifact's at all.
    """
    # The card may have been of the files before a rewrite.
    if _faults(folder, names) and (faults := _faults(folder, names)):
        raise ConfigurationError(faults)


def _faults(folder: Path, names: Collection[str] | None) -> list[str]:
    card = read_card(folder)
    return [
        fault
        for name, expected in _expected(card).items()
        if names is None or name in names
        for fault in _file_faults(folder / name, expected)
    ]


def _expected(card: Card) -> dict[str, dict[str, object]]:
    """Return the fields that each file must have, by its name."""
    shared = {field: getattr(card, field) for field in SHARED}
    listed: dict[str, Card | FurtherFile] = {each.file: each for each in card.further}
    expected = {}
    for name, file in {MODEL_FILE: card, **listed}.items():
        values = shared | {field: getattr(file, field) for field in _OWN}
        changing = frozenset() if file.file_sha256 else _REWRITTEN
        expected[name] = {field: values[field] for field in values if field not in changing}
    return expected


def _file_faults(model: Path, expected: Mapping[str, object]) -> Iterator[str]:
    try:
        header = read_header(model)
        artifact = from_metadata(header.metadata, str(model))
    except ConfigurationError as error:
        yield from error.faults
        return
    if header.opset > MOST_OPSET:
        yield (
            f"{model}: its opset is {header.opset}, expected at most {MOST_OPSET}, which every "
            "supported ONNX Runtime loads; export it again with `seedstream export`"
        )
    differences = [
        f"{field} is {getattr(artifact, field)!r}, expected {value!r}"
        for field, value in expected.items()
        if getattr(artifact, field) != value
    ]
    if differences:
        yield (
            f"{model}: not the file that {CARD_FILE} beside it lists: the file itself says that "
            f"its {', its '.join(differences)}; copy the folder again, or release the model again "
            "with `seedstream release`"
        )


def _texts(data: mmap.mmap, begin: int, end: int) -> dict[int, str]:
    return {
        number: data[slice(*value)].decode(errors="replace")
        for number, value in fields(data, begin, end)
        if isinstance(value, tuple)
    }


def _standard_opset(data: mmap.mmap, begin: int, end: int) -> int:
    """Return the version of an opset, 0 where it is not that of the standard operators."""
    domain, version = _texts(data, begin, end).get(_DOMAIN, ""), 0
    for number, value in fields(data, begin, end):
        if number == _VERSION and isinstance(value, int):
            version = value
    return version if domain in ("", "ai.onnx") else 0
