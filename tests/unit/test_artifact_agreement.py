"""A file is what its artifact's card says of it, by what it says of itself; needs onnx."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract import artifact as contract  # noqa: E402  (after the skip)
from contract.artifact_agreement import MOST_OPSET, check_agreement, read_header  # noqa: E402
from contract.errors import ConfigurationError  # noqa: E402
from model.export.onnx_file import OPSET  # noqa: E402
from model.registry.store import Store  # noqa: E402
from segmentation.engines import open_engine  # noqa: E402
from tests.tiny_model import CARD, add_int8_copy, tiny_model, write_artifact  # noqa: E402

SHIPPED = Path(__file__).parents[2] / "artifacts"
INT8 = "model.int8.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact of two files, in a store."""
    card = msgspec.structs.replace(CARD, precision="float16")
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), card)
    add_int8_copy(folder, weights_sha256="1" * 64)
    return folder


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def list_anew(folder: Path) -> None:
    """Let the card tell the files' sha256, as somebody does who does not look into them."""
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    def change(card: dict[str, Any]) -> None:
        card["file_sha256"] = sha256["model.onnx"]
        for each in card["further"]:
            each["file_sha256"] = sha256[each["file"]]

    edit_card(folder, change)


def say(folder: Path, file: str, /, **changes: Any) -> None:
    """Let a file say something else of itself."""
    model = onnx.load(folder / file)
    stamp = contract.from_metadata({p.key: p.value for p in model.metadata_props}, file)
    stamp = msgspec.structs.replace(stamp, **changes)
    onnx.helper.set_model_props(model, contract.to_metadata(stamp))
    onnx.save(model, folder / file)
    list_anew(folder)


def refusals(folder: Path) -> list[str]:
    """Return what a worker, the other file's worker and the store say."""
    said = []
    for ask in (
        lambda: open_engine(folder, "cpu"),
        lambda: open_engine(folder, "cpu", precision="float16"),
        lambda: Store(folder.parent.parent).promote("tiny", "1"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            ask()
        said.append(str(caught.value))
    assert not (folder.parent / "current").exists()
    return said


def test_what_ships_agrees() -> None:
    for model in ("street/1", "nuclei/2"):
        check_agreement(SHIPPED / model)
        assert read_header(SHIPPED / model / "model.onnx").opset == OPSET <= MOST_OPSET


def test_files_that_agree_are_opened_and_promoted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for precision in ("float16", "int8"):
            engine = open_engine(folder, "cpu", precision=precision)  # type: ignore[arg-type]
            assert engine.choice.precision == engine.artifact.precision == precision
    assert "tiny/1 in int8" in caplog.text
    Store(folder.parent.parent).promote("tiny", "1")


@pytest.mark.parametrize("name", ["model.onnx", INT8])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "nuclei", "classes": ("cell",)}, ["its name is 'nuclei', expected 'tiny', its "]),
        ({"version": "7"}, ["its version is '7', expected '1'"]),
        ({"score_threshold": 0.125}, ["its score_threshold is 0.125, expected 0.5"]),
        ({"precision": "float32"}, ["its precision is 'float32', expected '"]),
        ({"weights_sha256": "2" * 64}, ["its weights_sha256 is '2222", "expected '"]),
        ({"height": 40}, ["its height is 40, expected 32"]),
        ({"connected": True}, ["its connected is True, expected False"]),
    ],
)
def test_a_file_of_another_model_is_refused_by_the_worker_and_by_the_store(
    folder: Path, name: str, changes: dict[str, Any], words: list[str]
) -> None:
    say(folder, name, **changes)
    for said in refusals(folder):
        assert said.count("not the file that model.json beside it lists") == 1
        for word in (f"{folder / name}: ", *words, "copy the folder again"):
            assert word in said


def test_a_card_that_lists_other_weights_is_refused(folder: Path) -> None:
    edit_card(folder, lambda card: card["further"][0].update(weights_sha256="00"))
    for said in refusals(folder):
        assert "its weights_sha256 is '1111" in said


def test_a_file_that_is_named_alone_is_held_against_the_card_beside_it(folder: Path) -> None:
    say(folder, INT8, classes=("cell",))
    with pytest.raises(ConfigurationError, match="its classes is"):
        open_engine(folder / INT8, "cpu")
    assert open_engine(folder / "model.onnx", "cpu").artifact.precision == "float16"
    (folder / "model.json").unlink()
    assert open_engine(folder / INT8, "cpu").artifact.classes == ("cell",)


def test_an_opset_that_no_runtime_has_is_found_in_every_file(folder: Path) -> None:
    model = onnx.load(folder / INT8)
    model.opset_import[0].version = 99
    onnx.save(model, folder / INT8)
    list_anew(folder)
    for said in refusals(folder):
        assert f"{INT8}: its opset is 99, expected at most {MOST_OPSET}" in said


def test_a_file_that_is_no_artifact_or_no_model_is_found_in_every_file(folder: Path) -> None:
    model = onnx.load(folder / INT8)
    model.ClearField("metadata_props")
    onnx.save(model, folder / INT8)
    list_anew(folder)
    for said in refusals(folder):
        assert f"{INT8}: a foreign ONNX file" in said
    (folder / INT8).write_bytes((folder / "model.onnx").read_bytes()[:-40])
    list_anew(folder)
    for said in refusals(folder):
        assert f"{INT8}: not a model that ONNX Runtime can load" in said


def test_while_files_are_rewritten_their_thresholds_differ_but_no_other_model_is_taken(
    folder: Path,
) -> None:
    def hide(card: dict[str, Any]) -> None:
        for each in (card, *card["further"]):
            each["file_sha256"] = ""

    say(folder, INT8, score_threshold=0.7, weights_sha256="3" * 64)
    edit_card(folder, hide)
    check_agreement(folder)
    say(folder, INT8, classes=("cell",))
    edit_card(folder, hide)
    with pytest.raises(ConfigurationError, match="its classes is"):
        check_agreement(folder)
