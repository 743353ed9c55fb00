"""Ten pictures of a new scene: a shipped model that learns on beats a new network."""

import json
from pathlib import Path

import pytest

from contract.settings import load_settings
from model.export.artifact_weights import read_weights
from model.net.checkpoint import load_checkpoint
from model.training.settings import TrainSettings
from model.training.trainer import train
from tests.made_street import STREET_RECIPE, write_street

STEPS = 12


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("street")
    recipe = folder / "street.toml"
    recipe.write_text(STREET_RECIPE.format(crops=4 * STEPS))
    data = write_street(folder / "data")
    found = {}
    for name, weights in (("tuned", Path("artifacts/street/1")), ("new", None)):
        settings = load_settings(
            TrainSettings,
            recipe=str(recipe),
            data=data,
            out=folder / name,
            device="cpu",
            precision="float32",
            threads=1,
            data_workers=0,
            log_every=1,
            initial_weights=weights,
        )
        found[name] = train(settings, read_weights)
    return found


def losses(best: Path) -> list[float]:
    lines = (best.parent.parent / "log.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def test_at_equal_steps_the_shipped_model_finds_more_than_a_new_one(runs) -> None:
    tuned, new = (load_checkpoint(runs[name]).accuracy for name in ("tuned", "new"))

    assert len(losses(runs["tuned"])) == len(losses(runs["new"])) == STEPS
    assert tuned["ap_at_iou_0.5"] > new["ap_at_iou_0.5"] + 0.3


def test_its_first_steps_begin_where_the_shipped_model_stands(runs) -> None:
    assert losses(runs["tuned"])[0] < 0.5 * losses(runs["new"])[0]


def test_the_record_names_the_artifact_and_the_weights_credit_its_data(runs) -> None:
    record = json.loads((runs["tuned"].parent.parent / "run.json").read_text())

    assert record["initial_weights"]["path"] == "artifacts/street/1/model.onnx"
    assert "COCO128 (annotations CC BY 4.0" in load_checkpoint(runs["tuned"]).training_data
    assert load_checkpoint(runs["new"]).training_data == ""
