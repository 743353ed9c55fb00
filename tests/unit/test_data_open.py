from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.cache import Cached
from model.data.check import check
from model.data.data_set import Joined, Renamed, Subset, fingerprint
from model.data.flaws import FlawKind
from model.data.label_maps import LabelMaps
from model.data.layouts import Layout
from model.data.open import detect, open_data_set
from tests.data_sets import (
    annotation,
    two_objects,
    write_cityscapes,
    write_coco,
    write_label_maps,
    write_picture,
    write_yolo,
)

TRIANGLE = "0 0.1 0.1 0.5 0.1 0.5 0.5"


def write(layout: Layout, root: Path) -> Path:
    """Write a data set; return the path to open it by."""
    if layout == "cityscapes":
        return write_cityscapes(root)
    if layout == "label-maps":
        return write_label_maps(root)
    if layout == "yolo":
        return write_yolo(root, {"1": TRIANGLE, "2": TRIANGLE})
    write_coco(root / "annotations" / "instances_all.json", [annotation(1, 100)], root / "images")
    return root


@pytest.mark.parametrize("layout", ["cityscapes", "coco", "label-maps", "yolo"])
def test_every_layout_is_known_by_its_files(tmp_path: Path, layout: Layout):
    root = write(layout, tmp_path)

    data = open_data_set(root)

    assert detect(root) == layout
    assert data.root == root
    assert data.read(0).instances.any()
    assert fingerprint(data) == fingerprint(open_data_set(root, layout=layout))


@pytest.mark.parametrize("layout", ["cityscapes", "coco", "label-maps", "yolo"])
def test_a_layout_that_is_asked_for_but_not_there_is_refused(tmp_path: Path, layout: Layout):
    write_picture(tmp_path / "holidays" / "1.jpg")

    with pytest.raises(ConfigurationError):
        open_data_set(tmp_path, layout=layout)


def test_an_unknown_folder_says_what_was_looked_for_and_found(tmp_path: Path):
    write_picture(tmp_path / "holidays" / "1.jpg")
    (tmp_path / "notes.txt").touch()

    with pytest.raises(ConfigurationError, match=r"found holidays/, notes\.txt; expected city"):
        open_data_set(tmp_path)
    with pytest.raises(ConfigurationError, match="is a file; expected city"):
        open_data_set(tmp_path / "notes.txt")
    with pytest.raises(ConfigurationError, match="there is no such data set"):
        open_data_set(tmp_path / "nowhere")


def test_an_unknown_folder_names_those_in_it_that_are_known(tmp_path: Path):
    write_yolo(tmp_path / "export", {"1": TRIANGLE})
    write_picture(tmp_path / "holidays" / "1.jpg")

    with pytest.raises(
        ConfigurationError,
        match=r"found export/, holidays/ \(name a folder in it that is one: export/ \(yolo\)\)",
    ):
        open_data_set(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("1.xml", "XML holds boxes, which do not say which pixel is whose"),
        ("1_seg.npy", "is Cellpose's own format; save its masks as PNG or TIFF"),
    ],
)
def test_labels_that_cannot_be_read_are_told_as_that(tmp_path: Path, name: str, reason: str):
    write_picture(tmp_path / "holidays" / "1.jpg")
    (tmp_path / "holidays" / name).touch()

    with pytest.raises(ConfigurationError, match=reason):
        open_data_set(tmp_path)


def test_a_file_of_coco_beside_pictures_of_voc_is_coco(tmp_path: Path):
    path = tmp_path / "annotations.json"
    write_coco(path, [annotation(1, 100)], tmp_path / "JPEGImages")
    path.write_text(path.read_text().replace('"0000', '"JPEGImages/0000'))

    data = open_data_set(tmp_path)

    assert detect(tmp_path) == "coco"
    assert data.read(0).instances.any()


def test_a_json_file_is_opened_as_coco_and_split_by_name(tmp_path: Path):
    path = write_coco(tmp_path / "x.json", [annotation(1, 100)], tmp_path / "images", count=40)

    train, validation = (open_data_set(path, split=split) for split in ("train", "validation"))

    assert len(train) + len(validation) == 40
    assert 0 < len(validation) < len(train)
    assert train.root == path


def test_annotation_files_of_train_and_val_are_the_split(tmp_path: Path):
    for part, count in (("train2017", 3), ("val2017", 2), ("test2017", 1)):
        path = tmp_path / "annotations" / f"instances_{part}.json"
        write_coco(path, [annotation(1, 100)], tmp_path / part, count)

    assert open_data_set(tmp_path, split="train").names[0] == "train2017/000000000000"
    assert len(open_data_set(tmp_path, split="train")) == 3
    assert len(open_data_set(tmp_path, split="validation")) == 2
    whole = open_data_set(tmp_path)
    assert len(set(whole.names)) == len(whole) == 5
    assert [len(whole.true_shapes(number) or ()) for number in range(5)] == [1, 0, 0, 1, 0]


def test_annotation_files_that_disagree_about_the_categories_are_refused(tmp_path: Path):
    for part in ("train", "val"):
        write_coco(tmp_path / "annotations" / f"instances_{part}.json", [], tmp_path / "images")
    path = tmp_path / "annotations" / "instances_val.json"
    path.write_text(path.read_text().replace("bottle", "jar"))

    with pytest.raises(ConfigurationError, match="categories differ"):
        open_data_set(tmp_path)


def test_classes_choose_some_in_an_order_and_the_others_become_background(tmp_path: Path):
    data = open_data_set(write_cityscapes(tmp_path), classes=["car"])

    assert data.classes == ("car",)
    assert np.array_equal(data.read(0).labels, two_objects() == 2)
    assert set(np.unique(data.read(0).instances)) == {0, 26_001}


def test_every_class_that_there_is_not_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError) as caught:
        open_data_set(write_cityscapes(tmp_path), classes=["cat", "car", "dog"])

    assert len(caught.value.faults) == 2


def test_classes_name_those_of_label_maps(tmp_path: Path):
    assert open_data_set(write_label_maps(tmp_path), classes=["cell"]).classes == ("cell",)


def test_label_maps_may_name_the_pictures_that_validate(tmp_path: Path):
    root = write_label_maps(tmp_path)
    (root / "dataset.json").write_text('{"validation": ["b"]}')

    names = {part: open_data_set(root, split=part).names for part in ("train", "validation", "all")}

    assert names == {"train": ("a", "c"), "validation": ("b",), "all": ("a", "b", "c")}


def test_label_maps_with_names_take_classes_as_a_choice_or_as_new_names(tmp_path: Path):
    root = write_label_maps(tmp_path)
    for name in "abc":
        write_picture(root / "classes" / f"{name}.png", two_objects(np.uint8, 1, 2))
    (root / "dataset.json").write_text('{"classes": ["cell", "debris"]}')

    chosen = open_data_set(root, classes=["debris"])
    renamed = open_data_set(root, classes=["zelle", "rest"])

    assert np.array_equal(chosen.read(0).labels, two_objects() == 2)
    assert renamed.classes == ("zelle", "rest")
    assert np.array_equal(renamed.read(0).labels, two_objects())
    with pytest.raises(ConfigurationError, match="has 2 classes"):
        open_data_set(root, classes=["rest"])


def test_what_wraps_a_data_set_passes_on_what_is_known_of_all_of_it(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": TRIANGLE, "2": None})
    (root / "labels" / "3.txt").touch()
    data = open_data_set(root)

    for wrapped in (
        Subset(data, [0]),
        Renamed(data, ["class0"]),
        Cached(data, 0),
        Joined([data]),
    ):
        assert wrapped.notes() == data.notes() != []
        assert [fault.path.name for fault in wrapped.orphans()] == ["3.txt"]
        assert wrapped.true_shapes(0) is None


def test_warnings_of_a_card_reach_whoever_uses_a_part_of_the_data(tmp_path: Path):
    root = write_label_maps(tmp_path)
    (root / "dataset.json").write_text('{"warnings": ["gate: 3 seconds"], "validation": ["b"]}')
    data = open_data_set(root, split="train")

    for wrapped in (data, Subset(data, [0]), Renamed(data, ["object"]), Cached(data, 0)):
        assert list(wrapped.warnings()) == ["gate: 3 seconds"]
    assert Joined([data, data]).warnings() == ["gate: 3 seconds"] * 2
    assert check(data).notes == ["gate: 3 seconds"]


def test_a_fingerprint_follows_what_is_in_the_files_and_bears_missing_ones(tmp_path: Path):
    root = write_label_maps(tmp_path)
    before = fingerprint(LabelMaps(root))
    write_picture(root / "instances" / "b.png", two_objects(np.uint16, 1, 3))
    changed = fingerprint(LabelMaps(root))
    (root / "instances" / "b.png").unlink()
    missing = fingerprint(LabelMaps(root))

    assert len({before, changed, missing}) == 3


def test_an_object_that_loses_a_part_with_a_class_is_told(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    classes = two_objects(np.uint8, 1, 2)
    classes[20:, :] = np.where(classes[20:, :] == 2, 1, 0)  # the lower half of the second object
    write_picture(tmp_path / "classes" / "a.png", classes)
    (tmp_path / "dataset.json").write_text('{"classes": ["cell", "dirt"]}')

    flaws = open_data_set(tmp_path, classes=["dirt"]).read(0).flaws

    assert [(flaw.kind, flaw.where) for flaw in flaws] == [(FlawKind.TRIMMED, "object 2")]
