"""Which of a run's weights count as its best."""

import math
from typing import Any

import pytest

pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from model.training.checkpoints import is_better

NONE_YET: dict[str, Any] = {"score": None, "step": 0, "accuracy": {}}


def best_of(*validations: tuple[float | None, float]) -> int:
    """Number, from 1, of the validation (score, loss) that a run keeps."""
    best = NONE_YET
    for step, (score, loss) in enumerate(validations, start=1):
        if is_better(score, loss, best):
            best = {"score": score, "loss": loss, "step": step}
    return int(best["step"])


def test_the_higher_score_wins_whatever_the_loss() -> None:
    assert best_of((0.5, 1.0), (0.6, 9.0), (0.4, 0.1)) == 2


def test_of_equal_scores_the_lower_loss_wins_and_of_equal_losses_the_later_step() -> None:
    assert best_of((0.0, 4.0), (0.0, 2.0), (0.0, 3.0)) == 2
    assert best_of((0.0, 2.0), (0.0, 2.0)) == 2
    assert best_of((0.9, 2.0), (0.9, 2.0), (0.8, 1.0)) == 2


def test_a_loss_that_is_no_number_is_worse_than_any() -> None:
    assert best_of((0.0, math.nan), (0.0, 5.0), (0.0, math.nan)) == 2
    assert best_of((0.0, math.nan), (0.0, math.nan)) == 2


def test_a_validation_that_found_nothing_to_measure_by_leaves_it_to_the_loss() -> None:
    assert best_of((None, 3.0), (None, 1.0), (None, 2.0)) == 2
    assert best_of((None, 1.0), (0.0, 9.0)) == 2
    assert best_of((0.0, 9.0), (None, 1.0)) == 1


def test_the_best_of_a_run_of_an_older_version_has_no_loss_and_gives_way_on_ties() -> None:
    assert is_better(0.0, 4.0, {"score": 0.0, "step": 250, "accuracy": {}})
    assert not is_better(0.1, 4.0, {"score": 0.2, "step": 250, "accuracy": {}})
