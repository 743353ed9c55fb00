"""Artifacts of several files: their metadata change together; needs onnx, not torch."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract import artifact_files  # noqa: E402  (after the skip)
from contract.errors import ConfigurationError  # noqa: E402
from model.export.rewrite import rewrite_artifact  # noqa: E402
from model.export.stamps import read_stamps, write_stamps  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.tiny_model import CARD, add_int8_copy, tiny_model, write_artifact  # noqa: E402

FILES = ["model.int8.onnx", "model.json", "model.onnx"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    card = msgspec.structs.replace(CARD, accuracy={"recall": 0.9})
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), card)
    add_int8_copy(folder, accuracy={"recall": 0.8})
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_thresholds_are_those_of_every_file(folder: Path) -> None:
    rewrite_artifact(folder, accuracy={"recall": 0.95}, seed_threshold=0.7, min_pixels=9)
    stamps = read_stamps(folder)
    assert {(each.seed_threshold, each.min_pixels) for each in stamps.values()} == {(0.7, 9)}
    for name, artifact in stamps.items():
        assert OnnxEngine(folder / name, provider="cpu").artifact == artifact
    card = artifact_files.check_file(folder)
    assert card.accuracy == {"recall": 0.95}
    assert card.further[0].accuracy == {}, "they were those of other thresholds"
    assert sorted(content(folder)) == FILES


def test_figures_are_those_of_the_file_that_was_measured(folder: Path) -> None:
    before = content(folder)
    new = rewrite_artifact(folder, accuracy={"recall": 0.85}, precision="int8")
    assert (new.precision, new.accuracy) == ("int8", {"recall": 0.85})
    card = artifact_files.check_file(folder)
    assert (card.accuracy, card.further[0].accuracy) == ({"recall": 0.9}, {"recall": 0.85})
    assert content(folder)["model.onnx"] == before["model.onnx"]
    with pytest.raises(ConfigurationError, match="has no file of precision float16"):
        rewrite_artifact(folder, accuracy={"recall": 0.85}, precision="float16")


def test_every_state_on_the_way_is_an_artifact_whose_files_load(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[list[int]] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        done = replace(path, target)
        artifact_files.check_file(folder)
        states.append([each.min_pixels for each in read_stamps(folder).values()])
        return done

    monkeypatch.setattr(Path, "replace", watched)
    rewrite_artifact(folder, min_pixels=9)
    old = CARD.min_pixels
    assert states == [[old, old], [9, old], [9, 9], [9, 9]]


def test_a_file_is_replaced_by_another_that_the_card_then_lists(folder: Path) -> None:
    stamps, int8 = read_stamps(folder), onnx.load(folder / "model.int8.onnx")
    int8.graph.name = "another"
    write_stamps(folder, stamps, {"model.int8.onnx": int8.SerializeToString()})
    assert read_stamps(folder) == stamps, "checked against the card"
    assert onnx.load(folder / "model.int8.onnx").graph.name == "another"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda int8: msgspec.structs.replace(int8, classes=("car",)), "classes is"),
        (lambda int8: msgspec.structs.replace(int8, seed_threshold=1.5), "seed_threshold is 1.5"),
    ],
)
def test_metadata_that_do_not_fit_change_nothing(
    folder: Path, change: Callable[[object], object], said: str
) -> None:
    before, stamps = content(folder), read_stamps(folder)
    fresh = {**stamps, "model.int8.onnx": change(stamps["model.int8.onnx"])}
    fresh["model.onnx"] = msgspec.structs.replace(stamps["model.onnx"], training_data="other")
    with pytest.raises(ConfigurationError, match=said):
        write_stamps(folder, fresh)
    assert content(folder) == before
