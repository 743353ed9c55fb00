"""The objects of one picture as arrays: what the segmenter returns and everything after it shares.

Pure: no input or output. Shape letters: I instances; H, W the picture; h, w one instance's box.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contract.errors import InvalidMessageError
from contract.mask import RunLengths, decode_mask, encode_mask
from contract.result import Instance, Result

Box = tuple[int, int, int, int]
"""(x, y, width, height) in pixels."""

_MAX_NUMBER = 1 << 53
"""Largest whole number that every reader of JSON has."""


class Identity(NamedTuple):
    """Who an instance is.

    Attributes:
        track: Number of the object, never used again for this camera.
        age_seconds: Seconds since the object was first seen.
        velocity: [x, y] in pixels of the captured frame a second.
        confirmed: Whether the object was seen often enough not to be a false find.
    """

    track: int
    age_seconds: float
    velocity: tuple[float, float]
    confirmed: bool


class Mask(Protocol):
    """One instance's mask, decoded or encoded only when it is asked for."""

    @property
    def box(self) -> Box:
        """The instance's box."""
        ...

    @property
    def array(self) -> NDArray[np.bool_]:
        """The mask inside its box: bool (h, w)."""
        ...

    @property
    def run_lengths(self) -> RunLengths:
        """The mask over the whole picture, as documents carry it."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMask:
    """A mask as large as its box; the picture's map that it was cut from need not stay.

    Attributes:
        array: bool (h, w).
        box: Its box.
        size: (H, W) of the picture.
    """

    array: NDArray[np.bool_]
    box: Box
    size: tuple[int, int]

    @classmethod
    def cut(cls, instance_map: NDArray[np.int32], number: int, box: Box) -> "ArrayMask":
        """Return the pixels of a number in an instance map (H, W)."""
        x, y, width, height = box
        rows, columns = instance_map.shape
        array = np.equal(instance_map[y : y + height, x : x + width], number)
        return cls(array, box, (rows, columns))

    @cached_property
    def run_lengths(self) -> RunLengths:
        """The mask over the whole picture, as documents carry it."""
        return encode_mask(self.array, self.size, self.box[:2])


@dataclass(frozen=True, eq=False)
class FoundMask:
    """A mask that was cut out and encoded with the others of its picture, in one memory with them.

    Attributes:
        array: bool (h, w).
        run_lengths: Over the whole picture.
        box: Its box.
    """

    array: NDArray[np.bool_]
    run_lengths: RunLengths
    box: Box


@dataclass(frozen=True, eq=False)
class EncodedMask:
    """A mask that came in a document.

    Attributes:
        run_lengths: Over the whole picture.
        box: The instance's box.
    """

    run_lengths: RunLengths
    box: Box

    @cached_property
    def array(self) -> NDArray[np.bool_]:
        """The mask inside its box: bool (h, w).

        Raises:
            InvalidMessageError: ``malformed_mask``.
        """
        return decode_mask(self.run_lengths, self.box)


@dataclass(frozen=True, eq=False)
class Instances:
    """The instances of one picture, in its pixels; masks of one picture do not overlap.

    ``instances[k]`` with an index array, a boolean array or a slice is a selection; `len`, `bool`
    and iteration over the masks work as for a list.

    Attributes:
        size: (H, W) of the picture.
        class_names: Names that ``classes`` indexes.
        ids: int (I,), number of each instance within its picture, from 1.
        classes: int (I,), index of each instance's class.
        scores: float (I,), 0..1.
        boxes: int (I, 4), x, y, width, height of the tight box.
        centers: float (I, 2), x, y of the mask's centroid.
        areas: int (I,), mask pixels.
        masks: I masks, decoded when asked for.
        identities: Who each instance is; None where nobody tracked them.

    Raises:
        ValueError: The lengths differ or a class index has no name.
    """

    size: tuple[int, int]
    class_names: tuple[str, ...]
    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.int64]
    centers: NDArray[np.float64]
    areas: NDArray[np.int64]
    masks: tuple[Mask, ...]
    identities: tuple[Identity, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.masks)
        expected = {"ids": (n,), "classes": (n,), "scores": (n,), "boxes": (n, 4)}
        expected |= {"centers": (n, 2), "areas": (n,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, expected {shape}: one row for "
                    f"each of the {n} masks"
                )
        if self.identities is not None and len(self.identities) != n:
            raise ValueError(f"{len(self.identities)} identities, expected one for each of {n}")
        if n and not 0 <= self.classes.min() <= self.classes.max() < len(self.class_names):
            raise ValueError(
                f"class indices {self.classes.tolist()}, expected 0..{len(self.class_names) - 1}"
            )

    @classmethod
    def empty(cls, size: tuple[int, int], class_names: Sequence[str] = ()) -> "Instances":
        """Return no instances of a picture of (H, W) pixels."""
        return cls.of(size, class_names, [], [], [], [], [])

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        class_names: Sequence[str],
        classes: ArrayLike,
        scores: ArrayLike,
        centers: ArrayLike,
        areas: ArrayLike,
        masks: Sequence[Mask],
        ids: ArrayLike | None = None,
        identities: Sequence[Identity] | None = None,
    ) -> "Instances":
        """Return instances of plain sequences; ids count from 1 unless given."""
        n = len(masks)
        return cls(
            size=size,
            class_names=tuple(class_names),
            ids=np.arange(1, n + 1) if ids is None else np.asarray(ids, np.int64).reshape(n),
            classes=np.asarray(classes, np.int64).reshape(n),
            scores=np.asarray(scores, np.float64).reshape(n),
            boxes=np.array([mask.box for mask in masks], np.int64).reshape(n, 4),
            centers=np.asarray(centers, np.float64).reshape(n, 2),
            areas=np.asarray(areas, np.int64).reshape(n),
            masks=tuple(masks),
            identities=None if identities is None else tuple(identities),
        )

    @classmethod
    def from_result(cls, result: Result) -> "Instances":
        """Return what a result document holds; masks stay encoded until they are asked for.

        Raises:
            InvalidMessageError: See `from_documents`.
        """
        return cls.from_documents(result.instances, (result.height, result.width))

    @classmethod
    def from_documents(cls, documents: Sequence[Instance], size: tuple[int, int]) -> "Instances":
        """Return the instances of a picture of (H, W) pixels, as a document lists them.

        Raises:
            InvalidMessageError: ``malformed_mask`` or ``malformed_result``: a mask of a picture of
                another size, or a number that none has.
        """
        for each in documents:
            if tuple(each.mask["size"]) != size:
                raise InvalidMessageError(
                    "malformed_mask",
                    f"instance {each.id} has a mask of the size {each.mask['size']}, its picture "
                    f"is of {list(size)}",
                )
            if max(map(abs, (each.id, each.area, *each.box, each.track or 0))) > _MAX_NUMBER:
                raise InvalidMessageError(
                    "malformed_result", f"instance {each.id} has numbers beyond {_MAX_NUMBER}"
                )
        names = tuple(dict.fromkeys(each.class_name for each in documents))
        return cls.of(
            size,
            names,
            classes=[names.index(each.class_name) for each in documents],
            scores=[each.score for each in documents],
            centers=[each.center for each in documents],
            areas=[each.area for each in documents],
            masks=[EncodedMask(each.mask, each.box) for each in documents],
            ids=[each.id for each in documents],
            identities=_identities(documents),
        )

    def documents(self) -> list[Instance]:
        """Return the instances as a result document lists them, masks run-length encoded."""
        return [
            Instance(
                id=number,
                class_name=self.class_names[kind],
                score=round(score, 4),
                box=mask.box,
                center=(round(x, 2), round(y, 2)),
                area=area,
                mask=mask.run_lengths,
                track=who and who.track,
                age_seconds=who and round(who.age_seconds, 3),
                velocity=who and _rounded(who.velocity),
                confirmed=who and who.confirmed,
            )
            for number, kind, score, (x, y), area, mask, who in zip(
                self.ids.tolist(),
                self.classes.tolist(),
                self.scores.tolist(),
                self.centers.tolist(),
                self.areas.tolist(),
                self.masks,
                self.identities or [None] * len(self),
                strict=True,
            )
        ]

    def to_map(self) -> NDArray[np.int32]:
        """Draw the instances: int32 (H, W), 0 background, ``i + 1`` instance i.

        Raises:
            InvalidMessageError: ``malformed_mask``.
        """
        drawn = np.zeros(self.size, np.int32)
        for number, mask in enumerate(self.masks, start=1):
            x, y, width, height = mask.box
            drawn[y : y + height, x : x + width][mask.array] = number
        return drawn

    def tracked(self, identities: Sequence[Identity]) -> "Instances":
        """Return the same instances, with who each of them is."""
        return replace(self, identities=tuple(identities))

    def untracked(self) -> "Instances":
        """Return the same instances, without who they are."""
        return replace(self, identities=None)

    def of_class(self, name: str) -> "Instances":
        """Return the instances of one class."""
        return self[np.array([self.class_names[k] == name for k in self.classes], np.bool_)]

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[Mask]:
        return iter(self.masks)

    def __getitem__(self, chosen: slice | Sequence[int] | NDArray[np.generic]) -> "Instances":
        if not isinstance(chosen, slice):
            chosen = np.asarray(chosen) if len(chosen) else np.empty(0, np.intp)
        index = np.arange(len(self))[chosen]
        return Instances(
            self.size,
            self.class_names,
            self.ids[index],
            self.classes[index],
            self.scores[index],
            self.boxes[index],
            self.centers[index],
            self.areas[index],
            tuple(self.masks[k] for k in index.tolist()),
            None if self.identities is None else tuple(self.identities[k] for k in index.tolist()),
        )


def _rounded(velocity: tuple[float, float]) -> tuple[float, float]:
    x, y = velocity
    return round(x, 2) + 0.0, round(y, 2) + 0.0  # no -0.0


def _identities(documents: Sequence[Instance]) -> list[Identity] | None:
    """Return who the instances of a document are; None unless all of them were tracked."""
    found = [
        Identity(each.track, each.age_seconds or 0.0, each.velocity or (0, 0), bool(each.confirmed))
        for each in documents
        if each.track is not None
    ]
    return found if found and len(found) == len(documents) else None
