import json
from pathlib import Path

import numpy as np
import pytest

from model.data.coco import Coco
from model.data.data_set import Renamed
from model.evaluation.classes import pair
from model.evaluation.coco_metrics import CocoTruth, coco_figures
from tests.labelled import box_mask, instance, picture

SIZE = (100, 120)
BIG, SMALL = (0, 0, 50, 60), (70, 10, 10, 10)
CLASSES = ("person", "vehicle")


def truth(*objects: tuple[tuple[int, int, int, int], int]) -> CocoTruth:
    seen = CocoTruth(CLASSES)
    seen.see(picture(SIZE, objects), CLASSES)
    return seen


def found(box: tuple[int, int, int, int], score: float = 0.9, class_name: str = "person") -> object:
    return instance(box_mask(SIZE, box), class_name, score)


def test_perfect_predictions_have_an_average_precision_of_one_in_every_size() -> None:
    figures = coco_figures(
        truth((BIG, 1), (SMALL, 2)).index(), [1], [[found(BIG), found(SMALL, class_name="vehicle")]]
    )
    assert figures.overall == pytest.approx(
        {
            **dict.fromkeys(["coco_ap", "coco_ap50", "coco_ap75", "coco_ar"], 1.0),
            **dict.fromkeys(["coco_ap_small", "coco_ar_small"], 1.0),
            **dict.fromkeys(["coco_ap_medium", "coco_ar_medium"], 1.0),
        }
    )
    assert set(figures.by_class) == {"person", "vehicle"}
    assert "coco_ap_small" not in figures.by_class["person"], "there is no small person"


def test_a_mask_of_known_overlap_is_right_up_to_that_threshold() -> None:
    # 50 x 42 of 50 x 60 pixels: an IoU of 0.7, right at 0.5, 0.55 ... 0.7: five of ten thresholds.
    figures = coco_figures(truth((BIG, 1)).index(), [1], [[found((0, 0, 50, 42))]])
    assert figures.overall["coco_ap"] == pytest.approx(0.5)
    assert figures.overall["coco_ap50"] == pytest.approx(1.0)
    assert figures.overall["coco_ap75"] == 0


def test_a_wrong_instance_with_the_higher_score_halves_the_precision() -> None:
    wrong = found((60, 60, 30, 30), score=0.95)
    figures = coco_figures(truth((BIG, 1)).index(), [1], [[wrong, found(BIG)]])
    assert figures.overall["coco_ap"] == pytest.approx(0.5)
    after = coco_figures(truth((BIG, 1)).index(), [1], [[found((60, 60, 30, 30), 0.1), found(BIG)]])
    assert after.overall["coco_ap"] == pytest.approx(1.0)


def test_what_lies_on_ignored_pixels_counts_neither_way() -> None:
    ignored = (60, 60, 40, 40)
    wrong = found((62, 62, 30, 30), score=0.99)
    with_it = coco_figures(truth((BIG, 1), (ignored, 255)).index(), [1], [[wrong, found(BIG)]])
    without = coco_figures(truth((BIG, 1)).index(), [1], [[wrong, found(BIG)]])
    assert with_it.overall["coco_ap"] == pytest.approx(1.0)
    assert without.overall["coco_ap"] == pytest.approx(0.5)


def test_no_prediction_at_all_is_a_zero_and_not_an_error() -> None:
    figures = coco_figures(truth((BIG, 1)).index(), [1], [[]])
    assert figures.overall["coco_ap"] == 0
    assert set(figures.by_class) == {"person"}, "nothing can be said of a class without an object"


def test_instances_of_classes_that_are_not_measured_are_left_out() -> None:
    seen = CocoTruth(("person",))
    seen.see(picture(SIZE, [(BIG, 1), (SMALL, 2)]), CLASSES)
    figures = coco_figures(
        seen.index(), [1], [[found(BIG), found(SMALL, score=0.99, class_name="vehicle")]]
    )
    assert figures.overall["coco_ap"] == pytest.approx(1.0)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Two persons who overlap, a crowd, a car, and a chair that no model here knows."""

    def square(x: int, y: int, side: int) -> list[list[float]]:
        return [[x, y, x + side, y, x + side, y + side, x, y + side]]

    rows = [
        (1, square(10, 10, 40), 1600.0, 0),
        (1, square(30, 10, 40), 1600.0, 0),
        (1, square(80, 60, 30), 900.0, 1),
        (7, square(0, 70, 20), 77.0, 0),
        (9, square(60, 70, 5), 25.0, 0),
    ]
    file = tmp_path / "annotations" / "instances_val.json"
    file.parent.mkdir()
    file.write_text(
        json.dumps(
            {
                "images": [
                    {"id": 41, "file_name": "b/x.jpg", "width": 120, "height": 100},
                    {"id": 42, "file_name": "x.jpg", "width": 120, "height": 100},
                ],
                "categories": [
                    {"id": 1, "name": "person"},
                    {"id": 7, "name": "car"},
                    {"id": 9, "name": "chair"},
                ],
                "annotations": [
                    {
                        "id": number,
                        "image_id": 41,
                        "category_id": category,
                        "segmentation": segmentation
                        if not crowd
                        else {"size": [100, 120], "counts": [8060, 30, 3910]},
                        "area": area,
                        "iscrowd": crowd,
                        "bbox": [0, 0, 1, 1],
                    }
                    for number, (category, segmentation, area, crowd) in enumerate(rows)
                ],
            }
        )
    )
    return file


def test_masks_of_a_coco_file_keep_their_overlap_their_area_and_their_crowds(
    annotations: Path, tmp_path: Path
) -> None:
    renamed = {"car": "vehicle"}
    pairing = pair(("person", "car", "chair"), CLASSES, renamed)
    data = Renamed(Coco(annotations, tmp_path), CLASSES, renamed)
    shapes = data.true_shapes(data.names.index("b/x"))
    assert [(s.class_name, s.area, s.crowd) for s in shapes] == [
        ("person", 1600.0, False),
        ("person", 1600.0, False),
        ("person", 900.0, True),
        ("vehicle", 77.0, False),
    ]
    assert data.true_shapes(data.names.index("x")) == []
    seen = CocoTruth(pairing.measured)
    seen.see_shapes(SIZE, shapes)
    both = [found((10, 10, 40, 40)), found((30, 10, 40, 40))]
    figures = coco_figures(seen.index(), [1], [both])
    assert figures.by_class["person"]["coco_ap"] == pytest.approx(1.0), (
        "a map that gives each pixel to one person would say less"
    )


def test_an_ignored_category_becomes_a_crowd_of_every_class(
    annotations: Path, tmp_path: Path
) -> None:
    renamed = {"car": "vehicle", "chair": "ignore"}
    shapes = Renamed(Coco(annotations, tmp_path), CLASSES, renamed).true_shapes(0)
    assert (shapes[-1].class_name, shapes[-1].crowd) == ("ignore", True)
    seen = CocoTruth(CLASSES)
    seen.see_shapes(SIZE, [shapes[-1]])
    crowds = [a["category_id"] for a in seen.index().dataset["annotations"] if a["iscrowd"]]
    assert crowds == [1, 2]
    assert np.all([a["iscrowd"] for a in seen.index().dataset["annotations"]])
