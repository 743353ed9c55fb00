"""What is wrong with single objects of a picture that is good otherwise.

A reader mends what it can (clips an outline), turns what it cannot use into an ignored region (as
background it would teach that the object is not there), and says so with one `Flaw` per object in
`Labelled.flaws`. What makes a whole picture useless stays a `BrokenSampleError`.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class FlawKind(Enum):
    """What is wrong with an object, and what became of it.

    Attributes:
        text: What is told, before ": 3 objects".
        lost: Whether the object became an ignored region because it could not be used.
    """

    CLIPPED = ("outline beyond the picture's edge, clipped", False)
    PART_DROPPED = ("part of fewer than three corners, left out", False)
    NO_AREA = ("no area in the file, counted from the outline", False)
    CROWD = ("marked as a crowd, ignored", False)
    COVERED = ("covered by others completely, not drawn", False)
    SLIVER = ("outline of fewer than three corners, ignored", True)
    BOX = ("box without an outline, ignored", True)
    EMPTY = ("outline without a pixel, ignored", True)
    UNKNOWN_CLASS = ("class that the data set does not name, ignored", True)
    UNREADABLE = ("outline that cannot be read, ignored", True)
    NO_OUTLINE = ("point or line without an outline, left out", True)
    CONTRADICTION = ("class and instance contradict each other, ignored", True)
    PIECES = (
        "map of a single number in several pieces, taken for one object (a mask of many? "
        '"connected": true in dataset.json makes each piece an object)',
        False,
    )
    TRIMMED = ("of several classes, one of which is not learned: only the rest is kept", False)
    TURNED = ("in a picture that EXIF turns, outline taken as drawn on the turned one", False)

    def __init__(self, text: str, lost: bool) -> None:
        self.text = text
        self.lost = lost


class Flaw(NamedTuple):
    """One object that is not as it should be.

    Attributes:
        kind: What is wrong with it.
        where: Where to find it in its file, such as ``annotation 12`` or ``line 3``.
    """

    kind: FlawKind
    where: str


def describe_flaws(found: Iterable[tuple[str, Flaw]]) -> list[str]:
    """Return one sentence per kind with its count and its first example, in the kinds' order.

    Args:
        found: Name of the picture and the flaw, for every flaw of every picture.
    """
    by_kind: dict[FlawKind, list[str]] = {}
    for picture, flaw in found:
        by_kind.setdefault(flaw.kind, []).append(f"{picture}, {flaw.where}")
    return [
        f"{kind.text}: {len(places)} object{'s'[: len(places) > 1]} (first: {places[0]})"
        for kind in FlawKind
        if (places := by_kind.get(kind))
    ]
