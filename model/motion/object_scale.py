"""How large the objects of a video are, told from what moves in it.

What counts is how many moving pixels a size explains and not how many pieces have it: legs, heads
and birds are many and small, and must not outvote the people.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.motion.motion_options import Motion
from model.motion.pieces import LEAST_OBJECTS, Piece

Line = tuple[float, float]
"""(slope, intercept) of the height over the row of the feet, in pixels."""

_AGREES = 0.25
"""Relative deviation within which a line explains a height."""

_NEAR = 0.1
"""Exponent of the height that a piece weighs: near ones are measured better, far ones count."""

_PAIRS = 600
_STEEPEST = 4.0  # of a camera half a metre above the ground
_FLATTEST = -0.1
_TALLER = 1.4
_WHOLE_SHARE = 0.4
"""Taller pieces that explain this share of what the best line does are the wholes of its parts."""

LEAST_SHARE = 0.125
"""How far below the preset's ``min_pixels`` the video may lower it."""
_MOST_SHARE = 3.0
_SMALLEST = (0.025, 0.1)
"""Between these shares of the typical object lies ``min_pixels``: far objects are small."""
_LARGEST = 4.0
"""``max_pixels`` is at least this many typical objects."""


def searched(motion: Motion) -> Motion:
    """Return the limits, in pixels, between which objects of any video are looked for."""
    if not motion.adapt:
        return motion
    return motion.model_copy(
        update={
            "min_pixels": max(20.0, LEAST_SHARE * motion.min_pixels),
            "max_pixels": _MOST_SHARE * motion.max_pixels,
        }
    )


def adapted(motion: Motion, pieces: Sequence[Piece]) -> Motion:
    """Return the preset's limits, in pixels, moved to the sizes that a video shows.

    Args:
        motion: The limits of the preset, from `Motion.for_picture`.
        pieces: Pieces in the shape of one object within `searched`.
    """
    if not motion.adapt or not pieces:
        return motion
    wide, typical = searched(motion), typical_pixels(pieces)
    least = min(max(motion.min_pixels, _SMALLEST[0] * typical), _SMALLEST[1] * typical)
    least = max(least, wide.min_pixels)
    most = min(max(_LARGEST * typical, motion.max_pixels), wide.max_pixels)
    return motion.model_copy(update={"min_pixels": least, "max_pixels": most})


def typical_pixels(pieces: Sequence[Piece]) -> float:
    """Return the area at which half of all pixels are in smaller pieces."""
    areas = np.sort([piece.pixels for piece in pieces]).astype(float)
    half = np.searchsorted(np.cumsum(areas), areas.sum() / 2)
    return float(areas[min(half, len(areas) - 1)])


def fit_perspective(pieces: Sequence[Piece]) -> Line | None:
    """Find height = slope * bottom + intercept that explains most moving pixels.

    Of two lines, one above the other, the upper one is taken even if it explains less, down to
    `_WHOLE_SHARE`: parts of objects are lower than objects, never taller.

    Returns:
        Slope and intercept; None where fewer than `LEAST_OBJECTS` pieces agree.
    """
    rest = _Sizes.of(pieces)
    chosen: Line | None = None
    explained = 0.0
    while len(rest.height) >= LEAST_OBJECTS:
        line = _best_line(rest)
        agreeing = rest.agreeing(line)
        own = float(rest.pixels[agreeing].sum())
        if agreeing.sum() < LEAST_OBJECTS or own < _WHOLE_SHARE * explained:
            break
        chosen, explained = line, own
        rest = rest.only(rest.height > _TALLER * rest.expected(line))
    return chosen


class _Sizes:
    """Rows of the feet, heights and pixels of P pieces."""

    def __init__(
        self, bottom: NDArray[np.float64], height: NDArray[np.float64], pixels: NDArray[np.float64]
    ) -> None:
        self.bottom, self.height, self.pixels = bottom, height, pixels

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "_Sizes":
        columns = ((float(p.bottom), float(p.height), float(p.pixels)) for p in pieces)
        return cls(*np.array(list(columns), float).reshape(-1, 3).T)

    def only(self, kept: NDArray[np.bool_]) -> "_Sizes":
        return _Sizes(self.bottom[kept], self.height[kept], self.pixels[kept])

    def expected(self, line: Line) -> NDArray[np.float64]:
        return np.maximum(line[0] * self.bottom + line[1], 1.0)

    def agreeing(self, line: Line) -> NDArray[np.bool_]:
        close: NDArray[np.bool_] = np.abs(self.height / self.expected(line) - 1) < _AGREES
        return close


def _best_line(sizes: _Sizes) -> Line:
    """Try lines through pairs of pieces and level ones (Fischler and Bolles 1981), and refine."""
    random = np.random.default_rng(0)
    shares = sizes.pixels / sizes.pixels.sum()
    first, second = random.choice(len(shares), (2, _PAIRS), p=shares)
    run = sizes.bottom[first] - sizes.bottom[second]
    apart = np.abs(run) >= 4
    slopes = (sizes.height[first] - sizes.height[second])[apart] / run[apart]
    lines = [
        (float(slope), float(sizes.height[k] - slope * sizes.bottom[k]))
        for slope, k in zip(slopes, first[apart], strict=True)
        if _FLATTEST <= slope <= _STEEPEST
    ]
    lines += [(0.0, float(height)) for height in np.unique(sizes.height[first])]
    best = max(lines, key=lambda line: float(sizes.pixels[sizes.agreeing(line)].sum()))
    for _ in range(5):
        best = _refined(sizes.only(sizes.agreeing(best)), best)
    return best


def _refined(sizes: _Sizes, line: Line) -> Line:
    """Fit a line to pieces that agree with one."""
    if np.ptp(sizes.bottom) < 4:  # all walk along one line: it says nothing about others
        return 0.0, float(np.median(sizes.height))
    slope, intercept = np.polyfit(sizes.bottom, sizes.height, 1, w=sizes.height**_NEAR)
    if not _FLATTEST <= slope <= _STEEPEST:
        return line
    return float(slope), float(intercept)
