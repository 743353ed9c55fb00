"""The weights that ship find people, in frames that they were never trained on."""

from pathlib import Path

import numpy as np
import pytest

from model.evaluation.on_pictures import Options, evaluate_pictures
from model.evaluation.on_video import evaluate_boxes, read_frames
from segmentation.engines.onnx import OnnxEngine
from segmentation.segmenter import Segmenter

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def test_people_of_the_bundled_clip_are_found(street_model: Path) -> None:
    segmenter = Segmenter(OnnxEngine(street_model, provider="cpu"))
    clip = REPOSITORY / "assets" / "vtest_clip.mp4"
    people, heights = [], []
    for _, image in read_frames(clip, 1, 12):
        (instances,) = segmenter.segment([image])
        found = instances.of_class("person")
        people.append(len(found))
        heights += found.boxes[:, 3].tolist()
        filled = found.areas / found.boxes[:, 2:].prod(axis=1)
        assert np.all((filled > 0.3) & (filled < 0.95)), "no shape of a person"
    # PETS counts six or seven in these frames (vtest.avi 301 to 312).
    assert 5 <= np.median(people) <= 8
    assert 50 < np.median(heights) < 100


def test_the_bar_of_recall_and_precision_holds(street_model: Path, shared_data: Path) -> None:
    report = evaluate_boxes(
        street_model,
        shared_data / "video" / "opencv_vtest_576p_80s.avi",
        shared_data / "pets" / "vtest_frames_1-400_boxes.csv",
        first=301,
        last=400,
    )
    assert report.chosen.true > 500, "the boxes of a hundred frames"
    assert report.chosen.recall >= 0.93
    assert report.chosen.precision >= 0.92
    card = OnnxEngine(street_model, provider="cpu").artifact.accuracy
    # The processor's own rounding may move a box across the bound.
    assert card["recall_at_iou_0.5"] == pytest.approx(report.chosen.recall, abs=0.01)
    assert card["precision_at_iou_0.5"] == pytest.approx(report.chosen.precision, abs=0.01)


def test_masks_in_photographs_are_measured_with_classes_brought_together(
    street_model: Path, shared_data: Path
) -> None:
    vehicles = dict.fromkeys(("car", "bus", "truck"), "vehicle")
    options = Options(split="all", classes=vehicles, limit=6, provider="cpu")
    evaluation = evaluate_pictures(street_model, shared_data / "coco128-seg", options)
    assert (evaluation.metric, evaluation.layout, len(evaluation.seen)) == ("coco", "yolo", 6)
    figures = evaluation.shown.figures.overall
    assert figures["true_instances"] > 0
    assert 0 <= figures["coco_ap"] <= figures["coco_ap50"] <= 1
    assert set(evaluation.pairing.measured) == {"person", "vehicle"}
