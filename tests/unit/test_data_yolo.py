from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.coco80 import COCO_80
from model.data.data_set import BrokenSampleError
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE
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
    for part in ("train", "valid", "test"):
        write_yolo(tmp_path / part, {"1": GOOD})

    data = open_data_set(tmp_path, split="validation")

    assert open_data_set(tmp_path).names == ("train/1", "valid/1")
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
        ("dog 0 0 1 0 1 1", "line 1 is not `class x1 y1 x2 y2 ...`"),
        ("0 0 0 1 0 1 x", "line 1 is not `class x1 y1 x2 y2 ...`"),
        ("0 0 0 1 0 1 1 0.5", "line 1 has a polygon of 7 numbers"),
        ("0", "line 1 has a polygon of 0 numbers"),
        ("0 1.5 0 1.9 0 1.9 1", "line 1 has a polygon corner at (114.0, 0.0), wholly outside the"),
        ("0 0 0 300 0 200 100", "line 1 has the coordinate 300, expected fractions 0..1"),
        ("0 0 0 nan 0 1 1", "line 1 has a polygon with a corner that is not a number"),
        (
            "0 0 0 1 0 1 1\n\n0\n0 5 5",
            "line 3 has a polygon of 0 numbers, expected x y of at least",
        ),
        ("0 0 0 1 0 1 1\n\n0\n0 5 5", "; line 4 has the coordinate 5, expected fractions 0..1"),
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


def test_a_class_that_is_no_number_of_a_class_loses_nothing_else(tmp_path: Path):
    data = Yolo(write_yolo(tmp_path, {"1": GOOD.replace("0", "9" * 5000, 1), "2": GOOD}))

    with pytest.raises(BrokenSampleError, match=r"line 1 is not"):
        data.read(0)
    assert data.read(1).instances.any()


@pytest.mark.parametrize("number", ["254", "2", "-1"])
def test_an_object_of_a_class_that_is_not_named_is_ignored(tmp_path: Path, number: str):
    root = write_yolo(tmp_path, {"1": GOOD.replace("0", number, 1)})
    (root / "data.yaml").write_text("names: [cat, dog]")

    picture = Yolo(root).read(0)

    assert picture.flaws == (Flaw(FlawKind.UNKNOWN_CLASS, "line 1"),)
    assert np.array_equal(picture.labels, two_objects(np.uint8, IGNORE, 2))


@pytest.mark.parametrize(
    ("line", "kind", "ignored"),
    [
        # Centre and size, 12 x 8 pixels.
        ("0 0.5 0.5 0.2 0.2", FlawKind.BOX, (24, 36, 16, 24)),
        # Two corners: as centre and size they would reach beyond the picture.
        ("0 0.1 0.2 0.9 0.2", FlawKind.SLIVER, (6, 55, 8, 9)),
        ("0 0.5 0.5", FlawKind.SLIVER, (30, 31, 20, 21)),
        ("0 0.5 0.5 0.6 0.6 0.7 0.7", FlawKind.EMPTY, (30, 43, 20, 29)),
    ],
)
def test_what_is_no_outline_costs_its_own_place_alone(
    tmp_path: Path, line: str, kind: FlawKind, ignored: tuple[int, int, int, int]
):
    data = Yolo(write_yolo(tmp_path, {"1": f"{line}\n0 0 0 0.05 0 0.05 0.1 0 0.1"}))

    picture = data.read(0)

    left, right, top, bottom = ignored
    place = np.zeros(SIZE, bool)
    place[top:bottom, left:right] = True
    assert picture.flaws == (Flaw(kind, "line 1"),)
    assert np.array_equal(picture.labels == IGNORE, place)
    assert (picture.instances[:4, :3] == 2).all()


def test_what_lies_outside_is_clipped(tmp_path: Path):
    picture = Yolo(write_yolo(tmp_path, {"1": "0 0.5 0 1.5 0 1.5 1 0.5 1"})).read(0)

    assert picture.flaws == (Flaw(FlawKind.CLIPPED, "line 1"),)
    assert (picture.instances[:, 30:] == 1).all()
    assert not picture.instances[:, :30].any()


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": f"\ufeff{GOOD}"})
    (root / "data.yaml").write_text("\ufeffnames: [cat, dog]")

    data = Yolo(root)

    assert data.classes == ("cat", "dog")
    assert np.array_equal(data.read(0).instances, two_objects())


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "labels/x/classes.txt"])
def test_classes_may_be_named_one_a_line_above_or_among_the_labels(tmp_path: Path, place: str):
    root = write_yolo(tmp_path, {"x/1": GOOD})
    (root / place).write_text("\ufeffcat\r\nblue dog\n\n")

    data = Yolo(root)

    assert data.classes == ("cat", "blue dog")
    assert not data.orphans()
    assert not data.notes()


def test_a_file_of_names_without_any_is_refused(tmp_path: Path):
    (write_yolo(tmp_path, {"1": GOOD}) / "classes.txt").write_text("\ncat\n")

    with pytest.raises(ConfigurationError, match=r"classes\.txt: expected 1\.\.254 names"):
        Yolo(tmp_path)


YAML = "names: [cat, dog]\n"


@pytest.mark.parametrize(
    "text",
    [
        "train: images/a\nval: images/b",
        "path: ../data\ntrain: images/a\nval: [images/b]",
        "path: /nowhere\ntrain: ../images/a\nval: ../images/b",  # as Roboflow writes it
        "train: a.txt\nval: b.txt",
    ],
)
def test_a_data_yaml_says_where_the_parts_are(tmp_path: Path, text: str):
    root = write_yolo(tmp_path / "data", {"a/1": GOOD, "a/2": GOOD, "b/1": GOOD, "c/1": GOOD})
    (root / "data.yaml").write_text(YAML + text)
    (root / "a.txt").write_text("./images/a/1.jpg\n./images/a/2.jpg\n")
    (root / "b.txt").write_text("data/images/b/1.jpg")

    parts = {
        part: open_data_set(root / "data.yaml", split=part)
        for part in ("train", "validation", "all")
    }

    assert {part: data.names for part, data in parts.items()} == {
        "train": ("a/1", "a/2"),
        "validation": ("b/1",),
        "all": ("a/1", "a/2", "b/1"),
    }
    assert parts["all"].classes == ("cat", "dog")
    assert np.array_equal(parts["validation"].read(0).instances, two_objects())
    assert not parts["all"].orphans()


def test_a_data_yaml_with_the_same_pictures_twice_is_split_by_name(tmp_path: Path):
    root = write_yolo(tmp_path, {f"a/{n}": GOOD for n in range(40)})
    (root / "data.yaml").write_text(f"{YAML}train: images/a\nval: images/a")

    train, validation = (
        open_data_set(root / "data.yaml", split=part) for part in ("train", "validation")
    )

    assert len(train) + len(validation) == 40
    assert 0 < len(validation) < len(train)
    assert train.notes() == ["40 pictures are in both train and val: the split is by name"]


def test_a_part_that_is_a_link_to_the_other_one_is_seen_as_the_same_pictures(tmp_path: Path):
    for folder in ("images", "labels"):
        (tmp_path / folder / "train").mkdir(parents=True)
        (tmp_path / folder / "val").symlink_to(tmp_path / folder / "train")
    for number in range(40):
        write_picture(tmp_path / "images" / "train" / f"{number}.jpg")
        (tmp_path / "labels" / "train" / f"{number}.txt").write_text(GOOD)
    yaml = tmp_path / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames: [cat, dog]")

    train, held = (open_data_set(yaml, split=part) for part in ("train", "validation"))

    assert len(open_data_set(yaml)) == len(train) + len(held) == 40
    assert not set(train.names) & set(held.names)
    assert "40 pictures are in both train and val: the split is by name" in train.notes()


def test_a_data_yaml_may_name_pictures_beside_their_texts(tmp_path: Path):
    for name in "ab":
        write_picture(tmp_path / "obj" / f"{name}.jpg")
        (tmp_path / "obj" / f"{name}.txt").write_text(GOOD)
    (tmp_path / "obj" / "classes.txt").write_text("cat\ndog")
    (tmp_path / "data.yaml").write_text("train: obj")

    data = open_data_set(tmp_path / "data.yaml")

    assert data.names == ("obj/a", "obj/b")
    assert data.classes == ("cat", "dog")
    assert np.array_equal(data.read(1).instances, two_objects())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("train: images/x\nval: images/y", r"train: images/x is not there; looked below /"),
        ("names: [cat]", "expected `train` and `val` to name folders that hold pictures"),
        ("[", "expected YAML"),
        ("names: [cat]\nnames: [dog]", r"data\.yaml, line 2: 'names' stands on line 1 and again"),
    ],
)
def test_a_data_yaml_that_leads_nowhere_is_refused(tmp_path: Path, text: str, fault: str):
    root = write_yolo(tmp_path, {"1": GOOD})
    (root / "data.yaml").write_text(text)

    with pytest.raises(ConfigurationError, match=fault):
        open_data_set(root / "data.yaml")


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


def test_more_names_than_a_model_can_have_say_the_way_out(tmp_path: Path):
    root = write_yolo(tmp_path, {"1": GOOD})
    (root / "data.yaml").write_text(f"names: {[f'c{n}' for n in range(1203)]}")

    with pytest.raises(ConfigurationError, match=r"has 1203 names, expected 1\.\.254; keep those"):
        Yolo(root)
