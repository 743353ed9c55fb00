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


def split_by_folders(whole: DataSet, split: Split) -> DataSet:
    """Return a part: by the folders in the pictures' names where both parts are there.

    Pictures in a folder ``test*`` then belong to no part. Without such folders the split is by
    name, and every picture belongs to one.
    """
    parts = [_part_of_name(name) for name in whole.names]
    if not {TRAIN, VALIDATION} <= {*parts}:
        return split_by_name(whole, split)
    wanted = {"train": (TRAIN,), "validation": (VALIDATION,), "all": (TRAIN, VALIDATION)}[split]
    chosen = [index for index, part in enumerate(parts) if part in wanted]
    left_out = sum(part not in (TRAIN, VALIDATION) for part in parts)
    if not left_out:
        return whole if split == "all" else Subset(whole, chosen)
    return _Noted(
        whole, chosen, f"{left_out} pictures belong to neither train nor val and are not read"
    )


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
