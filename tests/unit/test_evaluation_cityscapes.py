from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("cityscapesscripts", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError
from contract.result import Instance
from model.evaluation.cityscapes_metrics import CLASSES, check_classes, cityscapes_figures
from tests.labelled import Box, box_mask, instance

SIZE = (128, 256)
ONE, OTHER, NOTHING = (10, 10, 30, 40), (60, 10, 30, 40), (200, 60, 30, 40)


def truth(folder: Path, objects: Sequence[tuple[Box, int]], name: str = "0") -> Path:
    numbers = np.full(SIZE, 7, np.uint16)  # road
    for box, number in objects:
        numbers[box_mask(SIZE, box)] = number
    path = folder / f"aachen_{name}_000019_gtFine_instanceIds.png"
    cv2.imwrite(str(path), numbers)
    return path


def found(box: Box, score: float, class_name: str = "person") -> Instance:
    return instance(box_mask(SIZE, box), class_name, score)


def test_the_eight_classes_are_those_of_the_official_table() -> None:
    names = ["person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"]
    assert list(CLASSES) == names


def test_perfect_predictions_have_an_average_precision_of_one(tmp_path: Path) -> None:
    files = [
        truth(tmp_path, [(ONE, 24000), (OTHER, 24001)]),
        truth(tmp_path, [(ONE, 26003)], "1"),
    ]
    figures = cityscapes_figures(
        files, [[found(ONE, 0.9), found(OTHER, 0.8)], [found(ONE, 0.7, "car")]]
    )
    assert figures.overall == {"cityscapes_ap": 1.0, "cityscapes_ap50": 1.0}
    assert set(figures.by_class) == {"person", "car"}, "of the others there is nothing to see"


@pytest.mark.parametrize(("score_of_the_wrong", "expected"), [(0.8, 0.5), (0.95, 0.125)])
def test_one_found_one_missed_and_one_wrong_as_computed_by_hand(
    tmp_path: Path, score_of_the_wrong: float, expected: float
) -> None:
    # Recall reaches 1/2. Wrong one below: precision 1 on all of it. Wrong one above: precision 0,
    # then 1/2, and the evaluator takes half a step of the recall with each.
    file = truth(tmp_path, [(ONE, 24000), (OTHER, 24001)])
    figures = cityscapes_figures([file], [[found(ONE, 0.9), found(NOTHING, score_of_the_wrong)]])
    assert figures.overall["cityscapes_ap"] == pytest.approx(expected)
    assert figures.by_class["person"]["cityscapes_ap50"] == pytest.approx(expected)


def test_a_mask_of_known_overlap_is_right_up_to_that_threshold(tmp_path: Path) -> None:
    file = truth(tmp_path, [(ONE, 24000)])
    # 30 x 29 of 30 x 40 pixels: 0.725, above 0.5, 0.55 ... 0.7: five of ten thresholds.
    figures = cityscapes_figures([file], [[found((10, 10, 30, 29), 0.9)]])
    assert figures.overall == pytest.approx({"cityscapes_ap": 0.5, "cityscapes_ap50": 1.0})


def test_a_prediction_on_a_group_counts_neither_way(tmp_path: Path) -> None:
    file = truth(tmp_path, [(ONE, 24000), (NOTHING, 24)])
    figures = cityscapes_figures([file], [[found(ONE, 0.9), found(NOTHING, 0.99)]])
    assert figures.overall["cityscapes_ap"] == pytest.approx(1.0)


def test_a_class_that_the_model_does_not_find_counts_as_zero(tmp_path: Path) -> None:
    file = truth(tmp_path, [(ONE, 24000), (OTHER, 28000)])
    figures = cityscapes_figures([file], [[found(ONE, 0.9)]])
    assert figures.overall["cityscapes_ap"] == pytest.approx(0.5)
    assert figures.by_class["bus"]["cityscapes_ap"] == 0


def test_the_truth_is_read_anew_each_time_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = cityscapes_figures([truth(tmp_path, [(ONE, 24000)])], [[found(ONE, 0.9)]])
    after = cityscapes_figures([truth(tmp_path, [(OTHER, 24000)])], [[found(ONE, 0.9)]])
    assert (before.overall["cityscapes_ap"], after.overall["cityscapes_ap"]) == (1.0, 0.0)
    assert list(here.iterdir()) == []
    assert not hasattr(np, "in1d") or np.__version__ < "2.4", "NumPy itself stays as it is"


def test_nothing_printed_reaches_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cityscapes_figures([truth(tmp_path, [(ONE, 24000)])], [[]])
    assert capsys.readouterr() == ("", "")


def test_classes_that_the_evaluator_does_not_know_are_refused() -> None:
    check_classes(["car", "person"])
    with pytest.raises(ConfigurationError, match=r"\['vehicle'\].*--metric coco"):
        check_classes(["person", "vehicle"])
