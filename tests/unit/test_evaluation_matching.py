import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled
from model.evaluation.matching import (
    THRESHOLDS,
    _iou,
    _overlaps,
    average_precision,
    match_instances,
    mean_average_precision,
    score_picture,
)

ONE = np.array([1])


def strip(*runs: tuple[int, int]) -> NDArray[np.int32]:
    """A map of one row: (pixels, id) after each other."""
    return np.concatenate([np.full((1, n), value, np.int32) for n, value in runs], axis=1)


def labelled(instances: NDArray[np.int32], labels: NDArray[np.uint8] | None = None) -> Labelled:
    if labels is None:
        labels = (instances > 0).astype(np.uint8)
    return Labelled(np.zeros((*instances.shape, 3), np.uint8), instances, labels)


def test_iou_of_known_masks() -> None:
    predicted = strip((4, 1), (4, 2), (2, 0))
    true = strip((2, 0), (6, 1), (2, 2))
    assert _iou(_overlaps(predicted, true, 2, 2)) == pytest.approx(
        np.array([[2 / 8, 0], [4 / 6, 0]])
    )


def test_counts_fall_with_the_threshold_and_the_average_precision_follows() -> None:
    # IoU 6/10 with the first, nothing at the second, and one prediction too many.
    true = labelled(strip((10, 7), (5, 0), (5, 300)))
    predicted = strip((6, 1), (4, 0), (5, 2), (5, 0))
    scores = score_picture(predicted, np.array([1, 1]), true)
    at_50, at_60, at_65 = (THRESHOLDS.index(t) for t in (0.5, 0.6, 0.65))
    assert scores.tp[0, [at_50, at_60, at_65]].tolist() == [1, 1, 0]
    assert scores.fp[0, [at_50, at_60, at_65]].tolist() == [1, 1, 2]
    assert scores.fn[0, [at_50, at_60, at_65]].tolist() == [1, 1, 2]
    assert scores.iou[0, at_50] == pytest.approx(0.6)
    assert average_precision(scores) == pytest.approx(3 * (1 / 3) / 9)


def test_one_prediction_over_two_equal_halves_matches_one_of_them() -> None:
    true = labelled(strip((5, 1), (5, 2)))
    scores = score_picture(strip((10, 1)), ONE, true, (0.5,))
    assert (scores.tp.item(), scores.fp.item(), scores.fn.item()) == (1, 0, 1)


def test_two_equal_halves_of_one_object_match_once() -> None:
    true = labelled(strip((10, 1)))
    scores = score_picture(strip((5, 1), (5, 2)), np.array([1, 1]), true, (0.5,))
    assert (scores.tp.item(), scores.fp.item(), scores.fn.item()) == (1, 1, 0)


def test_a_perfect_mask_of_another_class_is_wrong_and_missed() -> None:
    true = labelled(strip((10, 1)), strip((10, 2)).astype(np.uint8))
    scores = score_picture(strip((10, 1)), ONE, true, (0.5,), n_classes=3)
    assert scores.tp.tolist() == [[0], [0], [0]]
    assert scores.fp.tolist() == [[1], [0], [0]]
    assert scores.fn.tolist() == [[0], [1], [0]]


@pytest.mark.parametrize(("on_ignored", "counts"), [(5, 1), (6, 0)])
def test_a_prediction_mostly_on_ignored_pixels_does_not_count(on_ignored: int, counts: int) -> None:
    labels = strip((on_ignored, IGNORE), (20 - on_ignored, 0)).astype(np.uint8)
    scores = score_picture(
        strip((10, 1), (10, 0)), ONE, labelled(np.zeros((1, 20), np.int32), labels), (0.5,)
    )
    assert scores.fp.sum() == counts


def test_an_instance_without_a_pixel_or_without_a_class_does_not_count() -> None:
    true = labelled(strip((5, 4), (5, 0), (5, 9)), strip((10, 0), (5, 1)).astype(np.uint8))
    matches = match_instances(strip((5, 0), (5, 0), (5, 2)), np.array([1, 1]), true)
    assert matches.pairs == [(1, 0, 1.0)]
    assert matches.predicted.tolist() == [0, 1]
    assert (matches.true.tolist(), matches.true_ids.tolist()) == ([1], [9])


def test_ids_may_be_as_large_as_a_map_can_hold() -> None:
    huge = np.iinfo(np.int32).max
    true = labelled(strip((3, huge), (4, 0), (5, 1)))
    matches = match_instances(strip((3, 1), (4, 0), (5, 2)), np.array([1, 1]), true)
    assert sorted(matches.true_ids[t] for _, t, _ in matches.pairs) == [1, huge]


def test_a_picture_without_any_instance_is_left_out_of_the_mean() -> None:
    empty = np.zeros((1, 10), np.int32)
    none = score_picture(empty, np.zeros(0, int), labelled(empty))
    found = score_picture(strip((10, 1)), ONE, labelled(strip((10, 1))))
    missed = score_picture(empty, np.zeros(0, int), labelled(strip((10, 1))))
    assert average_precision(none) is None
    assert mean_average_precision([none, found, missed]) == dict.fromkeys(THRESHOLDS, 0.5)
    assert mean_average_precision([none]) == {}, "0 / 0 is not 1"
    assert mean_average_precision([]) == {}


def test_the_mean_of_one_class_looks_at_no_other_even_where_pictures_show_fewer_classes() -> None:
    first = score_picture(strip((10, 1)), ONE, labelled(strip((10, 1))), (0.5,))
    second = score_picture(
        strip((10, 0)),
        np.zeros(0, int),
        labelled(strip((10, 1)), strip((10, 2)).astype(np.uint8)),
        (0.5,),
    )
    assert mean_average_precision([first, second], 1) == {0.5: 1.0}
    assert mean_average_precision([first, second], 2) == {0.5: 0.0}
    assert mean_average_precision([first, second]) == {0.5: 0.5}


maps = arrays(np.int32, (6, 6), elements=st.integers(0, 4))


@given(maps, maps)
def test_counts_add_up_and_agree_with_the_definition(
    predicted: NDArray[np.int32], instances: NDArray[np.int32]
) -> None:
    scores = score_picture(predicted, np.ones(4, int), labelled(instances), n_classes=1)
    n_predicted, n_true = (len(np.unique(m[m > 0])) for m in (predicted, instances))
    assert (scores.tp + scores.fp == n_predicted).all()
    assert (scores.tp + scores.fn == n_true).all()
    pairs = [
        (a, b, np.sum((predicted == a) & (instances == b)) / union)
        for a in range(1, 5)
        for b in range(1, 5)
        if (union := np.sum((predicted == a) | (instances == b)))
    ]
    for i, threshold in enumerate(THRESHOLDS[1:], start=1):  # unique above one half
        assert scores.tp[0, i] == sum(value >= threshold for *_, value in pairs)
