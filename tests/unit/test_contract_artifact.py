import json
from pathlib import Path

import msgspec
import pytest

from contract.artifact import (
    Artifact,
    find_files,
    find_model,
    from_metadata,
    read_card,
    to_metadata,
    write_card,
)
from contract.errors import ConfigurationError

ARTIFACT = Artifact(
    name="street",
    version="1",
    classes=("person", "vehicle"),
    height=576,
    width=768,
    grid_step=(2 / 2047, 1 / 1023),
    n_sigma=2,
    weights_sha256="ab" * 32,
    accuracy={"recall": 0.9},
)


def a_folder(tmp_path: Path, content: bytes = b"graph") -> Path:
    folder = tmp_path / "street" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    write_card(ARTIFACT, folder)
    return folder


def test_an_artifact_survives_its_metadata() -> None:
    assert from_metadata(to_metadata(ARTIFACT), "model.onnx") == ARTIFACT


def test_a_foreign_file_is_refused_with_what_was_found() -> None:
    with pytest.raises(ConfigurationError, match=r"foreign ONNX file.*found \['author'\]"):
        from_metadata({"author": "x"}, "model.onnx")


def test_all_values_that_do_not_fit_are_listed_at_once() -> None:
    broken = msgspec.structs.replace(
        ARTIFACT, schema=2, height=100, classes=(), n_sigma=3, seed_threshold=1.5
    )
    with pytest.raises(ConfigurationError) as error:
        from_metadata(to_metadata(broken), "m.onnx")
    assert [fault.split()[1] for fault in error.value.faults] == [
        *("schema", "classes", "height", "n_sigma", "seed_threshold")
    ]
    assert "m.onnx: height is 100, expected n * 8" in error.value.faults


def test_metadata_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not fit schema 1"):
        from_metadata({"seedstream.artifact": '{"name": "street"}'}, "m.onnx")


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


def test_the_size_of_training_objects_is_optional_and_survives() -> None:
    older = json.loads(to_metadata(ARTIFACT)["seedstream.artifact"])
    del older["object_pixels"]
    metadata = {"seedstream.artifact": json.dumps(older)}
    assert from_metadata(metadata, "model.onnx").object_pixels is None
    told = msgspec.structs.replace(ARTIFACT, object_pixels=209.5)
    assert from_metadata(to_metadata(told), "model.onnx") == told
    with pytest.raises(ConfigurationError, match=r"object_pixels is 0\.0, expected more than 0"):
        from_metadata(to_metadata(msgspec.structs.replace(told, object_pixels=0.0)), "model.onnx")


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
