from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import ConfigurationError
from contract.mask import encode_mask
from contract.result import Instance
from model.boxes import Boxes, box_iou, match_boxes, read_boxes
from model.evaluate import compare, read_frames

EMPTY = np.zeros((0, 4))


def boxes(*rows: tuple[float, float, float, float]) -> Boxes:
    return np.array(rows, float).reshape(-1, 4)


def instance(box: tuple[int, int, int, int], score: float) -> Instance:
    mask = encode_mask(np.ones((1, 1), bool), (1, 1))
    return Instance(1, "person", score, box, (0.0, 0.0), 1, mask)


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


def test_recall_and_precision_count_over_all_frames_and_follow_the_threshold() -> None:
    found = {
        1: [instance((0, 0, 10, 10), 0.9), instance((50, 50, 10, 10), 0.6)],
        2: [],
    }
    true = {1: boxes((0, 0, 10, 10)), 2: boxes((0, 0, 10, 10)), 3: boxes((0, 0, 9, 9))}
    low = compare(found, true, iou=0.5, chosen=0.5)
    assert (low.chosen.matched, low.chosen.predicted, low.chosen.true) == (1, 2, 2)
    assert (low.chosen.recall, low.chosen.precision, low.chosen.f1) == (0.5, 0.5, 0.5)
    high = compare(found, true, iou=0.5, chosen=0.75)
    assert (high.chosen.recall, high.chosen.precision) == (0.5, 1.0)
    assert high.accuracy()["precision_at_iou_0.5"] == 1.0
    thresholds = [scores.threshold for scores in high.sweep]
    assert thresholds == sorted(thresholds)
    assert 0.75 in thresholds


def test_an_empty_range_of_frames_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="first <= last"):
        compare({}, {}, iou=0.5, chosen=0.5)


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
