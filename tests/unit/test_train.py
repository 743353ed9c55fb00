import json

import numpy as np
import pytest
import torch

import model.training.train as loop
from contract.errors import ConfigurationError
from contract.settings import load_settings
from model.augment.compose import Composer
from model.data.labels import CutOut, Labelled, Scene
from model.recipes import Recipe, load_recipe
from model.training.settings import TrainSettings
from model.training.train import NonFiniteLossError, train

TINY = Recipe(
    name="tiny",
    classes=("person", "vehicle"),
    sources=(),
    input_size=(32, 32),
    training_data="squares",
    batch=2,
    crop=32,
)


def tiny_composer() -> Composer:
    shape = (48, 48)
    picture = Labelled(
        np.full((*shape, 3), 90, np.uint8), np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    )
    cut_out = CutOut(np.full((16, 8, 3), 220, np.uint8), np.full((16, 8), 255, np.uint8), 1)
    return Composer([Scene([picture], 1.0, (1.0, 1.0))], [cut_out], crop=32)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "load_recipe", lambda name: TINY)
    monkeypatch.setattr(loop, "load_data", lambda recipe, data: tiny_composer())

    def settings(**overrides) -> TrainSettings:
        given = {
            "recipe": "tiny",
            "out": tmp_path / "run",
            "steps": 4,
            "device": "cpu",
            "bfloat16": False,  # slow on small crops: every kernel is compiled first
            "threads": 1,
            "data_workers": 0,
            "checkpoint_every": 2,
            "log_every": 1,
        }
        return load_settings(TrainSettings, **given | overrides)

    return settings


def test_a_run_leaves_a_checkpoint_that_export_can_read(tiny):
    path = train(tiny())

    state = torch.load(path, weights_only=True)
    assert state["step"] == 4
    assert state["classes"] == ["person", "vehicle"]
    assert state["input_size"] == [32, 32]
    assert not path.with_suffix(".partial").exists()


def test_the_log_holds_every_term(tiny):
    path = train(tiny())

    lines = [json.loads(line) for line in path.with_name("log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert all({"instance", "variance", "seed", "seconds"} <= line.keys() for line in lines)


def test_a_stopped_run_goes_on_where_it_was(tiny, monkeypatch, tmp_path):
    whole = torch.load(train(tiny(out=tmp_path / "whole")), weights_only=True)

    save, calls = loop._Run.save, []

    def save_then_stop(run, path, step):
        save(run, path, step)
        calls.append(step)
        if step == 2 and len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Run, "save", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(tiny())
    resumed = torch.load(train(tiny()), weights_only=True)

    assert calls == [2, 4]
    assert resumed["schedule_state_dict"] == whole["schedule_state_dict"]
    assert resumed["optimizer_state_dict"]["state"][0]["step"] == 4


def test_a_finished_run_is_not_repeated(tiny, monkeypatch):
    first = train(tiny())
    written = first.stat().st_mtime_ns

    assert train(tiny()) == first
    assert first.stat().st_mtime_ns == written


def test_a_folder_with_another_run_is_refused(tiny):
    train(tiny())

    with pytest.raises(ConfigurationError, match="over 4 steps, expected 'tiny' over 6"):
        train(tiny(steps=6))


def test_a_loss_that_is_no_number_stops_and_says_what_to_do(tiny, monkeypatch):
    bad = tiny_composer()
    monkeypatch.setattr(loop, "load_data", lambda recipe, data: bad)
    monkeypatch.setattr(loop, "W_SEED", float("nan"))

    with pytest.raises(NonFiniteLossError, match="learning_rate"):
        train(tiny())


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'nope', expected one of .*street"):
        load_recipe("nope")


def test_the_street_recipe_never_reads_the_held_out_frames():
    street = load_recipe("street")

    clip = next(s for s in street.sources if "vtest" in getattr(s, "path", ""))
    assert clip.last == 300
    assert all("pets" not in str(source) for source in street.sources)


def test_cuda_is_refused_where_there_is_none(tiny, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ConfigurationError, match="no CUDA device"):
        train(tiny(device="cuda"))
