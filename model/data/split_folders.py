"""Data sets whose parts lie in folders named ``train*``, ``val*`` and ``test*``."""

from collections.abc import Sequence
from pathlib import Path

from model.data.data_set import DataSet, Split, Subset, split_by_name

TRAIN, VALIDATION, TEST = "train", "val", "test"
"""How the names of the folders begin: ``training``, ``valid``, ``validation`` are usual as well."""


def split_folders(root: Path) -> list[Path]:
    """Return the folders of the parts right below ``root``, sorted."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and _part_of(path.name))


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
    parts = [_part_of_name(name) for name in whole.names]
    if official and {*parts} == {VALIDATION}:
        return Subset(whole, []) if split == "train" else whole
    own = {TRAIN, VALIDATION} <= {*parts}
    kept = [index for index, part in enumerate(parts) if part in (TRAIN, VALIDATION)]
    if not own and TEST in parts and TRAIN in parts:
        kept = [index for index, part in enumerate(parts) if part != TEST]
    elif not own:
        return split_by_name(whole, split)
    left_out = len(whole) - len(kept)
    note = f"{left_out} pictures belong to neither train nor val and are not read"
    found = _Noted(whole, kept, note) if left_out else whole
    if split == "all":
        return found
    if not own:
        return split_by_name(found, split)
    wanted = TRAIN if split == "train" else VALIDATION
    return Subset(found, [i for i, index in enumerate(kept) if parts[index] == wanted])


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


def _part_of_name(name: str) -> str | None:
    found = [part for folder in name.split("/")[:-1] if (part := _part_of(folder))]
    return next((part for part in found if part != TEST), found[0] if found else None)


def _part_of(folder: str) -> str | None:
    return next((p for p in (TRAIN, VALIDATION, TEST) if folder.lower().startswith(p)), None)
