"""Whether labels made from motion can be believed: what they leave out, cut off, and rest on.

Labels of trousers agree with each other, and a network that learned them is right by them. What
tells is the rest of the picture: most of what moves is not labelled, or something moves above
nearly every label.

Legend: H, W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.data.labels import Image
from model.motion.fixed_camera import Camera, Labels
from model.motion.motion_options import Motion
from model.motion.pieces import Piece
from model.motion.tracks import Tracks

REFUSED_EXPLAINED, DOUBTED_EXPLAINED = 0.05, 0.2
"""Least share of the moving pixels that labels must, and should, explain."""

REFUSED_PARTS, DOUBTED_PARTS = 0.5, 0.25
"""Most labels, as a share, that may be, and should be, parts of larger objects."""

REFUSED_SECONDS, DOUBTED_SECONDS = 5.0, 20.0
REFUSED_TRACKS, DOUBTED_TRACKS = 2, 5
DOUBTED_OBJECTS = 50

_FAINT = 2.0
"""More than this many times its usual noise says that something is there, however faint."""
_BEYOND = 0.4
"""How far above and below an object its missing part is looked for, in heights of the label."""
_GAP = 3.0  # pixels of 576 rows: the coding's noise around an edge
_HEAD = 0.12
_FLAT = 0.75
_LEAST_LABELS = 10


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the labels of one video.

    Attributes:
        explained: Share of all moving pixels that is labelled, 0..1.
        more_above: Share of the labels with something that moves right above them, 0..1; None where
            too few have a place above them.
        more_below: The same below them.
        flat: Share of the labels that are as wide at the top as anywhere, 0..1; None where such are
            expected.
        objects: Labels, counted in every frame.
        tracks: Different objects; None where the frames are too far apart to tell.
        seconds: Length of the video that was used; 0 if unknown.
    """

    explained: float
    more_above: float | None
    more_below: float | None
    flat: float | None
    objects: int
    tracks: int | None
    seconds: float

    def faults(self) -> list[str]:
        """Return why the labels should not be used, one sentence each."""
        return self._beyond(
            REFUSED_EXPLAINED, REFUSED_PARTS, REFUSED_SECONDS, REFUSED_TRACKS, objects=0
        )

    def doubts(self) -> list[str]:
        """Return what makes the labels doubtful, one sentence each; all that `faults` says too."""
        return self._beyond(
            DOUBTED_EXPLAINED, DOUBTED_PARTS, DOUBTED_SECONDS, DOUBTED_TRACKS, DOUBTED_OBJECTS
        )

    def _beyond(
        self, explained: float, parts: float, seconds: float, tracks: int, objects: int
    ) -> list[str]:
        shares = (
            (self.more_above, "have something moving right above them (only legs?)"),
            (self.more_below, "have something moving right below them (only heads or bodies?)"),
            (self.flat, "are as wide at the top as anywhere, without a head (only legs?)"),
        )
        said = [
            f"{share:.0%} of the labels {what}, expected at most {parts:.0%}"
            for share, what in shares
            if share is not None and share > parts
        ]
        if self.explained < explained:
            said.insert(
                0,
                f"the labels explain {self.explained:.0%} of what moves, expected at least "
                f"{explained:.0%}",
            )
        if 0 < self.seconds < seconds - 0.05:  # a frame more or less
            said.append(f"{self.seconds:.0f} seconds of video, expected at least {seconds:.0f}")
        if self.tracks is not None and self.tracks < tracks:
            said.append(f"{self.tracks} different objects, expected at least {tracks}")
        if self.objects < objects:
            said.append(f"{self.objects} labels in all frames, expected at least {objects}")
        return said


@dataclass
class Witness:
    """Collects evidence while a video is labelled.

    Attributes:
        camera: What labels it.
        frames: Number of frames, with those left out.
        seconds: How long they last; 0 if unknown.
    """

    camera: Camera
    frames: int
    seconds: float
    _moving: int = 0
    _labelled: int = 0
    _objects: int = 0
    _above: list[bool] = field(default_factory=list)
    _below: list[bool] = field(default_factory=list)
    _flat: list[bool] = field(default_factory=list)
    _tracks: Tracks = field(init=False)

    def __post_init__(self) -> None:
        self._tracks = Tracks(self.seconds / self.frames)

    def add(self, index: int, labels: Labels) -> None:
        """Take the labels of frame ``index`` in."""
        self._moving += labels.moving
        self._labelled += sum(piece.pixels for piece in labels.good)
        self._objects += labels.objects
        self._tracks.add(index, labels.good)
        self._flat += [is_flat(piece) for piece in labels.good]

    def look_closely(self, frame: Image, labels: Labels) -> None:
        """Look for more of each object beyond its label; some frames of a video are enough."""
        if not labels.good:
            return
        background = self.camera.background
        noise = np.maximum(background.noise, np.float32(1))
        traces = np.asarray(background.difference(frame).distance / noise, np.float32)
        for piece in labels.good:
            above, below = goes_on(piece, traces)
            self._above += [] if above is None else [above]
            self._below += [] if below is None else [below]

    def evidence(self) -> Evidence:
        """Return what was collected."""
        return Evidence(
            explained=self._labelled / max(self._moving, 1),
            more_above=_share(self._above),
            more_below=_share(self._below) if self._has_heads else None,
            flat=_share(self._flat) if self._has_heads else None,
            objects=self._objects,
            tracks=self._tracks.count(),
            seconds=self.seconds,
        )

    @property
    def _has_heads(self) -> bool:
        """Whether objects are people in the shape of people; shadows lie below other things."""
        options = self.camera.options
        narrow = options.motion.shoulders <= Motion().shoulders
        return options.preset == "person" and narrow


def is_flat(piece: Piece) -> bool:
    """Tell whether a piece is as wide at its top as anywhere."""
    widths = piece.mask.sum(axis=1)
    head = widths[: max(1, round(_HEAD * piece.height))]
    return bool(np.median(head) >= _FLAT * widths.max())


def goes_on(piece: Piece, traces: NDArray[np.float32]) -> tuple[bool | None, bool | None]:
    """Tell whether something moves right above, and right below, a piece.

    Args:
        piece: A labelled piece.
        traces: (H, W) difference from the background, relative to each pixel's own noise.

    Returns:
        Above and below; None where that place is not in the picture.
    """
    gap = round(max(2.0, _GAP * len(traces) / 576))
    reach = max(2, round(_BEYOND * piece.height))
    return (
        _is_there(traces, piece, piece.top - gap - reach, reach),
        _is_there(traces, piece, piece.bottom + gap, reach),
    )


def _is_there(traces: NDArray[np.float32], piece: Piece, first: int, rows: int) -> bool | None:
    if first < 0 or first + rows > len(traces):
        return None
    place = traces[first : first + rows, piece.left : piece.left + piece.width]
    return bool(np.median(place) > _FAINT)


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if len(found) >= _LEAST_LABELS else None
