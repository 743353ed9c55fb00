"""A data set whose pictures stay decoded in memory, as far as a number of bytes goes."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model.data.data_set import BrokenSampleError, DataSet, read_sample
from model.data.labels import Labelled, TrueShape

_LARGEST_NUMBER = 1 << 16


class Cached(DataSet):
    """Keeps the pictures that are read first; what does not fit is read from disk each time.

    Nothing is ever evicted: epochs read every picture equally often, so a cache that follows the
    last use would hold none of them when its turn comes.

    Args:
        whole: The data set.
        limit_bytes: Most bytes of decoded pictures and labels to keep.
        mend: What becomes of each picture before it is kept.
    """

    def __init__(
        self,
        whole: DataSet,
        limit_bytes: int,
        mend: Callable[[Labelled], Labelled] = lambda picture: picture,
    ) -> None:
        self.root, self.classes, self.names = whole.root, whole.classes, whole.names
        self._whole, self._free, self._mend = whole, limit_bytes, mend
        self._kept: dict[int, Labelled] = {}
        self._counting = threading.Lock()

    def read(self, index: int) -> Labelled:
        """Read picture ``index`` from memory or disk."""
        kept = self._kept.get(index)
        if kept is None:
            kept = _renumbered(self._mend(read_sample(self._whole, index)))
            size = kept.image.nbytes + kept.instances.nbytes + kept.labels.nbytes
            with self._counting:  # several threads examine the data before a run
                if size <= self._free and index not in self._kept:
                    self._free -= size
                    self._kept[index] = kept
        return kept

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files that picture ``index`` is read from."""
        return self._whole.files(index)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return what is wrong with the whole data set."""
        return self._whole.orphans()

    def notes(self) -> Sequence[str]:
        """Return what was assumed of the whole data set."""
        return self._whole.notes()

    def warnings(self) -> Sequence[str]:
        """Return what whoever made the labels warns of."""
        return self._whole.warnings()

    def true_shapes(self, index: int) -> Sequence[TrueShape] | None:
        """Return the annotations of picture ``index``."""
        return self._whole.true_shapes(index)


def _renumbered(picture: Labelled) -> Labelled:
    """Number instances from 1 where they have large numbers: tables are as long as the largest."""
    if picture.instances.max(initial=0) <= _LARGEST_NUMBER:
        return picture
    numbers, compact = np.unique(picture.instances, return_inverse=True)
    compact = compact.reshape(picture.instances.shape) + (numbers[0] != 0)
    return Labelled(picture.image, compact.astype(np.int32), picture.labels, picture.flaws)
