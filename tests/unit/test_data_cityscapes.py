from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.cityscapes import BACKGROUND_BELOW, CLASSES, IGNORED, Cityscapes
from model.data.data_set import BrokenSampleError
from model.data.flaws import FlawKind
from model.data.labels import IGNORE
from tests.data_sets import two_objects, write_cityscapes, write_picture


def test_the_classes_are_those_of_the_official_table():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels

    objects = [label for label in labels if label.hasInstances and label.id >= 0]

    assert {x.id: x.name for x in objects if not x.ignoreInEval} == CLASSES
    assert tuple(x.id for x in objects if x.ignoreInEval) == IGNORED
    assert min(x.id for x in objects) == BACKGROUND_BELOW


def test_objects_get_the_label_of_their_class_and_keep_their_number(tmp_path: Path):
    data = Cityscapes(write_cityscapes(tmp_path))

    picture = data.read(0)

    assert data.names == ("train/ulm/ulm_000000_000019", "val/bonn/bonn_000001_000019")
    assert data.classes[:3] == ("person", "rider", "car")
    assert np.array_equal(picture.instances, two_objects(np.int32, 24_000, 26_001))
    assert np.array_equal(picture.labels, two_objects(np.uint8, 1, 3))


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        (26, IGNORE),  # a group of cars that was not taken apart
        (24, IGNORE),
        (29, IGNORE),  # caravans: not evaluated, alone or in a group
        (29_003, IGNORE),
        (30_000, IGNORE),
        (0, 0),  # unlabelled
        (1, 0),  # ego vehicle
        (5, 0),  # dynamic
        (23, 0),  # sky
        (33_000, 8),
        (31_002, 6),
    ],
)
def test_every_official_number_has_its_meaning(tmp_path: Path, official: int, expected: int):
    numbers = {"train/ulm/x": two_objects(np.uint16, 24_005, official)}

    picture = Cityscapes(write_cityscapes(tmp_path, numbers)).read(0)

    there = two_objects() == 2
    assert (picture.labels[there] == expected).all()
    counts = 0 < expected < IGNORE
    assert (picture.instances[there] == (official if counts else 0)).all()
    assert (picture.instances[two_objects() == 1] == 24_005).all()


def test_the_official_split_is_kept(tmp_path: Path):
    root = write_cityscapes(tmp_path)

    data = Cityscapes(root)
    assert [n.split("/")[0] for n in data.part("train").names] == ["train"]
    assert [n.split("/")[0] for n in data.part("validation").names] == ["val"]
    assert not data.notes()


def test_training_alone_on_disk_is_split_by_name_and_that_is_noted(tmp_path: Path):
    data = Cityscapes(
        write_cityscapes(tmp_path, {f"train/ulm/{n}": two_objects() for n in range(40)})
    )

    assert 0 < len(data.part("validation")) < len(data.part("train")) < len(data.part("all")) == 40
    assert data.notes() == ["there is no part 'val': that of training is split by name"]


def test_validation_alone_on_disk_validates_as_a_whole(tmp_path: Path):
    data = Cityscapes(write_cityscapes(tmp_path, {f"val/ulm/{n}": two_objects() for n in range(9)}))

    assert [len(data.part(part)) for part in ("train", "validation", "all")] == [0, 9, 9]
    assert data.notes() == ["there is no part 'train': nothing to learn from"]


@pytest.mark.parametrize("official", [34, 255, 7_001, 34_000])
def test_a_number_that_there_is_not_is_named_and_loses_nothing_else(tmp_path: Path, official: int):
    data = Cityscapes(write_cityscapes(tmp_path))
    write_picture(data.files(0)[1], two_objects(np.uint16, 24_000, official))

    with pytest.raises(BrokenSampleError, match=rf"has the numbers \[{official}\]"):
        data.read(0)
    assert data.read(1).instances.any()


def test_missing_labels_are_named_and_labels_without_a_picture_told(tmp_path: Path):
    data = Cityscapes(write_cityscapes(tmp_path))
    data.files(0)[1].unlink()
    data.files(1)[0].unlink()

    with pytest.raises(BrokenSampleError, match="there is no such file") as caught:
        data.read(0)

    assert caught.value.path.name == "ulm_000000_000019_gtFine_instanceIds.png"
    orphans = Cityscapes(tmp_path).orphans()
    assert [fault.path.name for fault in orphans] == ["bonn_000001_000019_gtFine_instanceIds.png"]


def test_every_missing_folder_is_named_at_once(tmp_path: Path):
    write_cityscapes(tmp_path, {"train/ulm/x": two_objects()})
    (tmp_path / "leftImg8bit" / "train").rename(tmp_path / "gtFine" / "val")
    (tmp_path / "gtFine" / "train").rename(tmp_path / "gtFine" / "old")

    with pytest.raises(ConfigurationError) as caught:
        Cityscapes(tmp_path)

    assert f"{tmp_path}/leftImg8bit/val: there is no such folder" in caught.value.faults
    for part in ("train", "val"):
        with pytest.raises(ConfigurationError) as caught:
            Cityscapes(tmp_path / "nowhere")
        assert f"{tmp_path}/nowhere/leftImg8bit/{part}: there is no such folder" in (
            caught.value.faults
        )
        assert f"{tmp_path}/nowhere/gtFine/{part}: there is no such folder" in caught.value.faults


def test_a_group_of_objects_that_is_ignored_is_told(tmp_path: Path):
    name = "train/ulm/ulm_000000_000019"
    numbers = {name: two_objects(np.uint16, 26, 26_001)}

    picture = Cityscapes(write_cityscapes(tmp_path, numbers)).read(0)

    assert [(flaw.kind, flaw.where) for flaw in picture.flaws] == [(FlawKind.CROWD, "car group")]


def test_coarse_labels_alone_are_refused_with_their_name(tmp_path: Path):
    root = write_cityscapes(tmp_path)
    (root / "gtFine").rename(root / "gtCoarse")

    with pytest.raises(ConfigurationError, match="gtCoarse/ holds rough outlines"):
        Cityscapes(root)


def test_pictures_that_lie_in_no_city_are_missed_by_their_pattern(tmp_path: Path):
    for kind in ("leftImg8bit", "gtFine"):
        (tmp_path / kind / "train").mkdir(parents=True)
    write_picture(tmp_path / "leftImg8bit" / "train" / "a_leftImg8bit.png")

    with pytest.raises(ConfigurationError, match=r"no pictures train/CITY/NAME_leftImg8bit\.png"):
        Cityscapes(tmp_path)
