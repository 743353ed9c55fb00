"""How well tracks agree with true ones, by TrackEval's own evaluator: never our own arithmetic.

TrackEval wants `opencv-python`, which has the same files as our `opencv-python-headless`. So it is
installed alone into a folder that only a process of its own looks into; text goes there and back.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.errors import ConfigurationError, SeedstreamError
from contract.json_text import JSON_ERRORS
from tracking.mot_text import mot_line

TRACKEVAL = "trackeval==1.3.0"
"""What is installed, as in ``requirements/trackeval.txt``."""

_PROGRAM = Path(__file__).with_name("trackeval_program.py")
_TIMEOUT_SECONDS = 900.0


class TrackEvalError(SeedstreamError):
    """TrackEval failed."""


class TrackBox(NamedTuple):
    """A box of a track.

    Attributes:
        track: Number of the object, from 0.
        box: x, y, width, height in pixels from 0.
        score: 0..1.
    """

    track: int
    box: Sequence[float]
    score: float = 1.0


class TrackSequence(NamedTuple):
    """Frames in order.

    Attributes:
        true: True boxes of each frame.
        found: Boxes that the tracker gave each frame.
    """

    true: Sequence[Sequence[TrackBox]]
    found: Sequence[Sequence[TrackBox]]


class TrackScores(msgspec.Struct, frozen=True):
    """TrackEval's figures.

    Attributes:
        mota: Multiple object tracking accuracy, up to 1; negative with more errors than objects.
        idf1: Share of the boxes that have the identity of their object, 0..1.
        hota: Higher order tracking accuracy, 0..1.
        assa: Its association accuracy, 0..1.
        switches: How often a true track went on with another identity.
        fragmentations: How often a true track was lost and found again.
        true_tracks: Tracks in the table.
        found_tracks: Tracks that the tracker gave.
    """

    mota: float
    idf1: float
    hota: float
    assa: float
    switches: int
    fragmentations: int
    true_tracks: int
    found_tracks: int


_decoder = msgspec.json.Decoder(dict[str, TrackScores])


def find_trackeval() -> Path:
    """Return the folder that TrackEval is in.

    Raises:
        ConfigurationError: It is not installed.
    """
    folder = Path(sys.prefix) / "trackeval"
    if not (folder / "trackeval" / "__init__.py").is_file():
        raise ConfigurationError(
            f"{folder}: TrackEval, which measures tracks, is not installed; run `make setup`, or "
            f"`{sys.executable} -m pip install --no-deps --target {folder} {TRACKEVAL}`"
        )
    return folder


def score_tracks(
    trackeval: Path, sequences: Mapping[str, TrackSequence], iou: float = 0.5
) -> dict[str, TrackScores]:
    """Return how well the tracks of each sequence agree with the true ones.

    Args:
        trackeval: The folder that it is in, see `find_trackeval`.
        sequences: By a name that a file can have.
        iou: Least intersection over union of a matched pair, 0..1 (HOTA takes 0.05 to 0.95).

    Raises:
        TrackEvalError: It failed, or took longer than a quarter of an hour.
    """
    lengths = {name: len(sequence.true) for name, sequence in sequences.items()}
    with tempfile.TemporaryDirectory(prefix="seedstream-tracks-") as made:
        for kind in TrackSequence._fields:
            folder = Path(made) / kind
            folder.mkdir()
            for name, sequence in sequences.items():
                (folder / f"{name}.txt").write_text(_text(getattr(sequence, kind), kind))
        return _run(trackeval, made, lengths, iou)


def _text(frames: Iterable[Sequence[TrackBox]], kind: str) -> str:
    numbers: dict[int, int] = {}  # TrackEval makes tables as long as the largest number
    lines = (
        mot_line(frame, numbers.setdefault(each.track, len(numbers) + 1), each.box, each.score)
        for frame, boxes in enumerate(frames, start=1)
        for each in boxes
    )
    if kind == "found":
        return "".join(lines)
    # Of true boxes the seventh number says that they count, the eighth the class.
    return "".join(f"{','.join(line.split(',')[:6])},1,1,1\n" for line in lines)


def _run(
    trackeval: Path, folder: str, lengths: Mapping[str, int], iou: float
) -> dict[str, TrackScores]:
    command = [sys.executable, "-P", str(_PROGRAM), folder, str(iou)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(lengths),
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(trackeval)},
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
        return _decoder.decode(done.stdout)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise TrackEvalError(f"TrackEval failed: {said[-1]}") from error
    except (OSError, subprocess.TimeoutExpired, *JSON_ERRORS) as error:
        raise TrackEvalError(f"TrackEval failed: {error}") from error
