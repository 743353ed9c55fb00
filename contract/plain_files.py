"""Model export and worker: an artifact is plain files of its own folder, and refers to no other.

A link or external data would load, copy or publish a file from elsewhere, or weights which the
sha256 of ``model.onnx`` does not cover.
"""

import mmap
import stat
from collections.abc import Iterator
from pathlib import Path

from contract.errors import ConfigurationError
from contract.protobuf import fields

MOST_BYTES = 2 * 1024**3
"""No ONNX file in one piece is larger: protobuf's own limit."""

_DEEPEST = 64
"""Graphs within graphs; ONNX Runtime gives up at about 100."""

# Field number -> message in it, of onnx.proto: all ways from the model to a tensor.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
"""Fields of a tensor."""


def check_plain(path: Path, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Check that a path is a plain file of a folder, links followed, and of a sane size.

    Args:
        path: The file.
        folder: Where it must lie; may itself be named through links.
        most_bytes: Largest size, in bytes.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        real, home = path.resolve(strict=True), folder.resolve(strict=True)
        found = real.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ConfigurationError(f"{path}: cannot be opened: {error}") from error
    if not real.is_relative_to(home):
        raise ConfigurationError(
            f"{path}: a link that leads out of {folder}, to {real}; expected a file of its own: "
            "copy it there"
        )
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path}: expected a plain file; copy the artifact again")
    if found.st_size > most_bytes:
        raise ConfigurationError(
            f"{path}: {found.st_size} bytes, expected at most {most_bytes}; copy the artifact again"
        )


def check_self_contained(model: Path) -> None:
    """Check that all weights of an ONNX file are inside it.

    Raises:
        ConfigurationError: A tensor lies in another file, or it is no ONNX file.
    """
    try:
        with (
            model.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            found = next(_external(data), None)
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{model}: not a model that ONNX Runtime can load: {error}; copy it again or export it "
            "again with `seedstream export`"
        ) from error
    if found is not None:
        raise ConfigurationError(
            f"{model}: the tensor {found!r} has its data in another file, expected all weights in "
            "this one; export it again with `seedstream export`, or save it without external data"
        )


def _external(data: mmap.mmap) -> Iterator[str]:
    """Yield the name of each tensor whose data is elsewhere.

    Raises:
        ValueError, IndexError: It is no protobuf message.
    """
    waiting: list[tuple[str, int, int, int]] = [("model", 0, len(data), 0)]
    while waiting:
        kind, begin, end, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"graphs nested more than {_DEEPEST} deep")
        if kind == "tensor":
            name, external = "", False
            for number, value in fields(data, begin, end):
                if number == _NAME and isinstance(value, tuple):
                    name = data[slice(*value)].decode(errors="replace")
                external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
            if external:
                yield name
            continue
        inner = _MESSAGES[kind]
        for number, value in fields(data, begin, end):
            if number in inner and isinstance(value, tuple):
                waiting.append((inner[number], *value, depth + 1))
