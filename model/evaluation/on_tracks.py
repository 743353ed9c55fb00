"""Evaluation of the tracker behind an exported artifact, on a video with true tracks.

What runs is what ships: the worker's engine, clustering, observation and association. The network
sees each frame once; the tracker runs anew for each choice of frames.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contract.artifact import Precision
from contract.errors import ConfigurationError
from model.evaluation.boxes import read_tracks
from model.evaluation.on_video import check_class, check_covered, whole_frames
from model.evaluation.track_scores import (
    TrackBox,
    TrackScores,
    TrackSequence,
    find_trackeval,
    score_tracks,
)
from segmentation.engines import PrecisionWanted, Provider, open_engine
from segmentation.instances import Instances
from segmentation.letterbox import Resize
from segmentation.segmenter import Segmenter
from tracking import Moment, Observations, State, advance
from tracking.offline import find_and_observe

Progress = Callable[[Iterable[int], int], Iterable[int]]
"""Passes numbers on and shows how many of the total have come."""


@dataclass(frozen=True)
class Choice:
    """Which frames the tracker sees; those it does not see are not scored either.

    Attributes:
        every: Each n-th, from the first.
        drop: Share that is left out at random, 0..1, as a worker in ``live`` mode skips frames.
        seed: Of the randomness.
    """

    every: int = 1
    drop: float = 0.0
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        if self.drop:
            return f"{100 * self.drop:g} % dropped"
        return "all" if self.every == 1 else f"1 in {self.every}"

    def of(self, n: int) -> list[int]:
        """Return the indices of the frames that are seen, of n."""
        if self.drop:
            kept = np.random.default_rng(self.seed).random(n) >= self.drop
            return [int(i) for i in np.flatnonzero(kept)]
        return list(range(0, n, self.every))


@dataclass(frozen=True)
class Options:
    """How the tracks are measured.

    Attributes:
        score: Lowest instance score that counts, 0..1; None takes the artifact's.
        class_name: The class that the true tracks show; the tracker sees the others, too.
        iou: Least intersection over union of a matched pair, 0..1.
        provider: What runs the network.
        precision: Which file of the artifact runs.
        resize: How frames are fitted into the model's input.
        appearance: Whether the tracker looks at colours.
        confirmed_only: Whether boxes of tracks that are not yet confirmed are left out.
    """

    score: float | None = None
    class_name: str = "person"
    iou: float = 0.5
    provider: Provider = "auto"
    precision: PrecisionWanted = "auto"
    resize: Resize = "letterbox"
    appearance: bool = True
    confirmed_only: bool = False


@dataclass(frozen=True)
class Row:
    """Figures of one choice of frames.

    Attributes:
        choice: Which frames.
        frames: How many the tracker saw.
        scores: TrackEval's figures.
    """

    choice: Choice
    frames: int
    scores: TrackScores


@dataclass(frozen=True)
class TrackReport:
    """Outcome of an evaluation.

    Attributes:
        first: First frame, counted from 1.
        last: Last frame.
        precision: That of the file that was run.
        rows: One for each choice.
    """

    first: int
    last: int
    precision: Precision | None
    rows: tuple[Row, ...]


class _Seen(NamedTuple):
    """What is kept of a frame."""

    seconds: float
    observed: Observations
    class_names: list[str]
    boxes: list[list[int]]
    scores: list[float]

    @classmethod
    def of(cls, seconds: float, instances: Instances, observed: Observations) -> "_Seen":
        names = [instances.class_names[kind] for kind in instances.classes.tolist()]
        return cls(seconds, observed, names, instances.boxes.tolist(), instances.scores.tolist())


def evaluate_tracks(
    artifact: Path,
    video: Path,
    tracks_csv: Path,
    frames: tuple[int, int],
    choices: Sequence[Choice],
    options: Options,
    progress: Progress = lambda numbers, _: numbers,
) -> TrackReport:
    """Run an artifact and the tracker over a video and compare the tracks with true ones.

    Args:
        artifact: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        video: Any file that PyAV reads.
        tracks_csv: True tracks of one class, see `model.evaluation.boxes.read_tracks`.
        frames: First and last frame, counted from 1, inclusive.
        choices: Which of them the tracker sees, each from an empty state.
        options: How.
        progress: Shows how far the network is.

    Raises:
        ConfigurationError: TrackEval or a file is missing or malformed, the video is shorter than
            the last frame, the artifact has no such class, or the true boxes do not cover the
            frames, or no frame is left.
        TrackEvalError: TrackEval failed.
    """
    first, last = frames
    trackeval = find_trackeval()
    true = read_tracks(tracks_csv)
    check_covered(tracks_csv, true, first, last)
    length = last - first + 1
    chosen = {str(number): each.of(length) for number, each in enumerate(choices)}
    if not all(chosen.values()):
        raise ConfigurationError(f"no frame of {first}..{last} is left: drop fewer, or take more")
    engine = open_engine(artifact, options.provider, precision=options.precision)
    check_class(artifact, engine, options.class_name)
    segmenter = Segmenter(engine, score_threshold=options.score, resize=options.resize)
    seen = []
    numbers = progress(range(length), length)
    for frame, _ in zip(whole_frames(video, first, last), numbers, strict=True):
        ((instances, observed),) = find_and_observe(
            segmenter, [frame.image], [video.name], appearance=options.appearance
        )
        seen.append(_Seen.of(frame.seconds, instances, observed))
    expected = [
        [TrackBox(track, box) for track, box in true.get(number, {}).items()]
        for number in range(first, last + 1)
    ]
    sequences = {
        name: TrackSequence([expected[i] for i in indices], _follow(seen, indices, options))
        for name, indices in chosen.items()
    }
    scores = score_tracks(trackeval, sequences, options.iou)
    rows = tuple(
        Row(choice, len(indices), scores[name])
        for choice, (name, indices) in zip(choices, chosen.items(), strict=True)
    )
    return TrackReport(first, last, engine.artifact.precision, rows)


def _follow(
    seen: Sequence[_Seen], indices: Sequence[int], options: Options
) -> list[list[TrackBox]]:
    """Return what the tracker says of the frames that it sees."""
    state, found = State.empty(1), []
    for frame in (seen[i] for i in indices):
        state, identities, *_ = advance(state, frame.observed, Moment(frame.seconds))
        rows = zip(identities, frame.class_names, frame.boxes, frame.scores, strict=True)
        found.append(
            [
                TrackBox(who.track, box, score)
                for who, name, box, score in rows
                if name == options.class_name and (who.confirmed or not options.confirmed_only)
            ]
        )
    return found
