"""Thresholds that an artifact has or may have, their figures, and the choice between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from contract.artifact import Artifact
from model.evaluation.figures import Figures, Values
from model.evaluation.predict import Cell
from model.evaluation.ranking import MAIN, Metric

F1 = "f1_at_iou_0.5"


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


def choose(rows: Sequence[Row], metric: Metric) -> Setting:
    """Return the best thresholds: by the metric's main figure, then by F1, then the higher ones.

    Where instances are ranked, the metric says from which seed score on they are of use; which of
    them are then reported by default is decided by F1.
    """

    def key(row: Row) -> tuple[float, ...]:
        main = (row.measured.overall.get(name, 0.0) for name in MAIN[metric])
        return (*main, row.counted.overall[F1], *row.cell)

    best = reported = max(rows, key=key)
    if metric != "average-precision":
        alike = [
            row
            for row in rows
            if row.cell.min_pixels == best.cell.min_pixels
            and row.cell.threshold >= best.cell.threshold
        ]
        reported = max(alike, key=lambda row: (row.counted.overall[F1], *row.cell))
    return Setting(
        best.cell.threshold,
        reported.cell.threshold,
        best.cell.min_pixels,
        best.measured.joined(reported.counted),
    )
