"""Validation: one pass of the network gives a picture's loss, its instances and its drawing."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from model.data.data_set import Subset  # noqa: E402  (after the skip)
from model.data.open import open_data_set  # noqa: E402
from model.recipes.recipe import load_recipe  # noqa: E402
from model.training.distributed import Processes  # noqa: E402
from model.training.learner import Learner  # noqa: E402
from model.training.reporter import panels_of  # noqa: E402
from model.training.validation import fitted, validate  # noqa: E402
from tests.made_data import write_discs, write_recipe  # noqa: E402

ALONE = Processes(0, 1, torch.device("cpu"))


def test_the_network_sees_each_picture_once(tmp_path: Path) -> None:
    recipe = load_recipe(str(write_recipe(tmp_path)))
    data = Subset(open_data_set(write_discs(tmp_path / "discs", 5, side=40)), range(5))
    torch.manual_seed(0)
    learner = Learner(recipe, 1, 10.0, ALONE, "float32")
    passes: list[torch.Size] = []
    learner.network.register_forward_pre_hook(lambda _, given: passes.append(given[0].shape))

    told: list[tuple[int, int]] = []
    result = validate(learner, recipe, data, ALONE, 3, lambda done, of: told.append((done, of)))

    assert passes == [torch.Size([1, 3, 64, 64])] * 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    shown = [fitted(data[number], recipe.input_size) for number in (0, 2, 4)]
    losses = []
    for picture in shown:
        prediction = learner.predict(torch.from_numpy(picture.image).permute(2, 0, 1)[None])
        targets = (
            torch.from_numpy(each).long()[None] for each in (picture.instances, picture.labels)
        )
        losses.append(learner.loss(prediction, *targets))
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-6)
    assert result.score == pytest.approx(np.mean(list(result.average_precision.values())))
    assert len(result.drawn) == 2, "of many pictures two are drawn"
    for (drawn, maps), expected in zip(result.drawn, shown, strict=False):
        for name in ("image", "instances", "labels"):
            assert np.array_equal(getattr(drawn, name), getattr(expected, name))
        panels = panels_of(drawn, maps, result.artifact)
        assert {panel.shape for panel in panels.values()} == {(64, 64, 3)}
