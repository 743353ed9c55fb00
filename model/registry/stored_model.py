"""One model of a store: the versions that there are, and which of them workers load."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One model of a store.

    Attributes:
        name: Its name.
        versions: Released versions, oldest first.
        current: The version that workers load, None before the first promotion.
        foreign: Other folders with a model in them, for instance of `seedstream export`.
        broken: Folders of versions whose ``model.onnx`` is gone.
    """

    name: str
    versions: tuple[str, ...]
    current: str | None
    foreign: tuple[str, ...]
    broken: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Every version that there is, whole or broken: releases first, by number."""
        every = sorted((*self.versions, *self.foreign, *self.broken))
        releases = sorted(filter(is_release, every), key=int)
        return (*releases, *(name for name in every if not is_release(name)))

    @property
    def lost(self) -> str | None:
        """Where ``current`` leads if nothing is there; else None."""
        return None if self.current in (None, *self.folders) else self.current


def is_release(version: str) -> bool:
    """Whether a version is a number, as releases have it: 1, 2, ..."""
    # Not isdecimal() alone: digits of other scripts look like these, and "01" like another "1".
    return version.isascii() and version.isdecimal() and not version.startswith("0")
