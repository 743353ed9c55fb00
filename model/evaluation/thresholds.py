"""Which thresholds a sweep tries, their figures, and the choice between them.

Sizes follow the model's input: an input of twice the side shows an object with four times the
pixels, but also shows objects that a smaller one does not, so the sizes tried grow with the side.
They follow the objects, too: where all are large, only a size close to theirs drops false pieces.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.evaluation.figures import Figures, Values
from model.evaluation.predict import Cell
from model.evaluation.ranking import MAIN, Metric
from segmentation.cluster import FOREGROUND_THRESHOLD

F1 = "f1_at_iou_0.5"

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975)
"""Seed thresholds tried; pixels with a seed score below 0.5 belong to no instance anyway."""

_SHARES = (1 / 48, 1 / 24, 1 / 12, 1 / 6, 1 / 3)
"""Sizes tried, in pixels per pixel of the input's side (the root of its area)."""

_SMALL_OBJECTS, _OBJECT_SHARES = 0.05, (1 / 4, 1 / 2, 3 / 4)
"""Sizes tried, as shares of the area that this quantile of the labelled objects has."""

_ALIKE = 1.25
"""Sizes of objects within this factor of one that is tried anyway are not tried as well."""

NO_AREAS: NDArray[np.float64] = np.zeros(0)

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Tried:
    """What a sweep is to try.

    Attributes:
        thresholds: Seed thresholds, 0.5..1; None takes `THRESHOLDS`.
        min_pixels: Sizes, in pixels of the model's input; None takes `sizes`.
    """

    thresholds: Sequence[float] | None = None
    min_pixels: Sequence[int] | None = None


def sizes(artifact: Artifact, areas: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the smallest sizes of an instance that are tried, in pixels of the input.

    The artifact's own is one of them. An input of 384x384 tries 8, 16, 32, 64 and 128; one of
    1024x2048 tries 30, 60, 121, 241 and 483. Objects of which 5 % have fewer than 2,000 pixels add
    500, 1000 and 1500.

    Args:
        artifact: Its own size and its input count.
        areas: float (I,), areas of the labelled objects in pixels of the input.
    """
    side = math.sqrt(artifact.height * artifact.width)
    found = {artifact.min_pixels, *(max(1, round(side * s)) for s in _SHARES)}
    small = float(np.quantile(areas, _SMALL_OBJECTS)) if len(areas) else 0.0
    for share in _OBJECT_SHARES:
        size = max(1, round(share * small))
        if len(areas) and all(max(size, each) > _ALIKE * min(size, each) for each in found):
            found.add(size)
    return tuple(sorted(found))


def grid(artifact: Artifact, tried: Tried, areas: NDArray[np.float64] = NO_AREAS) -> list[Cell]:
    """Return what a sweep tries; what the artifact ships with is always among it.

    Args:
        artifact: Its thresholds and input size count.
        tried: What is asked for.
        areas: float (I,), areas of the labelled objects in pixels of the input, where known.

    Raises:
        ConfigurationError: A value is out of its range; all are named.
    """
    thresholds = THRESHOLDS if tried.thresholds is None else tried.thresholds
    min_pixels = sizes(artifact, areas) if tried.min_pixels is None else tried.min_pixels
    area = artifact.height * artifact.width
    faults = [
        f"a seed threshold is {t:g}, expected {FOREGROUND_THRESHOLD:g}..1: pixels with a lower "
        "seed score are background"
        for t in thresholds
        if not FOREGROUND_THRESHOLD <= t <= 1
    ]
    faults += [
        f"a minimum size is {m}, expected 1..{area} pixels of the model's input "
        f"{artifact.height}x{artifact.width}"
        for m in min_pixels
        if not 1 <= m <= area
    ]
    if faults:
        raise ConfigurationError(faults)
    own = Cell.of(artifact)
    scores = {*thresholds, artifact.seed_threshold, own.threshold}
    return [Cell(t, m) for m in sorted({*min_pixels, own.min_pixels}) for t in sorted(scores)]


def parse_numbers(
    text: str | None, kind: Callable[[str], Number], flag: str
) -> list[Number] | None:
    """Return the numbers of a text like ``0.5,0.7``; None for None.

    Raises:
        ConfigurationError: It holds something else, nan and inf included.
    """
    if text is None:
        return None
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise ConfigurationError(
            f"{flag} is {text!r}, expected {what} with commas between"
        ) from error
    if not all(map(math.isfinite, numbers)):
        raise ConfigurationError(f"{flag} is {text!r}, expected finite numbers")
    return numbers


@dataclass(frozen=True)
class Row:
    """Figures of one threshold and smallest size.

    Attributes:
        cell: The threshold and the size.
        counted: Recall, precision and their kin of what it reports.
        measured: The metric's figures.
    """

    cell: Cell
    counted: Figures
    measured: Figures


@dataclass(frozen=True)
class Setting:
    """Thresholds of an artifact and its figures with them.

    A metric that ranks instances by their score looks at all of them, from the seed threshold on;
    recall, precision and their kin at those that are reported, from the score threshold on.

    Attributes:
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        score_threshold: Lowest instance score that is reported, 0..1.
        min_pixels: Smallest instance, in pixels of the model's input.
        figures: The metric's and the counted figures.
    """

    seed_threshold: float
    score_threshold: float
    min_pixels: int
    figures: Figures

    @property
    def reported(self) -> Cell:
        """What the clustering runs with by default."""
        return Cell(max(self.seed_threshold, self.score_threshold), self.min_pixels)

    def accuracy(self) -> Values:
        """Return the figures that an artifact carries, rounded."""
        return {name: round(value, 4) for name, value in self.figures.overall.items()}


def as_shipped(
    rows: Sequence[Row], artifact: Artifact, score: float | None, *, ranked: bool
) -> Setting:
    """Return the artifact's own thresholds, or those with another score threshold."""
    by_cell = {row.cell: row for row in rows}
    reported = by_cell[Cell.of(artifact, score)]
    every = by_cell[Cell(artifact.seed_threshold, artifact.min_pixels)] if ranked else reported
    return Setting(
        artifact.seed_threshold,
        artifact.score_threshold if score is None else score,
        artifact.min_pixels,
        every.measured.joined(reported.counted),
    )


def choose(rows: Sequence[Row], metric: Metric, artifact: Artifact) -> Setting:
    """Return the best thresholds: by the metric's main figure, then by F1.

    Of equal ones it takes those nearest to the artifact's own, which its recipe was written with:
    few pictures leave many equal, and the ends of what was tried are the least likely to hold on
    others. Where all are equal (`is_flat`) the artifact's own stay as they are.

    Where instances are ranked, the metric says from which seed score on they are of use; which of
    them are then reported by default is decided by F1.
    """
    ranked = metric != "average-precision"
    if is_flat(rows, metric):
        return as_shipped(rows, artifact, None, ranked=ranked)
    own = Cell.of(artifact)
    started = own._replace(threshold=artifact.seed_threshold) if ranked else own
    best = max(rows, key=lambda row: (*_merit(row, metric), *closeness(row.cell, started)))
    reported = best
    if ranked:
        alike = [
            row
            for row in rows
            if row.cell.min_pixels == best.cell.min_pixels
            and row.cell.threshold >= best.cell.threshold
        ]
        reported = max(alike, key=lambda row: (_f1(row), *closeness(row.cell, own)))
    return Setting(
        best.cell.threshold,
        reported.cell.threshold,
        best.cell.min_pixels,
        best.measured.joined(reported.counted),
    )


def is_flat(rows: Sequence[Row], metric: Metric) -> bool:
    """Whether all that was tried is equally good, so that there is nothing to choose by."""
    return len({_merit(row, metric) for row in rows}) == 1


def closeness(cell: Cell, own: Cell) -> tuple[float, float, Cell]:
    """Return a key that is highest for the cell nearest to ``own``: threshold first, then size."""
    further = max(cell.min_pixels, own.min_pixels) / min(cell.min_pixels, own.min_pixels)
    return -round(abs(cell.threshold - own.threshold), 6), -further, cell


def _merit(row: Row, metric: Metric) -> tuple[float, ...]:
    return (*(row.measured.overall.get(name, 0.0) for name in MAIN[metric]), _f1(row))


def _f1(row: Row) -> float:
    return row.counted.overall.get(F1, 0.0)
