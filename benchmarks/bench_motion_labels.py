"""How right labels from motion are: their boxes against the true boxes of OpenCV's vtest.avi.

``python -m benchmarks.bench_motion_labels``: frames 1 to 300 are labelled with the defaults, and
with the demo's options file. A label's box is matched with a true box of its frame, one to one, the
best overlaps first, at an intersection over union of at least 0.5. True boxes reach to the ends of
people that others or posts hide; labels end where people are seen. The table is kept in
``benchmarks/results``.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.environment import RESULTS, ROOT, describe
from model.data.open import open_data_set
from model.evaluation.boxes import Boxes, box_iou, match_boxes, read_boxes
from model.motion.make import label_from_motion
from model.motion.options_file import load_options

SHARED = ROOT.parent / "shared" / "data"
VIDEO = SHARED / "video" / "opencv_vtest_576p_80s.avi"
TRUE_BOXES = SHARED / "pets" / "vtest_frames_1-400_boxes.csv"
LAST = 300
"""Later frames measure the model and are never labelled."""
IOU = 0.5
NEARLY = 0.35


@dataclass(frozen=True)
class Label:
    """A label of a frame.

    Attributes:
        frame: Number of the frame, counted from 1.
        box: (4,) x, y, width, height.
        right: Whether a true box is its own.
        overlap: Its best overlap with any true box, 0..1.
    """

    frame: int
    box: Boxes
    right: bool
    overlap: float


@dataclass(frozen=True)
class Score:
    """Labels of a data set against true boxes."""

    labels: tuple[Label, ...]
    true: int

    @property
    def right(self) -> int:
        """Number of labels with a true box of their own."""
        return sum(label.right for label in self.labels)

    def figures(self) -> dict[str, float]:
        """Return the columns of the table by their names."""
        wrong = [label for label in self.labels if not label.right]
        nearly = sum(label.overlap >= NEARLY for label in wrong)
        return {
            "labels": len(self.labels),
            "right": self.right,
            "precision": round(self.right / len(self.labels), 4),
            "recall": round(self.right / self.true, 3),
            f"wrong, IoU {NEARLY} to {IOU}": nearly,
            "wrong otherwise": len(wrong) - nearly,
        }


def score(data: Path, boxes: Path, last: int) -> Score:
    """Compare the labels of a data set, all of one class, with true boxes."""
    true = read_boxes(boxes)
    labels = [
        label for frame, own in _boxes(data, last) for label in _judged(frame, own, true[frame])
    ]
    return Score(tuple(labels), sum(len(true[frame]) for frame in range(1, last + 1)))


def _boxes(data: Path, last: int) -> Iterator[tuple[int, Boxes]]:
    pictures = open_data_set(data)
    for index, name in enumerate(pictures.names):
        frame = int(name.rpartition("/")[2])
        picture = pictures.read(index)
        found = []
        for number in np.unique(picture.instances[picture.labels == 1]):
            rows, columns = np.nonzero(picture.instances == number)
            left, top = columns.min(), rows.min()
            found.append([left, top, columns.max() - left + 1, rows.max() - top + 1])
        if found and frame <= last:
            yield frame, np.array(found, float)


def _judged(frame: int, found: Boxes, true: Boxes) -> list[Label]:
    right = {index for index, _ in match_boxes(found, true, IOU)}
    overlaps = box_iou(found, true).max(axis=1)
    return [
        Label(frame, box, index in right, float(overlaps[index])) for index, box in enumerate(found)
    ]


def main() -> None:
    """Measure, print and keep."""
    options_file = ROOT / "model" / "recipes" / "street" / "vtest.toml"
    ways = {
        "defaults": load_options(None, last=LAST, **{"class": "person"}),
        "vtest.toml": load_options(options_file),
    }
    if not VIDEO.is_file():
        sys.exit(f"{VIDEO}: no such file, expected the shared data beside the project")
    found = describe()
    rows: dict[str, dict[str, float]] = {}
    for name, options in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            label_from_motion({VIDEO: options}, Path(folder) / "data")
            rows[name] = score(Path(folder) / "data", TRUE_BOXES, LAST).figures()
    table = _table(rows)
    print(table)
    file = f"motion-labels-{datetime.now():%Y-%m-%dT%H%M%S}.json"
    (RESULTS / file).write_text(json.dumps({**found, "rows": rows}, indent=1) + "\n")
    (RESULTS / "motion-labels.md").write_text(
        f"# Labels from motion against true boxes\n\nFrames 1 to {LAST} of vtest.avi, IoU at least "
        f"{IOU}.\n\n{table}\n\n{file} has the machine and the versions.\n"
    )


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    columns = ["options", *next(iter(rows.values()))]
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[name, *map(str, figures.values())] for name, figures in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
