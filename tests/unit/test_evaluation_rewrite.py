import os
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

import msgspec
import onnx

from contract import artifact as contract
from contract import artifact_files
from contract.errors import ConfigurationError
from model.export.rewrite import check_rewritable, rewrite_artifact
from model.export.stamps import read_stamps
from model.registry.store_files import HISTORY_FILE
from tests.tiny_model import CARD, add_int8_copy, tiny_model, write_artifact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD)


def test_new_values_are_in_the_file_and_in_the_card_and_the_graph_stays(folder: Path) -> None:
    before = onnx.load(folder / "model.onnx")
    new = rewrite_artifact(
        folder, accuracy={"x": 0.5}, seed_threshold=0.7, score_threshold=0.8, min_pixels=16
    )
    assert (new.seed_threshold, new.score_threshold, new.min_pixels) == (0.7, 0.8, 16)
    card = artifact_files.check_file(folder)
    after = onnx.load(folder / "model.onnx")
    metadata = {each.key: each.value for each in after.metadata_props}
    assert contract.from_metadata(metadata, "") == new
    assert card.accuracy == {"x": 0.5}
    assert after.graph == before.graph
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx"]


def test_what_is_not_given_stays(folder: Path) -> None:
    rewrite_artifact(folder, accuracy={"x": 0.5})
    new = rewrite_artifact(folder, min_pixels=9)
    assert new.accuracy == {"x": 0.5}
    assert (new.seed_threshold, new.score_threshold) == (CARD.seed_threshold, CARD.score_threshold)


def test_metadata_of_others_stays(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    onnx.helper.set_model_props(model, {**contract.to_metadata(CARD), "owner": "us"})
    onnx.save(model, folder / "model.onnx")
    artifact_files.write_card(CARD, folder)
    rewrite_artifact(folder, min_pixels=9)
    after = onnx.load(folder / "model.onnx")
    assert {each.key: each.value for each in after.metadata_props}["owner"] == "us"


def test_a_value_out_of_its_range_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigurationError, match=r"seed_threshold is 1\.5, expected 0\.\.1"):
        rewrite_artifact(folder, seed_threshold=1.5, min_pixels=0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_version_of_a_store_is_refused_with_what_to_do(folder: Path) -> None:
    (folder.parent / HISTORY_FILE).write_text("{}")
    (folder.parent / "current").symlink_to("1")
    for path in (folder, folder / "model.onnx", folder.parent, folder.parent / "current"):
        with pytest.raises(ConfigurationError, match=r"a version of a store.*copy the folder"):
            check_rewritable(path)
        with pytest.raises(ConfigurationError, match="a version of a store"):
            rewrite_artifact(path, min_pixels=9)
    assert artifact_files.read_card(folder).min_pixels == CARD.min_pixels


def test_a_folder_without_permission_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(ConfigurationError, match="cannot be written: no permission; copy"):
        rewrite_artifact(folder, min_pixels=9)


def test_a_failure_while_writing_leaves_an_artifact_that_loads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "model.onnx").read_bytes()

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        rewrite_artifact(folder, min_pixels=9)
    monkeypatch.undo()
    assert (folder / "model.onnx").read_bytes() == before
    assert artifact_files.check_file(folder).min_pixels == CARD.min_pixels


def test_every_state_on_the_way_is_an_artifact_that_loads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[int] = []
    replace = Path.replace

    def watched(path: Path, target: Path) -> Path:
        done = replace(path, target)
        states.append(artifact_files.check_file(folder).min_pixels)
        return done

    monkeypatch.setattr(Path, "replace", watched)
    rewrite_artifact(folder, min_pixels=9)
    assert states == [CARD.min_pixels, CARD.min_pixels, 9]


def test_another_file_name_cannot_be_stored(folder: Path) -> None:
    other = folder / "other.onnx"
    (folder / "model.onnx").rename(other)
    with pytest.raises(ConfigurationError, match=r"expected a file model\.onnx"):
        check_rewritable(other)


def test_a_rewrite_that_was_killed_half_way_is_mended_by_the_next_one(folder: Path) -> None:
    add_int8_copy(folder, accuracy={"x": 0.5})
    model = onnx.load(folder / "model.onnx")
    changed = msgspec.structs.replace(
        contract.from_metadata({p.key: p.value for p in model.metadata_props}, ""),
        seed_threshold=0.7,
    )
    onnx.helper.set_model_props(model, contract.to_metadata(changed))
    onnx.save(model, folder / "model.onnx")
    card = artifact_files.read_card(folder)
    further = tuple(msgspec.structs.replace(each, file_sha256="") for each in card.further)
    card = msgspec.structs.replace(card, file_sha256="", further=further)
    (folder / "model.json").write_bytes(artifact_files.encode_card(card))

    rewrite_artifact(folder, min_pixels=3)

    thresholds = {
        name: (stamp.seed_threshold, stamp.min_pixels)
        for name, stamp in read_stamps(folder).items()
    }
    assert thresholds == {"model.onnx": (0.7, 3), "model.int8.onnx": (0.7, 3)}
    artifact_files.check_file(folder)
