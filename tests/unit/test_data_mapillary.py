import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError
from model.data.labels import IGNORE
from model.data.mapillary import Mapillary
from model.data.open import detect, open_data_set
from tests.data_sets import two_objects, write_picture

LABELS = [
    {"name": "animal--bird", "instances": True, "evaluate": True, "readable": "Bird"},
    {"name": "construction--flat--road", "instances": False, "evaluate": True},
    {"name": "object--vehicle--car", "instances": True, "evaluate": True},
    {"name": "marking--car", "instances": True, "evaluate": True},
    {"name": "object--wheels", "instances": True, "evaluate": False},
    {"name": "void--unlabeled", "instances": False, "evaluate": False},
]
CAR = 2 * 256


def with_road(first: int, second: int) -> NDArray[np.uint16]:
    """Return two objects on a road."""
    return np.where(two_objects() == 0, 256, two_objects(np.uint16, first, second)).astype(
        np.uint16
    )


def write_mapillary(root: Path, version: str = "v2.0", parts: tuple[str, ...] = ()) -> Path:
    """Write two pictures of training and one of validation, a bird and a car in each."""
    for name in parts or ("training/a", "training/b", "validation/c"):
        part, _, stem = name.partition("/")
        write_picture(root / part / "images" / f"{stem}.jpg")
        path = root / part / version / "instances" / f"{stem}.png"
        write_picture(path, with_road(0, CAR))
    config = root / (f"config_{version}.json" if version else "config.json")
    config.write_text(json.dumps({"labels": LABELS, "version": version}))
    return root


@pytest.mark.parametrize("version", ["", "v1.2", "v2.0"])
def test_objects_are_the_instances_of_the_classes_that_have_some(tmp_path: Path, version: str):
    data = open_data_set(write_mapillary(tmp_path, version))

    picture = data.read(0)

    assert detect(tmp_path) == "mapillary"
    assert data.classes == ("bird", "object--vehicle--car", "marking--car")
    assert data.names == ("training/a", "training/b", "validation/c")
    assert np.array_equal(picture.labels, two_objects(np.uint8, 1, 2))
    assert np.array_equal(picture.instances, two_objects(np.int32, 1, CAR + 1))


def test_the_newest_version_of_the_labels_is_read(tmp_path: Path):
    write_mapillary(tmp_path, "v1.2")
    write_mapillary(tmp_path, "v2.0")

    assert Mapillary(tmp_path).files(0)[1].parts[-3] == "v2.0"


@pytest.mark.parametrize(("number", "label"), [(4 * 256 + 3, IGNORE), (5 * 256, IGNORE), (256, 0)])
def test_what_is_not_evaluated_or_not_labelled_is_ignored(tmp_path: Path, number: int, label: int):
    data = Mapillary(write_mapillary(tmp_path))
    write_picture(data.files(0)[1], with_road(number, CAR))

    picture = data.read(0)

    assert (picture.labels[two_objects() == 1] == label).all()
    assert not picture.instances[two_objects() == 1].any()


def test_the_official_split_is_kept_and_one_part_alone_is_split_by_name(tmp_path: Path):
    write_mapillary(tmp_path / "both")
    write_mapillary(tmp_path / "one", parts=tuple(f"training/{n}" for n in range(40)))

    assert open_data_set(tmp_path / "both", split="validation").names == ("validation/c",)
    assert 0 < len(open_data_set(tmp_path / "one", split="validation")) < 20


def test_a_number_that_there_is_not_is_named_and_loses_nothing_else(tmp_path: Path):
    data = Mapillary(write_mapillary(tmp_path))
    write_picture(data.files(0)[1], two_objects(np.uint16, 256 * 6, CAR))

    with pytest.raises(BrokenSampleError, match=r"has the classes \[6\], expected 0\.\.5"):
        data.read(0)
    assert data.read(1).instances.any()


def test_labels_without_a_picture_are_told(tmp_path: Path):
    (write_mapillary(tmp_path) / "training" / "images" / "b.jpg").unlink()

    assert [fault.path.name for fault in Mapillary(tmp_path).orphans()] == ["b.png"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "expected Mapillary's configuration"),
        ('{"labels": [{"name": "x", "instances": false}]}', "0 classes with instances"),
        (None, "there is no such file"),
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str | None, fault: str):
    path = write_mapillary(tmp_path) / "config_v2.0.json"
    path.unlink()
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigurationError, match=fault):
        open_data_set(tmp_path, layout="mapillary")


def test_a_map_of_classes_is_not_taken_for_one_of_instances(tmp_path: Path):
    data = Mapillary(write_mapillary(tmp_path))
    write_picture(data.files(0)[1], two_objects(np.uint8, 2, 2))

    with pytest.raises(BrokenSampleError, match="has 8 bits, which is a map of classes"):
        data.read(0)


def test_parts_with_different_versions_of_the_labels_say_so(tmp_path: Path):
    write_mapillary(tmp_path, "v1.2", ("training/a",))
    write_mapillary(tmp_path, "v2.0", ("validation/c",))

    with pytest.raises(ConfigurationError, match=r"no version of the labels in common: .*v1\.2"):
        open_data_set(tmp_path)


def test_two_pictures_of_one_name_are_told(tmp_path: Path):
    write_picture(write_mapillary(tmp_path) / "training" / "images" / "a.png")

    data = Mapillary(tmp_path)

    assert data.names.count("training/a") == 1
    assert [fault.reason for fault in data.orphans()] == ["is left out: a.jpg has the same name"]


def test_a_missing_part_is_told(tmp_path: Path):
    write_mapillary(tmp_path, parts=("validation/c",))

    assert Mapillary(tmp_path).notes() == ["there is no part 'training': nothing to learn from"]


def test_a_configuration_with_a_byte_order_mark_is_read(tmp_path: Path):
    path = write_mapillary(tmp_path) / "config_v2.0.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")

    assert Mapillary(tmp_path).classes[0] == "bird"


def test_one_part_alone_names_the_folder_above_it(tmp_path: Path):
    write_mapillary(tmp_path, "")

    with pytest.raises(ConfigurationError, match="training: is one part of Mapillary Vistas; name"):
        open_data_set(tmp_path / "training")


def test_its_maps_without_the_configuration_are_no_label_maps(tmp_path: Path):
    write_mapillary(tmp_path, "")
    for path in tmp_path.rglob("instances/*.png"):
        write_picture(path, np.maximum(with_road(3 * 256, CAR), 256).astype(np.uint16))
    (tmp_path / "config.json").unlink()

    with pytest.raises(ConfigurationError, match=r"class \* 256 \+ n, .* put its config\.json"):
        open_data_set(tmp_path)


def test_label_maps_in_folders_of_these_names_are_label_maps(tmp_path: Path):
    cells = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) + 1
    for part in ("training", "validation"):
        write_picture(tmp_path / part / "images" / "1.jpg")
        write_picture(tmp_path / part / "instances" / "1.png", cells)

    assert detect(tmp_path) == "label-maps"


def test_maps_of_classes_alone_are_refused(tmp_path: Path):
    write_mapillary(tmp_path, "")
    for part in ("training", "validation"):
        (tmp_path / part / "instances").rename(tmp_path / part / "labels")

    with pytest.raises(ConfigurationError, match="maps of classes, which do not say which pixel"):
        open_data_set(tmp_path)
