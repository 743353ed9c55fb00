import json
from pathlib import Path

import msgspec
import pytest

from contract.artifact_files import find_files, find_model, read_card, write_card
from contract.errors import ConfigurationError
from tests.unit.test_contract_artifact import ARTIFACT


def a_folder(tmp_path: Path, content: bytes = b"graph") -> Path:
    folder = tmp_path / "street" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    write_card(ARTIFACT, folder)
    return folder


def test_a_model_is_found_by_file_by_version_and_by_current(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    model = folder / "model.onnx"
    assert find_model(model) == model
    assert find_model(folder) == model
    (folder.parent / "current").symlink_to("1")
    assert find_model(folder.parent).resolve() == model


def test_nothing_there_is_a_clear_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no model here.*found nothing"):
        find_model(tmp_path / "absent")
    (tmp_path / "readme").touch()
    with pytest.raises(ConfigurationError, match=r"found \['readme'\]"):
        find_model(tmp_path)


def test_a_broken_copy_is_refused(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    (folder / "model.onnx").write_bytes(b"grap")
    with pytest.raises(ConfigurationError, match="broken or partial copy"):
        find_model(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(ConfigurationError, match="not a model card"):
        find_model(folder)


INT8 = msgspec.structs.replace(
    ARTIFACT, precision="int8", weights_sha256="cd" * 32, accuracy={"recall": 0.8}
)


def with_int8(tmp_path: Path) -> Path:
    folder = a_folder(tmp_path)
    (folder / "model.int8.onnx").write_bytes(b"small graph")
    write_card(ARTIFACT, folder, {"int8": INT8})
    return folder


def test_all_files_of_an_artifact_are_found_by_precision_and_the_main_one_first(
    tmp_path: Path,
) -> None:
    folder = with_int8(tmp_path)
    (folder.parent / "current").symlink_to("1")
    expected = [("float32", "model.onnx"), ("int8", "model.int8.onnx")]
    for path in (folder, folder.parent, folder.parent / "current"):
        found = find_files(path)
        assert [(precision, file.name) for precision, file in found.items()] == expected
        assert find_model(path).name == "model.onnx"


def test_a_file_that_is_named_stands_for_itself_alone(tmp_path: Path) -> None:
    folder = with_int8(tmp_path)
    for precision, name in (("float32", "model.onnx"), ("int8", "model.int8.onnx")):
        assert find_files(folder / name) == {precision: folder / name}
    (folder / "other.onnx").write_bytes(b"graph")
    assert find_files(folder / "other.onnx") == {None: folder / "other.onnx"}


def test_without_a_card_the_precision_is_unknown(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    (folder / "model.json").unlink()
    assert find_files(folder) == {None: folder / "model.onnx"}


def test_a_card_lists_the_figures_of_each_file(tmp_path: Path) -> None:
    card = read_card(with_int8(tmp_path))
    [int8] = card.further
    assert (card.precision, card.accuracy) == ("float32", {"recall": 0.9})
    assert (int8.precision, int8.accuracy) == ("int8", {"recall": 0.8})
    assert int8.weights_sha256 == "cd" * 32
    assert int8.file_sha256 not in ("", card.file_sha256)


def test_a_card_of_one_file_written_before_there_were_more_is_read(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    older = json.loads((folder / "model.json").read_bytes())
    del older["further"]
    (folder / "model.json").write_text(json.dumps(older))
    assert find_files(folder) == {"float32": folder / "model.onnx"}


@pytest.mark.parametrize("content", [b"small grap", None])
def test_a_folder_is_refused_where_a_further_file_is_broken_or_missing(
    tmp_path: Path, content: bytes | None
) -> None:
    folder = with_int8(tmp_path)
    file = folder / "model.int8.onnx"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="broken or partial copy"):
            find_files(file)
    with pytest.raises(ConfigurationError, match=r"model\.int8\.onnx: .*copy the folder again"):
        find_model(folder)
    assert find_model(folder / "model.onnx") == folder / "model.onnx"


def test_a_card_cannot_lead_to_a_file_elsewhere_nor_list_a_precision_twice(tmp_path: Path) -> None:
    folder = with_int8(tmp_path)
    card = json.loads((folder / "model.json").read_bytes())
    card["further"] = [card["further"][0] | {"file": "../secret"}] * 2
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(ConfigurationError) as error:
        find_files(folder)
    assert "'../secret' of precision int8, expected 'model.int8.onnx'" in error.value.faults[0]
    assert "two files of precision int8" in error.value.faults[-1]


def test_files_of_different_networks_make_no_artifact(tmp_path: Path) -> None:
    folder = with_int8(tmp_path)
    other = msgspec.structs.replace(INT8, classes=("person",), seed_threshold=0.1)
    with pytest.raises(ConfigurationError) as error:
        write_card(ARTIFACT, folder, {"int8": other})
    assert [fault.split()[1] for fault in error.value.faults] == ["classes", "seed_threshold"]
    (folder / "model.float16.onnx").write_bytes(b"graph")
    with pytest.raises(ConfigurationError, match="its precision is int8, expected float16"):
        write_card(ARTIFACT, folder, {"float16": INT8})
    with pytest.raises(ConfigurationError, match="the same precision"):
        write_card(INT8, folder, {"int8": INT8})
