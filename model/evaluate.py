"""Evaluation of an exported artifact: boxes of its instances against true boxes of a video.

What runs is the file that ships, through the worker's own engine and clustering.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from contract.result import Instance
from model.boxes import Boxes, match_boxes, read_boxes
from workers.engine import OnnxEngine
from workers.segmenter import Segmenter

SWEEP_STEP = 0.05
"""Distance of the score thresholds that are tried."""


@dataclass(frozen=True)
class Scores:
    """How well the boxes of all frames agree at one score threshold.

    Attributes:
        threshold: Lowest instance score that counts, 0..1.
        matched: Predicted boxes that have a true box of their own.
        predicted: All predicted boxes.
        true: All true boxes.
    """

    threshold: float
    matched: int
    predicted: int
    true: int

    @property
    def recall(self) -> float:
        """Share of the true boxes that were found, 0..1; 1 where there is nothing to find."""
        return self.matched / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the predicted boxes that are right, 0..1; 1 where nothing was predicted."""
        return self.matched / self.predicted if self.predicted else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0..1."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


@dataclass(frozen=True)
class Report:
    """Outcome of an evaluation.

    Attributes:
        first: First frame evaluated, counted from 1.
        last: Last frame evaluated.
        iou: Least intersection over union of a matched pair.
        chosen: Scores at the threshold asked for (the artifact's own by default).
        sweep: Scores at every threshold tried, ascending.
    """

    first: int
    last: int
    iou: float
    chosen: Scores
    sweep: tuple[Scores, ...]

    def accuracy(self) -> dict[str, float]:
        """Return the figures that an artifact carries (`contract.artifact.Artifact.accuracy`)."""
        return {
            f"recall_at_iou_{self.iou:g}": round(self.chosen.recall, 4),
            f"precision_at_iou_{self.iou:g}": round(self.chosen.precision, 4),
            "score_threshold": self.chosen.threshold,
            "first_frame": float(self.first),
            "last_frame": float(self.last),
        }


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
    provider: str = "auto",
) -> Report:
    """Run an artifact over a video and compare its instances with true boxes.

    Args:
        artifact: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        video: Any file that PyAV reads.
        boxes_csv: True boxes of one class, see `model.boxes.read_boxes`.
        first: First frame to evaluate, counted from 1.
        last: Last frame to evaluate, inclusive.
        score: Lowest instance score that counts, 0..1; None takes the artifact's default.
        class_name: The class that the true boxes show; other instances are left out.
        iou: Least intersection over union of a matched pair, 0..1.
        provider: Where to run: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: A file is missing or malformed, the video is shorter than ``last``, or
            the artifact has no such class.
    """
    true = read_boxes(boxes_csv)
    engine = OnnxEngine(artifact, provider=provider, batch_sizes=(1,))
    if class_name not in engine.artifact.classes:
        raise ConfigurationError(
            f"{artifact}: no class {class_name!r}, expected one of {list(engine.artifact.classes)}"
        )
    segmenter = Segmenter(engine, score_threshold=0.0)
    found: dict[int, list[Instance]] = {}
    for number, image in read_frames(video, first, last):
        (instances,) = segmenter.segment([image])
        found[number] = [each for each in instances if each.class_name == class_name]
    chosen = engine.artifact.score_threshold if score is None else score
    return compare(found, true, iou=iou, chosen=chosen)


def compare(
    found: Mapping[int, Sequence[Instance]],
    true: Mapping[int, Boxes],
    *,
    iou: float,
    chosen: float,
) -> Report:
    """Compare instances with true boxes at every threshold.

    Args:
        found: Instances of every evaluated frame (also of those that show none).
        true: True boxes by frame; other frames are left out.
        iou: Least intersection over union of a matched pair, 0..1.
        chosen: The threshold that the report is about, 0..1.

    Raises:
        ConfigurationError: There is no frame to evaluate.
    """
    if not found:
        raise ConfigurationError("no frame to evaluate: expected first <= last")
    steps = np.arange(0, 1, SWEEP_STEP).round(4).tolist()
    scores = {t: _scores(found, true, iou, t) for t in sorted({*steps, 0.98, chosen})}
    return Report(min(found), max(found), iou, scores[chosen], tuple(scores.values()))


def read_frames(video: Path, first: int, last: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, RGB uint8 (H, W, 3)) of the frames ``first..last``, counted from 1.

    Raises:
        ConfigurationError: The file cannot be read or ends before ``last``.
    """
    number = 0
    try:
        with av.open(str(video)) as container:
            frames: Iterable[av.VideoFrame] = container.decode(video=0)
            for number, frame in enumerate(islice(frames, last), start=1):
                if number >= first:
                    yield number, frame.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, OSError, IndexError) as error:  # IndexError: no video stream
        raise ConfigurationError(f"{video}: cannot read the video: {error}") from error
    if number < last:
        raise ConfigurationError(f"{video}: expected at least {last} frames, found {number}")


def _scores(
    found: Mapping[int, Sequence[Instance]], true: Mapping[int, Boxes], iou: float, at: float
) -> Scores:
    none: Boxes = np.zeros((0, 4))
    matched = predicted = total = 0
    for frame, instances in found.items():
        boxes = np.array([each.box for each in instances if each.score >= at], float)
        expected = true.get(frame, none)
        matched += len(match_boxes(boxes.reshape(-1, 4), expected, iou))
        predicted += len(boxes)
        total += len(expected)
    return Scores(at, matched, predicted, total)
