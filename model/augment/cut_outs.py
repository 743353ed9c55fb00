"""Where pasted objects come from: stored cut-outs, or the objects of the pictures themselves."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from model.data.labels import CutOut, Pictures


class CutOutSource(Protocol):
    """Gives objects to paste."""

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Return an object, or None where none was found."""
        ...


class StoredCutOuts:
    """Cut-outs in memory.

    Args:
        cut_outs: At least one.
        shares: Share of the chosen objects by class index; unset, each cut-out is as likely.
    """

    def __init__(
        self, cut_outs: Sequence[CutOut], shares: Mapping[int, float] | None = None
    ) -> None:
        self._pools: dict[int, list[CutOut]] = {}
        for cut_out in cut_outs:
            self._pools.setdefault(cut_out.label, []).append(cut_out)
        self._labels = sorted(self._pools)
        weights = [
            len(self._pools[label]) if not shares else shares.get(label, 0.0)
            for label in self._labels
        ]
        total = sum(weights)
        self._weights = np.array(weights, float) / total if total else np.zeros(0)

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Return one of the cut-outs."""
        if not len(self._weights):
            return None
        pool = self._pools[self._labels[int(rng.choice(len(self._labels), p=self._weights))]]
        return pool[rng.integers(len(pool))]


class PictureCutOuts:
    """Objects cut out of random pictures where they are needed; those cut by a border stay."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Read a random picture and return one of its objects."""
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        numbers = np.flatnonzero(np.bincount(picture.instances.reshape(-1))[1:]) + 1
        if not len(numbers):
            return None
        own = picture.instances == numbers[rng.integers(len(numbers))]
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        cut_by_border = rows[0] == 0 or columns[0] == 0
        if cut_by_border or rows[-1] == len(own) - 1 or columns[-1] == own.shape[1] - 1:
            return None
        area = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        alpha = own[area].astype(np.uint8) * 255
        label = int(picture.labels[area][own[area]][0])
        return CutOut(picture.image[area].copy(), alpha, label)
