"""COCO's categories: which of them are classes, and in which order."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from contract.errors import ConfigurationError
from model.data.labels import IGNORE

_SIMILAR = 8
"""Most names that are suggested."""

Key = int | float | str
"""A number of a picture or category as it is in the file; compare them by `same`."""


class Category(msgspec.Struct):
    """A class, or a group of classes."""

    id: Key
    name: str
    supercategory: str | None = None
    isthing: bool | int | None = None


def same(key: Key) -> str:
    """Return the same text for ``1``, ``1.0`` and ``"1"``."""
    if isinstance(key, float) and math.isfinite(key) and key.is_integer():
        key = int(key)
    return str(key)


def groups(categories: Sequence[Category]) -> list[Category]:
    """Return a category that is nothing but the group of all others; usually there is none.

    Roboflow writes one, with number 0 and often with the name of a class. It has no annotation.
    """
    return [
        each
        for each in categories
        if len(categories) > 1
        and all(other.supercategory == each.name for other in categories if other is not each)
    ]


def things(categories: Sequence[Category]) -> list[Category]:
    """Return the categories that are not stuff (grass, sky), which has no single objects."""
    return [each for each in categories if each.isthing is None or each.isthing]


def narrowed(categories: Sequence[Category], among: Sequence[str], path: Path) -> list[Category]:
    """Return the categories that are to be learned where there are more than a model can have.

    Args:
        categories: Those of a file, LVIS has 1,203.
        among: The names that are enough; empty takes all.
        path: The file, for messages.

    Raises:
        ConfigurationError: There are too many, and none has one of the names.
    """
    if len(categories) < IGNORE or not among:
        return list(categories)
    kept = [each for each in categories if each.name in among]
    if kept:
        return kept
    close = [
        each.name
        for each in categories
        if any(name.casefold() in each.name.casefold() for name in among)
    ]
    hint = f"; similar: {', '.join(map(repr, close[:_SIMILAR]))}" if close else ""
    raise ConfigurationError(
        f"{path}: has {len(categories)} categories, none of them called "
        f"{' or '.join(map(repr, among))}{hint}"
    )


def class_names(categories: Sequence[Category], path: Path) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        ConfigurationError: There are none, too many, or two are alike; all faults.
    """
    names, ids = [c.name for c in categories], [same(c.id) for c in categories]
    faults = [
        f"{path}: categories {what} are not unique: {', '.join(twice)}"
        for what, values in (("names", names), ("ids", ids))
        if (twice := [value for value, count in Counter(values).items() if count > 1])
    ]
    if nameless := [key for key, name in zip(ids, names, strict=True) if not name.strip()]:
        faults.append(f"{path}: categories without a name: ids {', '.join(nameless)}; name them")
    if not 0 < len(names) < IGNORE:
        many = (
            "; name those that are to be learned: as classes in the recipe (train), with --classes "
            "(dataset check)"
            if names
            else ""
        )
        faults.append(f"{path}: has {len(names)} categories, expected 1..254{many}")
    if faults:
        raise ConfigurationError(faults)
    return tuple(names)


def in_order(categories: Sequence[Category]) -> list[Category]:
    """Sort by number; text that is no number comes last."""
    return sorted(categories, key=lambda each: _order(each.id))


def _order(key: Key) -> tuple[float, str]:
    try:
        return float(key), ""
    except (ValueError, OverflowError):
        return math.inf, str(key)
