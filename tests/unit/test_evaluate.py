from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.evaluation.boxes import Boxes, box_iou, match_boxes, read_boxes
from model.evaluation.on_video import Report, Scores, evaluate_boxes, read_frames, score_cells
from model.evaluation.predict import Cell
from model.evaluation.thresholds import Tried
from segmentation.engines.base import Predictions

EMPTY = np.zeros((0, 4))


def boxes(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, float).reshape(-1, 4)


def test_overlap_of_known_boxes() -> None:
    one = boxes((0, 0, 10, 10), (0, 0, 0, 0))
    other = boxes((0, 0, 10, 10), (5, 0, 10, 10), (20, 20, 5, 5))
    assert box_iou(one, other) == pytest.approx(np.array([[1, 1 / 3, 0], [0, 0, 0]]))


def test_two_predictions_of_one_object_match_once_and_the_better_one_wins() -> None:
    predicted = boxes((1, 0, 10, 10), (0, 0, 10, 10))
    assert match_boxes(predicted, boxes((0, 0, 10, 10)), 0.5) == [(1, 0)]


def test_a_pair_below_the_overlap_asked_for_does_not_match() -> None:
    predicted, true = boxes((0, 0, 10, 10)), boxes((5, 0, 10, 10))
    assert match_boxes(predicted, true, 0.5) == []
    assert match_boxes(predicted, true, 0.33) == [(0, 0)]


@pytest.mark.parametrize(("predicted", "true"), [(EMPTY, EMPTY), (boxes((0, 0, 1, 1)), EMPTY)])
def test_nothing_matches_where_one_side_is_empty(predicted: Boxes, true: Boxes) -> None:
    assert match_boxes(predicted, true, 0.5) == []
    assert match_boxes(true, predicted, 0.5) == []


sides = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2)


@given(st.lists(sides, max_size=8), st.lists(sides, max_size=8))
def test_no_box_is_matched_twice(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> None:
    predicted, true = (np.array(x, float).reshape(-1, 4) for x in (one, other))
    pairs = match_boxes(predicted, true, 0.5)
    assert all(box_iou(predicted, true)[pair] >= 0.5 for pair in pairs)
    assert len({p for p, _ in pairs}) == len({t for _, t in pairs}) == len(pairs)


class PaintedEngine:
    """Predicts what is painted: pixel value v > 0 is one object with the seed score v / 100."""

    artifact = Artifact(
        name="painted",
        version="1",
        classes=("person", "vehicle"),
        height=64,
        width=64,
        grid_step=(2 / 2047, 1 / 1023),
        n_sigma=1,
        weights_sha256="",
        seed_threshold=0.5,
        min_pixels=8,
    )
    batch_sizes = (1,)
    variable_size = False

    def __init__(self) -> None:
        self.runs = 0

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        self.runs += 1
        painted = images[..., 0]
        step_x, step_y = self.artifact.grid_step
        y, x = np.indices(painted.shape[1:])
        offset = np.zeros((len(images), 2, *painted.shape[1:]), np.float32)
        for maps, picture in zip(offset, painted, strict=True):
            for value in np.unique(picture[picture > 0]):
                own = picture == value
                maps[0, own] = (x[own].mean() - x[own]) * step_x
                maps[1, own] = (y[own].mean() - y[own]) * step_y
        bandwidth = np.full((len(images), 1, *painted.shape[1:]), 1.2, np.float32)
        seed = (painted / 100).astype(np.float32)
        return Predictions(offset, bandwidth, seed, (images[..., 1] > 0).astype(np.uint8))


def picture(*objects: tuple[int, int, int], class_index: int = 0) -> NDArray[np.uint8]:
    image = np.zeros((64, 64, 3), np.uint8)
    for left, top, value in objects:
        image[top : top + 10, left : left + 10] = value, class_index, 0
    return image


def cells(*thresholds: float) -> list[Cell]:
    return [Cell(each, PaintedEngine().artifact.min_pixels) for each in thresholds]


def test_recall_and_precision_count_over_all_frames_and_follow_the_threshold() -> None:
    engine = PaintedEngine()
    frames = [(1, picture((0, 0, 90), (40, 40, 70))), (2, picture())]
    true = {1: boxes((0, 0, 10, 10)), 2: boxes((0, 0, 10, 10)), 3: boxes((0, 0, 9, 9))}
    low, high, none = score_cells(engine, frames, true, cells(0.5, 0.8, 0.95), "person", 0.5)
    assert (low.matched, low.predicted, low.true) == (1, 2, 2)
    assert (low.recall, low.precision, low.f1) == (0.5, 0.5, 0.5)
    assert (high.recall, high.precision) == (0.5, 1.0)
    assert (none.recall, none.precision, none.f1) == (0.0, None, 0.0)
    assert engine.runs == 2  # once a frame


def test_instances_of_other_classes_do_not_count() -> None:
    frames = [(1, picture((0, 0, 90), class_index=1))]
    true = {1: boxes((0, 0, 10, 10))}
    (person,) = score_cells(PaintedEngine(), frames, true, cells(0.5), "person", 0.5)
    (vehicle,) = score_cells(PaintedEngine(), frames, true, cells(0.5), "vehicle", 0.5)
    assert (person.matched, person.predicted) == (0, 0)
    assert (vehicle.matched, vehicle.predicted) == (1, 1)


def test_what_has_no_denominator_is_no_figure() -> None:
    nothing = Scores(0.9, matched=0, predicted=0, true=0)
    assert (nothing.recall, nothing.precision, nothing.f1) == (None, None, None)
    silent = Scores(0.9, matched=0, predicted=0, true=7)
    figures = Report(301, 400, 0.5, silent, (silent,)).accuracy()
    assert figures["recall_at_iou_0.5"] == 0
    assert "precision_at_iou_0.5" not in figures, "the precision of no predictions"


def test_of_equally_good_boxes_the_artifacts_own_setting_wins() -> None:
    grid = tuple(
        Scores(threshold, 8, 9, 10, size)
        for size in (8, 64, 500)
        for threshold in (0.5, 0.8, 0.975)
    )
    flat = Report(1, 2, 0.5, grid[0], (grid[0],), grid, own=Cell(0.8, 50))
    assert flat.flat
    assert (flat.best.threshold, flat.best.min_pixels) == (0.8, 64)
    better = Report(1, 2, 0.5, grid[0], (), (*grid, Scores(0.9, 9, 9, 10, 8)), own=Cell(0.8, 50))
    assert not better.flat
    assert (better.best.threshold, better.best.min_pixels) == (0.9, 8)


def test_a_sweep_over_frames_without_a_true_box_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("1,1,1,1,1,1\n9,1,1,1,1,1\n")
    with pytest.raises(ConfigurationError, match=r"no true box in the frames 3\.\.5"):
        evaluate_boxes(tmp_path, tmp_path, file, 3, 5, tried=Tried())


def test_the_figures_that_an_artifact_carries_name_the_overlap_and_the_frames() -> None:
    chosen = Scores(0.9, matched=8, predicted=9, true=10)
    assert Report(301, 400, 0.5, chosen, (chosen,)).accuracy() == {
        "recall_at_iou_0.5": 0.8,
        "precision_at_iou_0.5": 0.8889,
        "score_threshold": 0.9,
        "first_frame": 301.0,
        "last_frame": 400.0,
    }


@pytest.mark.parametrize(("first", "last"), [(0, 2), (3, 2), (1, 5)])
def test_frames_without_true_boxes_are_refused(tmp_path: Path, first: int, last: int) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("1,1,1,1,1,1\n4,1,1,1,1,1\n")
    with pytest.raises(ConfigurationError, match=rf"{first}\.\.{last}, found those of 1\.\.4"):
        evaluate_boxes(tmp_path, tmp_path, file, first, last)


def test_true_boxes_count_pixels_from_one_in_the_file_and_from_zero_in_memory(
    tmp_path: Path,
) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("7,1,1,11,30.5,60\n7,2,5,5,1,1,0.9,-1\n")
    table = read_boxes(file)
    assert table.keys() == {7}
    assert table[7].tolist() == [[0, 10, 30.5, 60], [4, 4, 1, 1]]


@pytest.mark.parametrize("line", ["1,2,3,4,5", "1,2,a,4,5,6", ""])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(f"1,1,1,1,1,1\n{line}\n1,1,1,1,1,1\n")
    with pytest.raises(ConfigurationError, match="line 2: expected frame,track,x,y,w,h"):
        read_boxes(file)


def test_a_missing_table_and_a_missing_video_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.csv: cannot read the true boxes"):
        read_boxes(tmp_path / "none.csv")
    with pytest.raises(ConfigurationError, match=r"none\.mp4: cannot read the video"):
        list(read_frames(tmp_path / "none.mp4", 1, 2))
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(ConfigurationError, match=r"text\.mp4: cannot read the video"):
        list(read_frames(text, 1, 2))


def test_frames_are_counted_from_one_and_a_short_video_is_refused() -> None:
    clip = Path(__file__).parents[2] / "assets" / "vtest_clip.mp4"
    frames = list(read_frames(clip, 2, 3))
    assert [number for number, _ in frames] == [2, 3]
    assert frames[0][1].shape == (576, 768, 3)
    assert frames[0][1].dtype == np.uint8
    with pytest.raises(ConfigurationError, match="expected at least 121 frames, found 120"):
        list(read_frames(clip, 121, 121))
