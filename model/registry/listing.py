"""A store and its models in words, for the terminal; needs no torch."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from contract import artifact_files
from contract.artifact_files import CURRENT, Card
from contract.errors import ConfigurationError
from model.registry.store import Store

_HEAD = ("model", "version", "released", "precision", "size", "classes", "accuracy")


def table(store: Store) -> str:
    """Return a line per version; the current one has a star, what is broken says so."""
    rows = [_HEAD]
    for model in store.models():
        for version in model.folders:
            star = " *" if version == model.current else ""
            rows.append((model.name, version + star, *_row(store, model.name, version)))
        if model.lost is not None:
            said = f"{store.root / model.name / CURRENT}: leads to nothing; promote a version"
            rows.append((model.name, f"{model.lost} *", "?", "?", "?", "?", said))
    if len(rows) == 1:
        return f"{store.root}: no models"
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(store: Store, name: str, version: str) -> tuple[str, str, str, str, str]:
    folder = store.root / name / version
    sizes = [_megabytes(folder / artifact_files.MODEL_FILE)]
    when = "not a release"
    if version.isdecimal():
        when = store.released_at(name, version) or "unknown"
    try:
        card = artifact_files.read_card(folder)
    except ConfigurationError as error:
        return when, "?", f"{sizes[0]} MB", "?", str(error)
    files = (artifact_files.MODEL_FILE, *(each.file for each in card.further))
    missing = [str(folder / file) for file in files if not (folder / file).is_file()]
    if missing:
        said = f"{', '.join(missing)}: missing; copy the folder again, or release anew"
        return when, "?", f"{sizes[0]} MB", "?", said
    sizes += [_megabytes(folder / each.file) for each in card.further]
    precisions = [card.precision, *(each.precision for each in card.further)]
    # The first figure is the main one; `models show` has them all.
    figures = ", ".join(f"{key} {value:g}" for key, value in list(card.accuracy.items())[:1])
    return (
        when,
        " + ".join(precisions),
        f"{' + '.join(sizes)} MB",
        ", ".join(card.classes),
        figures or "-",
    )


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f}" if path.is_file() else "?"


def describe(card: Card) -> str:
    """Return all that a card says, a line each."""
    values = msgspec.to_builtins(card)
    further = values.pop("further")
    text = _lines(values)
    return "\n\n".join([text, *map(_lines, further)])


def _lines(values: Mapping[str, object]) -> str:
    width = max(map(len, values))
    return "\n".join(f"{key.ljust(width)}  {_text(value)}" for key, value in values.items())


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {figure:g}" for key, figure in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value) or "-"
