import json

import msgspec
import pytest

from contract.artifact import Artifact, from_metadata, to_metadata
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


def test_the_size_of_training_objects_is_optional_and_survives() -> None:
    older = json.loads(to_metadata(ARTIFACT)["seedstream.artifact"])
    del older["object_pixels"]
    metadata = {"seedstream.artifact": json.dumps(older)}
    assert from_metadata(metadata, "model.onnx").object_pixels is None
    told = msgspec.structs.replace(ARTIFACT, object_pixels=209.5)
    assert from_metadata(to_metadata(told), "model.onnx") == told
    with pytest.raises(ConfigurationError, match=r"object_pixels is 0\.0, expected more than 0"):
        from_metadata(to_metadata(msgspec.structs.replace(told, object_pixels=0.0)), "model.onnx")
