from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.coco80 import COCO_80
from model.data.data_set import BrokenSampleError
from model.data.open import open_data_set
from model.data.yolo import Yolo
from tests.data_sets import SIZE, box_polygon, two_objects, write_picture, write_yolo


def line(number: int, x: float, y: float, width: float, height: float) -> str:
    """Return the line of a box in pixels as a polygon."""
    sizes = (SIZE[1], SIZE[0]) * 4
    corners = box_polygon(x, y, width, height)
    return " ".join([str(number), *(str(c / s) for c, s in zip(corners, sizes, strict=True))])


GOOD = f"{line(0, 5, 5, 10, 10)}\n\n{line(1, 30, 10, 20, 20)}\n"


def test_polygons_become_instances_of_their_class(tmp_path: Path):
    root = write_yolo(tmp_path, {"x/1": GOOD, "2": ""})
    (root / "data.yaml").write_text("names: [cat, dog]\npath: ../somewhere\n")

    data = Yolo(root)
    picture = data.read(data.names.index("x/1"))

    assert sorted(data.names) == ["2", "x/1"]
    assert data.classes == ("cat", "dog")
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, two_objects())


def test_names_may_be_numbered_in_the_yaml_file(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": GOOD})
    (root / "my.yml").write_text("names: {1: dog, 0: cat}")

    assert Yolo(root).classes == ("cat", "dog")
    assert not Yolo(root).notes()


def test_without_names_the_classes_are_numbered_and_that_is_said_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    data = Yolo(write_yolo(tmp_path / "mine", {"1": GOOD}))

    assert data.classes == ("class0", "class1")
    assert data.notes() == ["no data.yaml with names: classes are taken as class0..class1"]
    assert "class0..class1" in caplog.text


def test_without_names_a_folder_called_coco_has_the_80_classes_of_coco(tmp_path: Path):
    data = Yolo(write_yolo(tmp_path / "coco128-seg", {"1": GOOD}))

    assert data.classes == COCO_80
    assert "COCO's 80" in data.notes()[0]
    more = Yolo(write_yolo(tmp_path / "coco-like", {"1": line(80, 5, 5, 10, 10)}))
    assert more.classes[80] == "class80"


def test_a_picture_without_text_has_no_objects_and_that_is_noted(tmp_path: Path):
    data = Yolo(write_yolo(tmp_path, {"1": GOOD, "2": None}))

    assert not data.read(1).instances.any()
    assert "1 pictures have no text file: treated as having no objects" in data.notes()


def test_folders_of_train_and_val_are_the_split(tmp_path: Path):
    data = Yolo(write_yolo(tmp_path, {"train2017/1": GOOD, "train2017/2": GOOD, "val2017/1": GOOD}))

    assert data.part("train").names == ("train2017/1", "train2017/2")
    assert data.part("validation").names == ("val2017/1",)
    assert len(data.part("all")) == 3


def test_folders_above_images_are_a_split_too(tmp_path: Path):
    for part in ("train", "valid"):
        write_yolo(tmp_path / part, {"1": GOOD})

    data = open_data_set(tmp_path, split="validation")

    assert data.names == ("valid/1",)
    assert data.read(0).instances.any()


def test_without_such_folders_the_split_is_by_name(tmp_path: Path):
    data = Yolo(write_yolo(tmp_path, {f"train2017/{n}": GOOD for n in range(40)}))

    train, validation = data.part("train"), data.part("validation")

    assert 0 < len(validation) < len(train)
    assert {*train.names} | {*validation.names} == {*data.names}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", "line 1 has 4 coordinates, a box; expected the corners of a polygon"),
        ("dog 0 0 1 0 1 1", "line 1 is not `class x1 y1 x2 y2 ...`"),
        ("0 0 0 1 0 1 x", "line 1 is not `class x1 y1 x2 y2 ...`"),
        ("5 0 0 1 0 1 1", "line 1 has class 5, expected 0..1"),
        ("-1 0 0 1 0 1 1", "line 1 has class -1, expected 0..1"),
        ("0 0 0 1 0 1 1 0.5", "line 1 has a polygon of 7 numbers"),
        ("0", "line 1 has a polygon of 0 numbers"),
        ("0 0 0 1.5 0 1 1", "line 1 has a polygon corner at (90.0, 0.0), outside the picture"),
        ("0 0 0 nan 0 1 1", "line 1 has a polygon with a corner that is not a number"),
        ("0 0 0 1 0 1 1\n\n5 0 0", "line 3 has class 5, expected 0..1; line 3 has a polygon of 2"),
    ],
)
def test_a_wrong_line_is_named_and_loses_nothing_else(tmp_path: Path, text: str, reason: str):
    root = write_yolo(tmp_path, {"1": text, "2": GOOD})
    (root / "data.yaml").write_text("names: [cat, dog]")
    data = Yolo(root)

    with pytest.raises(BrokenSampleError) as caught:
        data.read(0)

    assert caught.value.path == root / "labels" / "1.txt"
    assert reason in caught.value.reason
    assert len(np.unique(data.read(1).instances)) == 3


@pytest.mark.parametrize("number", ["254", "9" * 5000])
def test_a_class_that_no_data_set_has_loses_nothing_else(tmp_path: Path, number: str):
    data = Yolo(write_yolo(tmp_path, {"1": GOOD.replace("0", number, 1), "2": GOOD}))

    with pytest.raises(BrokenSampleError, match=r"line 1 (has class|is not)"):
        data.read(0)
    assert data.read(1).instances.any()


def test_a_text_that_is_none_is_named(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": GOOD, "2": GOOD})
    (root / "labels" / "1.txt").write_bytes(b"\xff\xfe\x00")

    data = Yolo(root)

    with pytest.raises(BrokenSampleError, match="is no text"):
        data.read(0)
    assert data.read(1).instances.any()


def test_texts_without_a_picture_are_told(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": GOOD, "2": GOOD})
    (root / "images" / "2.jpg").unlink()

    assert [fault.path.name for fault in Yolo(root).orphans()] == ["2.txt"]


@pytest.mark.parametrize("names", ["3", "[]", "{1: cat, 2: dog}", "{"])
def test_names_that_are_none_are_refused(tmp_path: Path, names: str):
    root = write_yolo(tmp_path, {"1": GOOD})
    (root / "data.yaml").write_text(f"names: {names}")

    with pytest.raises(ConfigurationError, match=r"data\.yaml: expected"):
        Yolo(root)


def test_the_labels_of_an_images_folder_within_an_images_folder_are_found(tmp_path: Path):
    write_picture(tmp_path / "images" / "images" / "1.png")
    (tmp_path / "images" / "labels").mkdir()
    (tmp_path / "images" / "labels" / "1.txt").write_text(GOOD)

    assert Yolo(tmp_path).read(0).instances.any()


def test_real_photographs_are_read(shared_data: Path):
    data = Yolo(shared_data / "coco128-seg")

    picture = data.read(data.names.index("train2017/000000000009"))

    assert len(data) == 128
    assert {data.classes[k - 1] for k in np.unique(picture.labels) if k} >= {"bowl", "broccoli"}
