import json
from pathlib import Path

import msgspec
import pytest

from contract.artifact import Artifact, find_model, from_metadata, to_metadata, write_card
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
