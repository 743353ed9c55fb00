"""Evaluation of an exported artifact: boxes of its instances against true boxes of a video.

What runs is the file that ships, through the worker's own engine and clustering.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.artifact import Precision
from contract.artifact_files import find_model
from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from media.picture_files import UnreadableInputError
from media.video_frame import VideoFrame
from media.videos import Video
from model.evaluation.boxes import Boxes, match_boxes, read_boxes
from model.evaluation.predict import Cell, ManySegmenters
from model.evaluation.thresholds import Tried, closeness, grid
from segmentation.engines import PrecisionWanted, Provider, open_engine
from segmentation.engines.base import Engine
from segmentation.letterbox import Resize

SWEEP = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
"""Score thresholds that are tried."""


@dataclass(frozen=True)
class Scores:
    """How well the boxes of all frames agree at one score threshold.

    Attributes:
        threshold: Lowest instance score that counts, 0..1.
        matched: Predicted boxes that have a true box of their own.
        predicted: All predicted boxes.
        true: All true boxes.
        min_pixels: Smallest instance, in pixels of the model's input; 0 where it is the artifact's.
    """

    threshold: float
    matched: int
    predicted: int
    true: int
    min_pixels: int = 0

    @property
    def recall(self) -> float | None:
        """Share of the true boxes that were found, 0..1; None where there are none."""
        return self.matched / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        """Share of the predicted boxes that are right, 0..1; None where there are none."""
        return self.matched / self.predicted if self.predicted else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of recall and precision, 0..1; None where there are no boxes at all."""
        total = self.true + self.predicted
        return 2 * self.matched / total if total else None


@dataclass(frozen=True)
class Report:
    """Outcome of an evaluation.

    Attributes:
        first: First frame evaluated, counted from 1.
        last: Last frame evaluated.
        iou: Least intersection over union of a matched pair.
        chosen: Scores at the threshold asked for (the artifact's own by default).
        sweep: Scores at every threshold tried, ascending.
        grid: Scores at every threshold and every smallest size; empty where that was not asked for.
        own: What the artifact's clustering runs with.
        precision: That of the file that was run.
    """

    first: int
    last: int
    iou: float
    chosen: Scores
    sweep: tuple[Scores, ...]
    grid: tuple[Scores, ...] = ()
    own: Cell | None = None
    precision: Precision | None = None

    @property
    def best(self) -> Scores:
        """The scores of the grid with the highest F1, of equal ones those nearest to the own."""
        return max(self.grid, key=lambda scores: (scores.f1 or 0, *self._closeness(scores)))

    @property
    def flat(self) -> bool:
        """Whether the whole grid is equally good, so that there is nothing to choose by."""
        return len({scores.f1 for scores in self.grid}) == 1

    def _closeness(self, scores: Scores) -> tuple[float, float, Cell]:
        cell = Cell(scores.threshold, scores.min_pixels)
        return closeness(cell, self.own or cell)

    def accuracy(self, scores: Scores | None = None) -> dict[str, float]:
        """Return the figures that an artifact carries (`contract.artifact.Artifact.accuracy`).

        Args:
            scores: Those of the thresholds that it ships with; None takes the chosen ones.
        """
        scores = scores or self.chosen
        at = f"at_iou_{self.iou:g}"
        shares = {f"recall_{at}": scores.recall, f"precision_{at}": scores.precision}
        return {name: round(share, 4) for name, share in shares.items() if share is not None} | {
            "score_threshold": scores.threshold,
            "first_frame": float(self.first),
            "last_frame": float(self.last),
        }


class _Document(msgspec.Struct):
    """What `seedstream evaluate --out FOLDER` writes, as far as it is of use here."""

    accuracy: dict[str, float]


_documents = msgspec.json.Decoder(_Document)
_figures = msgspec.json.Decoder(dict[str, float])


def read_accuracy(path: Path) -> dict[str, float]:
    """Read the figures that an artifact is to carry, from JSON.

    Args:
        path: A file of figures, or the ``report.json`` of an evaluation.

    Raises:
        ConfigurationError: The file is missing or holds something else.
    """
    try:
        content = without_mark(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the accuracy: {error.strerror}") from error
    with contextlib.suppress(*JSON_ERRORS):
        return _documents.decode(content).accuracy
    try:
        return _figures.decode(content)
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: expected one JSON object of numbers, as `seedstream evaluate --out` writes "
            f"it: {error}"
        ) from error


def evaluate_boxes(
    artifact: Path,
    video: Path,
    boxes_csv: Path,
    first: int = 301,
    last: int = 400,
    score: float | None = None,
    *,
    class_name: str = "person",
    iou: float = 0.5,
    provider: Provider = "auto",
    precision: PrecisionWanted = "auto",
    resize: Resize = "letterbox",
    tried: Tried | None = None,
) -> Report:
    """Run an artifact over a video and compare its instances with true boxes.

    Args:
        artifact: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        video: Any file that PyAV reads.
        boxes_csv: True boxes of one class, see `model.evaluation.boxes.read_boxes`.
        first: First frame to evaluate, counted from 1.
        last: Last frame to evaluate, inclusive.
        score: Lowest instance score that counts, 0..1; None takes the artifact's default.
        class_name: The class that the true boxes show; other instances are left out.
        iou: Least intersection over union of a matched pair, 0..1.
        provider: Where to run, see `segmentation.engines.Provider`.
        precision: Which file of the artifact to measure; unless set, a sweep measures the first,
            whatever this machine would run.
        resize: How frames are fitted into the model's input.
        tried: Thresholds and smallest sizes to try with each other as well.

    Raises:
        ConfigurationError: A file is missing or malformed, the video is shorter than ``last``, or
            the artifact has no such class, or the true boxes do not cover the frames.
    """
    true = read_boxes(boxes_csv)
    check_covered(boxes_csv, true, first, last)
    if tried and not any(len(true.get(number, ())) for number in range(first, last + 1)):
        raise ConfigurationError(
            f"{boxes_csv}: no true box in the frames {first}..{last}: there is nothing to choose "
            "thresholds by; choose other frames"
        )
    measured = find_model(artifact) if tried is not None and precision == "auto" else artifact
    engine = open_engine(measured, provider, precision=precision)
    check_class(artifact, engine, class_name)
    chosen = engine.artifact.score_threshold if score is None else score
    lowest = engine.artifact.seed_threshold  # instances with lower scores do not exist
    thresholds = sorted({chosen, lowest, *(t for t in SWEEP if t > lowest)})
    cells = grid(engine.artifact, tried) if tried else []
    frames = read_frames(video, first, last)
    own = [Cell(max(t, lowest), engine.artifact.min_pixels) for t in thresholds]
    different = list(dict.fromkeys([*own, *cells]))  # each is clustered once for every frame
    scores = score_cells(engine, frames, true, different, class_name, iou, resize)
    by_cell = dict(zip(different, scores, strict=True))
    line = tuple(
        replace(by_cell[cell], threshold=t, min_pixels=0)
        for t, cell in zip(thresholds, own, strict=True)
    )
    tried_cells = tuple(by_cell[cell] for cell in cells)
    return Report(
        first,
        last,
        iou,
        line[thresholds.index(chosen)],
        line,
        tried_cells,
        Cell.of(engine.artifact),
        engine.artifact.precision,
    )


def check_covered(path: Path, true: Mapping[int, object], first: int, last: int) -> None:
    """Refuse frames that the true boxes of the file ``path`` do not cover.

    Raises:
        ConfigurationError: They do not, or ``first..last`` are no frames counted from 1.
    """
    if first < 1 or last < first or max(true, default=0) < last:
        raise ConfigurationError(
            f"{path}: expected true boxes of the frames {first}..{last}, found those of "
            f"{min(true, default=0)}..{max(true, default=0)}"
        )


def check_class(artifact: Path, engine: Engine, class_name: str) -> None:
    """Refuse a class that the artifact does not know.

    Raises:
        ConfigurationError: It does not.
    """
    if class_name not in engine.artifact.classes:
        raise ConfigurationError(
            f"{artifact}: no class {class_name!r}, expected one of {list(engine.artifact.classes)}"
        )


def score_cells(
    engine: Engine,
    frames: Iterable[tuple[int, NDArray[np.uint8]]],
    true: Mapping[int, Boxes],
    cells: Sequence[Cell],
    class_name: str,
    iou: float,
    resize: Resize = "letterbox",
) -> list[Scores]:
    """Score frames at several thresholds and smallest sizes; the network sees each frame once.

    Args:
        engine: Runs the network.
        frames: Frame number and image, RGB uint8 (H, W, 3).
        true: True boxes by frame; a frame without an entry shows none.
        cells: What the clustering is run with.
        class_name: The class that the true boxes show.
        iou: Least intersection over union of a matched pair, 0..1.
        resize: How frames are fitted into the model's input.

    Returns:
        The scores of each cell, in their order.
    """
    segmenters = ManySegmenters(engine, cells, resize)
    counts = np.zeros((len(cells), 3), int)  # matched, predicted, true
    for number, image in frames:
        expected = true.get(number, np.zeros((0, 4)))
        for row, instances in zip(counts, segmenters.segment(image), strict=True):
            boxes = [each.box for each in instances if each.class_name == class_name]
            predicted: Boxes = np.array(boxes, float).reshape(-1, 4)
            row += len(match_boxes(predicted, expected, iou)), len(boxes), len(expected)
    return [
        Scores(cell.threshold, matched, predicted, n_true, cell.min_pixels)
        for cell, (matched, predicted, n_true) in zip(cells, counts.tolist(), strict=True)
    ]


def read_frames(video: Path, first: int, last: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, RGB uint8 (H, W, 3)) of the frames ``first..last``, counted from 1.

    Raises:
        ConfigurationError: See `whole_frames`.
    """
    return ((frame.number + 1, frame.image) for frame in whole_frames(video, first, last))


def whole_frames(video: Path, first: int, last: int) -> Iterator[VideoFrame]:
    """Yield the frames ``first..last``, counted from 1.

    Raises:
        ConfigurationError: The file cannot be read, ends before ``last``, or holds damaged frames
            up to there.
    """
    number = 0
    try:
        with Video(video) as opened:
            for frame in opened:
                before, number = number, frame.number + 1
                if number > before + 1 and number > first:
                    raise ConfigurationError(
                        f"{video}: frame {max(before + 1, first)} is damaged, expected whole "
                        f"frames {first}..{last}: each has true boxes of its own"
                    )
                if number >= first:
                    yield frame
                if number >= last:
                    break
    except UnreadableInputError as error:
        raise ConfigurationError(f"{video}: cannot read the video: {error.reason}") from error
    if number < last:
        raise ConfigurationError(f"{video}: expected at least {last} frames, found {number}")
