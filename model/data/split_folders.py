"""Data sets whose parts lie in folders named ``train*``, ``val*`` and ``test*``."""

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from model.data.data_set import DataSet, Split, Subset, split_by_name

TRAIN, VALIDATION, TEST = "train", "val", "test"
"""How the names of the folders begin: ``training``, ``valid``, ``validation`` are usual as well."""

_OTHER_WORDS = {"dev": VALIDATION, "minival": VALIDATION}
"""Whole names that mean a part, too."""

_BOTH = "trainval"
"""How the name of both parts together begins."""

_STAGE = re.compile(r"^stage\d+_")
"""What the 2018 Data Science Bowl puts before ``train`` and ``test``."""


def split_folders(root: Path) -> list[Path]:
    """Return the folders of the parts right below ``root``, sorted."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and part_of_word(path.name))


def split_by_folders(whole: DataSet, split: Split, *, official: bool = False) -> DataSet:
    """Return a part: by the folders in the pictures' names where both parts are there.

    Beside ``train*``, pictures in no folder of either part (``test*``) belong to neither; without
    ``val*`` those in ``train*`` are split by name. Without such folders all are.

    Args:
        whole: The data set.
        split: Which part.
        official: Whether ``val*`` is the part that the publisher's figures are measured on: all of
            it validates then, also where it is alone.
    """
    parts = [part_of_name(name) for name in whole.names]
    if official and {*parts} == {VALIDATION}:
        return Subset(whole, []) if split == "train" else whole
    own = {TRAIN, VALIDATION} <= {*parts}
    kept = [index for index, part in enumerate(parts) if part in (TRAIN, VALIDATION)]
    if not own and TEST in parts and TRAIN in parts:
        kept = [index for index, part in enumerate(parts) if part != TEST]
    elif not own:
        return split_by_name(whole, split)
    if not own:
        return split_by_name(only(whole, kept), split)
    return split_by_lists(
        whole,
        split,
        {
            "train": {i for i, part in enumerate(parts) if part == TRAIN},
            "validation": {i for i, part in enumerate(parts) if part == VALIDATION},
        },
    )


def split_by_lists(whole: DataSet, split: Split, parts: Mapping[Split, Set[int]]) -> DataSet:
    """Return a part of a data set that says by itself which pictures are of which.

    Those of neither (``test*``) are not read, also where the whole is wanted, and a note says so.

    Args:
        whole: The data set.
        split: Which part.
        parts: Pictures of ``train`` and of ``validation``.
    """
    kept = sorted(set().union(*parts.values()))
    found = only(whole, kept)
    if split == "all":
        return found
    return Subset(found, [i for i, index in enumerate(kept) if index in parts[split]])


def only(whole: DataSet, kept: Sequence[int]) -> DataSet:
    """Return the pictures ``kept`` of a data set, with a note on the others."""
    left_out = len(whole) - len(kept)
    if not left_out:
        return whole
    note = f"{left_out} pictures belong to neither train nor val and are not read"
    return _Noted(whole, kept, note)


def notes_on_parts(found: Sequence[str], parts: tuple[str, str]) -> list[str]:
    """Return that one of the official ``parts``, training and validation, is not on disk."""
    training, validation = parts
    if validation not in found:
        return [f"there is no part {validation!r}: that of training is split by name"]
    return [] if training in found else [f"there is no part {training!r}: nothing to learn from"]


class _Noted(Subset):
    """A part that says what belongs to no part."""

    def __init__(self, whole: DataSet, indices: Sequence[int], note: str) -> None:
        super().__init__(whole, indices)
        self._note = note

    def notes(self) -> Sequence[str]:
        """Return what was assumed of the whole data set, and what was left out of it."""
        return [*super().notes(), self._note]


def part_of_name(name: str) -> str | None:
    """Return the part that the folders in a picture's name say; None where they do not."""
    found = [part for folder in name.split("/")[:-1] if (part := part_of_word(folder))]
    return next((part for part in found if part != TEST), found[0] if found else None)


def part_of_word(word: str) -> str | None:
    """Return the part that the name of a folder or file says; None where it does not."""
    plain = _STAGE.sub("", word.lower())
    if plain.startswith(_BOTH):
        return None
    begun = next((p for p in (TRAIN, VALIDATION, TEST) if plain.startswith(p)), None)
    return _OTHER_WORDS.get(plain, begun)
