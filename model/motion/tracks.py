"""How many different objects the labels of a video show: labels linked from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from model.motion.pieces import Piece

_MISSED = 15
"""Frames after which an object that is not labelled any more is another one, at most."""
_MISSED_SECONDS = 2.0
_STEP = (0.75, 0.15)
"""How far an object moves from one frame to the next, and more in each one missed, in heights."""
_GROWTH = 1.4
_LINKED_SHARE = 0.5


@dataclass
class Tracks:
    """Counts objects that come, walk and go; told of the labels frame by frame.

    Attributes:
        interval: Seconds from one frame to the next; 0 if unknown.
    """

    interval: float = 0.0
    _open: list["_Track"] = field(default_factory=list)
    _long: int = 0
    _labels: int = 0
    _single: int = 0

    def add(self, index: int, pieces: Sequence[Piece]) -> None:
        """Link the labels of frame ``index``, each to the nearest object that is not taken."""
        most = (
            min(_MISSED, max(1, round(_MISSED_SECONDS / self.interval)))
            if self.interval
            else _MISSED
        )
        self._open = [track for track in self._open if index - track.index <= most]
        self._labels += len(pieces)
        pairs = sorted(
            (distance, p, t)
            for p, piece in enumerate(pieces)
            for t, track in enumerate(self._open)
            if (distance := track.distance(index, piece)) is not None
        )
        pieces_left, tracks_left = set(range(len(pieces))), set(range(len(self._open)))
        for _, p, t in pairs:
            if p in pieces_left and t in tracks_left:
                pieces_left.remove(p)
                tracks_left.remove(t)
                if self._open[t].labels == 1:
                    self._long += 1
                    self._single -= 1
                self._open[t].follow(index, pieces[p])
        self._single += len(pieces_left)
        self._open += [_Track(index, pieces[p]) for p in sorted(pieces_left)]

    def count(self) -> int | None:
        """Return how many objects were seen twice or more; None where frames are too far apart."""
        if self._labels and self._single > _LINKED_SHARE * self._labels:
            return None
        return self._long


@dataclass
class _Track:
    index: int
    last: Piece
    labels: int = 1

    def distance(self, index: int, piece: Piece) -> float | None:
        """Return how far a label lies from the last one, in heights; None where it is another's."""
        tall, low = max(piece.height, self.last.height), min(piece.height, self.last.height)
        across = piece.left + piece.width / 2 - self.last.left - self.last.width / 2
        distance = (across**2 + (piece.bottom - self.last.bottom) ** 2) ** 0.5 / tall
        near = distance <= _STEP[0] + _STEP[1] * (index - self.index - 1)
        return distance if near and tall <= _GROWTH * low else None

    def follow(self, index: int, piece: Piece) -> None:
        self.index, self.last, self.labels = index, piece, self.labels + 1
