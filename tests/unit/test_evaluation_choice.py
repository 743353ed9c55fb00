import msgspec
import numpy as np
import pytest

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.evaluation.classes import pair, parse_classes
from model.evaluation.figures import Figures, bowl, detection, quality
from model.evaluation.matching import PictureScores
from model.evaluation.predict import Cell
from model.evaluation.ranking import Metric
from model.evaluation.thresholds import (
    Row,
    Tried,
    as_shipped,
    choose,
    grid,
    is_flat,
    parse_numbers,
    sizes,
)

CARD = Artifact(
    name="a",
    version="1",
    classes=("person", "vehicle"),
    height=384,
    width=384,
    grid_step=(1e-3, 1e-3),
    n_sigma=1,
    weights_sha256="",
    seed_threshold=0.6,
    score_threshold=0.8,
    min_pixels=40,
)


def scores(*rows: tuple[int, int, int, float]) -> PictureScores:
    """One row of (tp, fp, fn, sum of IoU) for each class, at the one threshold 0.5."""
    tp, fp, fn, iou = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    return PictureScores((0.5,), tp, fp, fn, iou)


def test_counts_are_summed_over_pictures_before_they_are_divided() -> None:
    figures = detection(
        [scores((3, 1, 0, 2.4)), scores((0, 1, 2, 0.0), (1, 0, 0, 0.9))], CARD.classes
    )
    person, vehicle = figures.by_class["person"], figures.by_class["vehicle"]
    assert (person["recall_at_iou_0.5"], person["precision_at_iou_0.5"]) == (3 / 5, 3 / 5)
    assert person["mean_iou_of_matches"] == pytest.approx(0.8)
    assert person["panoptic_quality"] == pytest.approx(2.4 / (3 + (2 + 2) / 2))
    assert vehicle["panoptic_quality"] == pytest.approx(0.9)
    assert figures.overall["f1_at_iou_0.5"] == pytest.approx(2 * 4 / (2 * 4 + 2 + 2))
    assert figures.overall["panoptic_quality"] == pytest.approx((0.48 + 0.9) / 2)


def test_average_precision_is_a_mean_over_pictures_and_not_over_instances() -> None:
    figures = bowl([scores((1, 0, 0, 1.0)), scores((0, 0, 9, 0.0))], CARD.classes)
    assert figures.overall == {"average_precision_at_iou_0.5": 0.5, "average_precision": 0.5}
    assert set(figures.by_class) == {"person"}


def test_what_has_no_denominator_is_no_figure() -> None:
    nothing, silent, wrong = scores((0, 0, 0, 0.0)), scores((0, 0, 9, 0.0)), scores((0, 3, 0, 0.0))
    assert quality(detection([nothing], CARD.classes).overall) == {}
    assert quality(bowl([nothing], CARD.classes).overall) == {}
    said = quality(detection([silent], CARD.classes).overall)
    assert said == {"recall_at_iou_0.5": 0, "f1_at_iou_0.5": 0, "panoptic_quality": 0}
    said = quality(detection([wrong], CARD.classes).overall)
    assert said == {"precision_at_iou_0.5": 0, "f1_at_iou_0.5": 0, "panoptic_quality": 0}
    assert bowl([silent], CARD.classes).overall["average_precision"] == 0


def row(threshold: float, size: int, main: float, f1: float) -> Row:
    return Row(
        Cell(threshold, size),
        Figures({"f1_at_iou_0.5": f1}),
        Figures({"coco_ap": main, "average_precision_at_iou_0.5": main, "average_precision": main}),
    )


def test_average_precision_chooses_one_threshold_for_both() -> None:
    rows = [row(0.5, 8, 0.5, 0.9), row(0.7, 8, 0.6, 0.7), row(0.7, 32, 0.55, 0.8)]
    best = choose(rows, "average-precision", CARD)
    assert (best.seed_threshold, best.score_threshold, best.min_pixels) == (0.7, 0.7, 8)
    assert best.figures.overall["average_precision"] == 0.6


def test_a_ranking_metric_chooses_what_is_ranked_and_f1_chooses_what_is_reported() -> None:
    rows = [
        row(0.5, 8, 0.6, 0.3),
        row(0.7, 8, 0.5, 0.8),
        row(0.9, 8, 0.4, 0.7),
        row(0.7, 32, 0.55, 0.95),
    ]
    best = choose(rows, "coco", CARD)
    assert (best.seed_threshold, best.score_threshold, best.min_pixels) == (0.5, 0.7, 8)
    assert best.figures.overall["coco_ap"] == 0.6
    assert best.figures.overall["f1_at_iou_0.5"] == 0.8


@pytest.mark.parametrize("metric", ["average-precision", "coco"])
def test_of_equal_figures_those_nearest_to_the_artifacts_own_win(metric: Metric) -> None:
    rows = [row(t, m, 0.6, 0.5) for m in (8, 32, 128) for t in (0.5, 0.7, 0.85, 0.975)]
    rows += [row(t, 40, 0.5, 0.4) for t in (0.6, 0.8)]
    best = choose(rows, metric, CARD)
    seed = 0.85 if metric == "average-precision" else 0.7  # it ranks from the seed threshold on
    assert (best.seed_threshold, best.score_threshold, best.min_pixels) == (seed, 0.85, 32)


@pytest.mark.parametrize("metric", ["average-precision", "coco"])
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_a_flat_sweep_keeps_the_artifacts_own_thresholds(metric: Metric, level: float) -> None:
    rows = [row(t, m, level, level) for m in (8, 40, 128) for t in (0.5, 0.6, 0.8, 0.975)]
    assert is_flat(rows, metric)
    best = choose(rows, metric, CARD)
    assert (best.seed_threshold, best.score_threshold, best.min_pixels) == (0.6, 0.8, 40)
    assert not is_flat([*rows, row(0.9, 8, level, level + 0.1)], metric)


def test_the_artifact_as_it_is_ranks_from_the_seed_and_reports_from_the_score_threshold() -> None:
    rows = [row(0.6, 40, 0.5, 0.1), row(0.8, 40, 0.4, 0.9), row(0.9, 40, 0.3, 0.7)]
    shipped = as_shipped(rows, CARD, None, ranked=True)
    assert shipped.figures.overall["coco_ap"] == 0.5
    assert shipped.figures.overall["f1_at_iou_0.5"] == 0.9
    asked = as_shipped(rows, CARD, 0.9, ranked=False)
    assert asked.score_threshold == 0.9
    assert asked.figures.overall["coco_ap"] == 0.3


@pytest.mark.parametrize(
    ("size", "expected"),
    [((384, 384), (8, 16, 32, 40, 64, 128)), ((1024, 2048), (30, 40, 60, 121, 241, 483))],
)
def test_the_sizes_tried_follow_the_side_of_the_input(
    size: tuple[int, int], expected: tuple[int, ...]
) -> None:
    card = msgspec.structs.replace(CARD, height=size[0], width=size[1])
    assert sizes(card, np.zeros(0)) == expected


def test_sizes_are_tried_up_to_those_of_the_labelled_objects() -> None:
    tall = np.linspace(2000, 9000, 101)
    assert sizes(CARD, tall) == (8, 16, 32, 40, 64, 128, 588, 1175, 1762)
    assert {cell.min_pixels for cell in grid(CARD, Tried(), tall)} == {*sizes(CARD, tall)}
    small = np.full(9, 40.0)  # 10, 20 and 30 are close to what is tried anyway
    assert sizes(CARD, small) == sizes(CARD, np.zeros(0)) == (8, 16, 32, 40, 64, 128)


def test_a_sweep_tries_every_pair_and_what_the_artifact_ships_with() -> None:
    cells = grid(CARD, Tried([0.5, 0.9], [16]))
    assert cells == [Cell(t, m) for m in (16, 40) for t in (0.5, 0.6, 0.8, 0.9)]


def test_values_that_cannot_be_tried_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        grid(CARD, Tried([0.3, 0.7, 1.2], [0, 16, 10**6]))
    assert [fault.split(",")[0] for fault in caught.value.faults] == [
        "a seed threshold is 0.3",
        "a seed threshold is 1.2",
        "a minimum size is 0",
        "a minimum size is 1000000",
    ]


@pytest.mark.parametrize("text", ["nan", "0.5,inf", "-inf"])
def test_numbers_of_a_flag_are_finite(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--x is '{text}', expected finite numbers"):
        parse_numbers(text, float, "--x")


def test_numbers_of_a_flag_are_parsed_or_named() -> None:
    assert parse_numbers("0.5,0.75", float, "--x") == [0.5, 0.75]
    assert parse_numbers(None, int, "--x") is None
    with pytest.raises(ConfigurationError, match=r"--x is '8,a', expected whole numbers"):
        parse_numbers("8,a", int, "--x")


def test_classes_of_one_name_belong_together_and_others_are_background() -> None:
    pairing = pair(["person", "vehicle", "chair"], CARD.classes, {})
    assert pairing.measured == ("person", "vehicle")
    assert pairing.left_out == ("chair",)


def test_a_mapping_may_leave_a_class_of_the_model_unmeasured() -> None:
    pairing = pair(["human", "dog"], CARD.classes, {"human": "person", "dog": "ignore"})
    assert pairing.measured == ("person",)
    assert pairing.left_out == ()


def test_classes_that_do_not_match_are_listed_on_both_sides_with_what_to_say() -> None:
    with pytest.raises(ConfigurationError) as caught:
        pair(["person", "car"], CARD.classes, {})
    (fault,) = caught.value.faults
    assert "['vehicle'] are none of the data's" in fault
    assert "the model has ['person', 'vehicle'], the data have ['person', 'car']" in fault
    assert "--classes car=vehicle" in fault


def test_a_class_that_both_have_is_never_to_become_another() -> None:
    with pytest.raises(ConfigurationError) as caught:
        pair(["person"], CARD.classes, {})
    (fault,) = caught.value.faults
    assert "person=vehicle" not in fault
    assert "measure only what both have: --classes person=person" in fault


def test_data_and_model_without_a_common_class_are_told_which_is_which() -> None:
    with pytest.raises(ConfigurationError, match="like --classes human=person ") as caught:
        pair(["human"], ["person"], {})
    assert "both have" not in str(caught.value)


def test_a_mapping_with_unknown_names_is_refused_with_both_lists() -> None:
    with pytest.raises(ConfigurationError) as caught:
        pair(["person", "car"], CARD.classes, {"cat": "person", "car": "tram"})
    assert "names 'cat', but the data have the classes ['person', 'car']" in caught.value.faults[0]
    assert "makes 'car' 'tram', but the model has" in caught.value.faults[1]


def test_a_mapping_is_read_from_text() -> None:
    assert parse_classes("car=vehicle, person = person") == {"car": "vehicle", "person": "person"}
    assert parse_classes(None) == {}


@pytest.mark.parametrize("text", ["car", "car=", "=vehicle", "car=vehicle,car=person", ""])
def test_a_text_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected each class of the data once"):
        parse_classes(text)
