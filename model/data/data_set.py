"""One interface for labelled pictures, whatever their layout on disk.

A data set is read one picture at a time, so its size is bounded by the disk and not by memory.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError, SeedstreamError
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, IGNORED, Labelled, TrueShape

Split = Literal["train", "validation", "all"]
"""``all`` is both parts together."""

VALIDATION_SHARE = 0.15
"""Share of the pictures that validate where the layout has no split of its own, 0..1."""

_FINGERPRINT_BYTES = 1 << 16


class BrokenSampleError(SeedstreamError):
    """One picture of a data set cannot be used.

    Attributes:
        path: The file at fault.
        reason: What was seen and what was expected.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:  # it comes back from loading processes
        return type(self), (self.path, self.reason)


class DataSet(ABC):
    """Labelled pictures in a fixed order.

    Attributes:
        root: Folder (or annotation file) that it was opened from.
        classes: Class names; label ``k`` of a picture is ``classes[k - 1]``.
        names: One stable name per picture, unique within the data set: its image's path below the
            root of the images, with ``/`` between folders and without the ending.
    """

    root: Path
    classes: tuple[str, ...]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Labelled]:
        return (self.read(index) for index in range(len(self)))

    def __getitem__(self, index: int) -> Labelled:
        return self.read(index)

    @abstractmethod
    def read(self, index: int) -> Labelled:
        """Read picture ``index``, 0..len - 1, in its own size.

        Raises:
            BrokenSampleError: A file is missing, does not decode, or its labels do not fit.
        """

    @abstractmethod
    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files that picture ``index`` is read from, the image first."""

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return what is wrong beyond any one picture, such as labels whose picture is missing."""
        return ()

    def notes(self) -> Sequence[str]:
        """Return what was assumed where the files do not say it, one sentence each."""
        return ()

    def warnings(self) -> Sequence[str]:
        """Return what whoever made the labels warns of, one sentence each."""
        return ()

    def true_shapes(self, index: int) -> Sequence[TrueShape] | None:
        """Return the annotations of picture ``index``; None where the layout has only pixels.

        Raises:
            BrokenSampleError: As `read`.
        """
        return None


def read_sample(data: DataSet, index: int) -> Labelled:
    """Read a picture; a file that is closed, or goes while it is read, is its picture's fault.

    Raises:
        BrokenSampleError: As `DataSet.read`.
    """
    try:
        return data.read(index)
    except OSError as error:
        path = Path(error.filename) if isinstance(error.filename, str) else data.root
        raise BrokenSampleError(path, f"cannot be read: {error.strerror or error}") from error


class Subset(DataSet):
    """Some pictures of a data set, in the given order."""

    def __init__(self, whole: DataSet, indices: Sequence[int]) -> None:
        self.root, self.classes = whole.root, whole.classes
        self.names = tuple(whole.names[index] for index in indices)
        self._whole, self._indices = whole, tuple(indices)

    def read(self, index: int) -> Labelled:
        """Read picture ``index`` of the subset."""
        return self._whole.read(self._indices[index])

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files of picture ``index`` of the subset."""
        return self._whole.files(self._indices[index])

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
        """Return the annotations of picture ``index`` of the subset."""
        return self._whole.true_shapes(self._indices[index])


def _trimmed(picture: Labelled, kept: NDArray[np.bool_]) -> list[Flaw]:
    """Return the objects of which only the pixels ``kept`` remain objects."""
    cut = np.unique(picture.instances[~kept & (picture.labels != IGNORE)])
    cut = cut[cut > 0]
    if not cut.size:
        return []
    rest = np.unique(picture.instances[kept])
    both = np.intersect1d(cut, rest, assume_unique=True).tolist()
    return [Flaw(FlawKind.TRIMMED, f"object {number}") for number in both]


class Renamed(DataSet):
    """A data set seen with other classes.

    Args:
        whole: The data set.
        classes: The new class names.
        mapping: New class name, or ``ignore``, by old class name; a class that is not named keeps
            its own name where that is one of ``classes`` and is background otherwise.

    Raises:
        ConfigurationError: ``mapping`` names a class that there is not.
    """

    def __init__(
        self, whole: DataSet, classes: Sequence[str], mapping: Mapping[str, str] | None = None
    ) -> None:
        mapping = mapping or {}
        faults = [
            f"{whole.root}: has no class {old!r}, expected one of {list(whole.classes)}"
            for old in mapping
            if old not in whole.classes
        ]
        faults += [
            f"class {old!r} becomes {new!r}, expected {IGNORED!r} or one of {list(classes)}"
            for old, new in mapping.items()
            if new != IGNORED and new not in classes
        ]
        if faults:
            raise ConfigurationError(faults)
        self.root, self.classes, self.names = whole.root, tuple(classes), whole.names
        self._whole = whole
        named = {old: mapping.get(old, old) for old in whole.classes}
        self._becomes = {o: new for o, new in named.items() if new in (IGNORED, *classes)}
        self._becomes.setdefault(IGNORED, IGNORED)  # regions whose class nobody knows
        labels = {name: k for k, name in enumerate(classes, start=1)} | {IGNORED: IGNORE}
        self._table = np.zeros(256, np.uint8)
        self._table[IGNORE] = IGNORE
        for label, old in enumerate(whole.classes, start=1):
            self._table[label] = labels[self._becomes[old]] if old in self._becomes else 0

    def read(self, index: int) -> Labelled:
        """Read picture ``index`` with the new labels."""
        picture = self._whole.read(index)
        labels = self._table[picture.labels]
        # An instance without a class keeps its number, or nobody would see the contradiction.
        kept = ((labels != 0) & (labels != IGNORE)) | (picture.labels == 0)
        instances = np.where(kept, picture.instances, 0)
        flaws = (*picture.flaws, *_trimmed(picture, kept))
        return Labelled(picture.image, instances, labels, flaws)

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
        """Return the annotations of picture ``index`` with the new classes."""
        shapes = self._whole.true_shapes(index)
        return (
            shapes
            if shapes is None
            else [
                shape._replace(class_name=new, crowd=shape.crowd or new == IGNORED)
                for shape in shapes
                if (new := self._becomes.get(shape.class_name)) is not None
            ]
        )


class Joined(DataSet):
    """Data sets of the same classes, one after the other."""

    def __init__(self, parts: Sequence[DataSet]) -> None:
        self.root, self.classes = parts[0].root, parts[0].classes
        self.names = tuple(name for part in parts for name in part.names)
        self._parts = tuple(parts)
        self._places = [(part, index) for part in parts for index in range(len(part))]

    def read(self, index: int) -> Labelled:
        """Read picture ``index`` of all."""
        part, own = self._places[index]
        return part.read(own)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files that picture ``index`` of all is read from."""
        part, own = self._places[index]
        return part.files(own)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return what is wrong with the parts."""
        return [fault for part in self._parts for fault in part.orphans()]

    def notes(self) -> Sequence[str]:
        """Return what was assumed of the parts."""
        return [note for part in self._parts for note in part.notes()]

    def warnings(self) -> Sequence[str]:
        """Return what whoever made the labels of the parts warns of."""
        return [text for part in self._parts for text in part.warnings()]

    def true_shapes(self, index: int) -> Sequence[TrueShape] | None:
        """Return the annotations of picture ``index`` of all."""
        part, own = self._places[index]
        return part.true_shapes(own)


def spread(count: int, most: int | None) -> list[int]:
    """Return at most ``most`` of the numbers 0..count - 1, evenly spread; None takes all."""
    chosen = count if most is None else min(count, most)
    return [int(number) for number in np.linspace(0, count - 1, chosen)]


def split_by_name(whole: DataSet, split: Split, share: float = VALIDATION_SHARE) -> DataSet:
    """Return a part of a data set that has no split of its own.

    A picture's part depends on the sha256 of its file's name alone (without folder and ending), so
    that it stays where it is when pictures are added, copied or removed.

    Args:
        whole: The data set.
        split: Which part.
        share: Share of the pictures that validate, 0..1.
    """
    if split == "all":
        return whole
    wanted = split == "validation"
    indices = [i for i, name in enumerate(whole.names) if _validates(name, share) == wanted]
    return Subset(whole, indices)


def _validates(name: str, share: float) -> bool:
    digest = hashlib.sha256(name.rpartition("/")[2].encode()).hexdigest()
    return int(digest, 16) % 10_000 < round(share * 10_000)


def fingerprint(data: DataSet) -> str:
    """Return a sha256 over names, sizes and the first 64 KiB of all files.

    The same data give the same text. Of large files only the beginning is read: a data set of
    thousands of photographs is told in seconds, and a file that changes rarely keeps its size. A
    file that several pictures share counts once, one that is missing as missing.
    """
    digest = hashlib.sha256("\n".join(data.classes).encode())
    shared: set[Path] = set()
    for index, name in enumerate(data.names):
        digest.update(f"\n{name}".encode())
        for path in data.files(index):
            if path in shared:
                continue
            shared.add(path)
            if not path.is_file():
                digest.update(b" missing ")
                continue
            digest.update(f" {path.stat().st_size} ".encode())
            with path.open("rb") as file:
                digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()
