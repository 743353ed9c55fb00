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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": 8 * 10**6, "width": 8 * 10**6}, ["(8000000, 8000000)", "at most 16777216 pix"]),
        ({"height": 8 * 10**18}, ["input size", "export it for a smaller input"]),
        ({"height": 8, "width": 16_392}, ["input size", "16384 a side"]),
        ({"height": 4096, "width": 4104}, ["input size"]),
        ({"min_pixels": 10**18}, ["min_pixels is 1000000000000000000, expected 1..16777216"]),
        ({"object_pixels": 1e300}, ["object_pixels is 1e+300, expected more than 0, at most"]),
        ({"grid_step": (1e300, 0.001)}, ["grid_step", "two positive steps, at most 2"]),
    ],
)
def test_sizes_that_no_machine_can_run_are_refused(
    changes: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as error:
        from_metadata(to_metadata(msgspec.structs.replace(ARTIFACT, **changes)), "m.onnx")
    assert len(error.value.faults) == 1
    for word in words:
        assert word in str(error.value)


def test_the_largest_inputs_are_taken() -> None:
    for size in ((4096, 4096), (8, 16_384), (1024, 16_384)):
        large = msgspec.structs.replace(ARTIFACT, height=size[0], width=size[1])
        assert from_metadata(to_metadata(large), "m.onnx") == large


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
