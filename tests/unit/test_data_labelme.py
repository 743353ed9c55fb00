import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError
from model.data.flaws import Flaw, FlawKind
from model.data.labelme import LabelMe
from model.data.labels import IGNORE
from model.data.open import detect, open_data_set
from tests.data_sets import SIZE, two_objects, write_picture

HEIGHT, WIDTH = SIZE


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def shape(label: str, points: list[list[float]], kind: str = "polygon", **more: object) -> Any:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


CAT, DOG = shape("cat", box(5, 5, 15, 15)), shape("dog", box(30, 10, 50, 30))


def write_labelme(root: Path, files: dict[str, list[Any]], **changes: object) -> Path:
    """Write pictures with their JSON files, as LabelMe 5 does."""
    for name, shapes in files.items():
        picture = write_picture(root / f"{name}.jpg")
        document = {
            "version": "5.2.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": picture.name,
            "imageData": base64.b64encode(picture.read_bytes()).decode(),
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
            **changes,
        }
        (root / f"{name}.json").write_text(json.dumps(document))
    return root


def test_polygons_become_instances_of_their_class(tmp_path: Path):
    write_labelme(tmp_path, {"a": [CAT, DOG], "x/b": [DOG]})

    data = open_data_set(tmp_path)
    picture = data.read(0)

    assert detect(tmp_path) == "labelme"
    assert data.names == ("a", "x/b")
    assert data.classes == ("cat", "dog")
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, two_objects())
    assert np.array_equal(data.read(1).labels, 2 * (two_objects() == 2))
    assert picture.flaws == ()


def test_a_file_of_labels_says_the_classes_and_their_order(tmp_path: Path):
    write_labelme(tmp_path, {"a": [CAT, DOG]})
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\nbird\n")

    data = LabelMe(tmp_path)
    picture = data.read(0)

    assert data.classes == ("dog", "bird")
    assert picture.flaws == (Flaw(FlawKind.UNKNOWN_CLASS, "shape 1"),)
    assert np.array_equal(picture.labels, two_objects(np.uint8, IGNORE, 1))


def test_shapes_of_one_group_are_one_object(tmp_path: Path):
    near, far = (
        shape("cat", box(0, 0, 5, 5), group_id=4),
        shape("cat", box(9, 9, 20, 20), group_id=4),
    )
    other = shape("dog", box(30, 30, 40, 40), group_id=4)

    picture = LabelMe(write_labelme(tmp_path, {"a": [near, far, other]})).read(0)

    assert np.unique(picture.instances, return_counts=True)[1].tolist()[1:] == [25 + 121, 100]


def test_circles_and_masks_are_outlines(tmp_path: Path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((10, 20), 1, np.uint8)).save(buffer, "png")
    text = base64.b64encode(buffer.getvalue()).decode()
    circle = shape("cat", [[20, 20], [30, 20]], "circle")
    mask = shape("dog", [[35, 5], [54, 14]], "mask", mask=text)

    picture = LabelMe(write_labelme(tmp_path, {"a": [circle, mask]})).read(0)

    assert abs((picture.labels == 1).sum() - np.pi * 100) < 10
    assert (picture.labels[5:15, 35:55] == 2).all()
    assert (picture.labels == 2).sum() == 200
    assert picture.flaws == ()


@pytest.mark.parametrize(
    ("bad", "kind", "ignored"),
    [
        (shape("cat", [[5, 5], [15, 15]], "rectangle"), FlawKind.BOX, 100),
        (shape("cat", box(5, 5, 15, 15), "rotation"), FlawKind.BOX, 100),
        (shape("cat", [[5, 5], [15, 5]]), FlawKind.SLIVER, 11),
        (shape("cat", [[5, 5]], "point"), FlawKind.NO_OUTLINE, 0),
        (shape("cat", [[5, 5], [9, 9]], "linestrip"), FlawKind.NO_OUTLINE, 0),
        (shape("cat", [[5, 5], [14, 14]], "mask", mask="AAAA"), FlawKind.UNREADABLE, 81),
    ],
)
def test_what_is_no_outline_costs_its_own_place_alone(
    tmp_path: Path, bad: Any, kind: FlawKind, ignored: int
):
    picture = LabelMe(write_labelme(tmp_path, {"a": [bad, DOG]})).read(0)

    assert picture.flaws == (Flaw(kind, "shape 1"),)
    assert (picture.labels == IGNORE).sum() == ignored
    assert np.array_equal(picture.instances > 0, two_objects() == 2)


def test_what_lies_outside_is_clipped(tmp_path: Path):
    data = LabelMe(write_labelme(tmp_path, {"a": [shape("cat", box(50, 10, 75, 20)), DOG]}))

    picture = data.read(0)

    assert picture.flaws == (Flaw(FlawKind.CLIPPED, "shape 1"),)
    assert (picture.labels[10:20, 50:] == 1).all()


def test_what_is_to_be_ignored_is_no_class(tmp_path: Path):
    data = LabelMe(write_labelme(tmp_path, {"a": [shape("__ignore__", box(5, 5, 15, 15)), DOG]}))

    assert data.classes == ("dog",)
    assert np.array_equal(data.read(0).labels, two_objects(np.uint8, IGNORE, 1))
    assert data.read(0).flaws == ()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (shape("cat", box(200, 5, 210, 9)), "shape 1 has a polygon corner at"),
        (
            shape("cat", box(5, 5, 9, 9), "ellipse"),
            "shape 1 of the type 'ellipse' with 4 points is not read",
        ),
        (shape("cat", []), "shape 1 of the type 'polygon' with 0 points"),
    ],
)
def test_a_wrong_shape_is_named_and_loses_nothing_else(tmp_path: Path, bad: Any, reason: str):
    data = LabelMe(write_labelme(tmp_path, {"a": [bad, DOG], "b": [DOG]}))

    with pytest.raises(BrokenSampleError) as caught:
        data.read(0)

    assert reason in caught.value.reason
    assert data.read(1).instances.any()


def test_another_size_than_the_file_says_is_told(tmp_path: Path):
    data = LabelMe(write_labelme(tmp_path, {"a": [DOG]}, imageHeight=80))

    with pytest.raises(BrokenSampleError, match=r"is 60x40 pixels .*, a\.json says 60x80"):
        data.read(0)


@pytest.mark.parametrize("said", ["..\\pictures\\a.jpg", "../pictures/a.jpg", "/home/me/a.jpg"])
def test_pictures_in_another_folder_are_found(tmp_path: Path, said: str):
    write_labelme(tmp_path / "labels", {"a": [DOG]}, imagePath=said)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "labels" / "a.jpg").rename(tmp_path / "pictures" / "a.jpg")

    data = open_data_set(tmp_path)

    assert data.names == ("pictures/a",)
    assert data.read(0).instances.any()


def test_files_without_a_picture_or_of_something_else_are_told(tmp_path: Path):
    write_labelme(tmp_path, {"a": [DOG], "b": [DOG]}, imageData=None)
    (tmp_path / "b.jpg").unlink()
    (tmp_path / "c.json").write_text("{}")

    data = LabelMe(tmp_path)

    assert data.names == ("a",)
    assert [(fault.path.name, fault.reason[:11]) for fault in data.orphans()] == [
        ("b.json", "its picture"),
        ("c.json", "is no file "),
    ]


def test_a_folder_without_any_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="with a JSON file of LabelMe each"):
        LabelMe(tmp_path)


def test_folders_of_train_and_val_are_the_split_and_others_are_left_out(tmp_path: Path):
    write_labelme(tmp_path, {"train/a": [DOG], "val/b": [DOG], "test/c": [DOG]})

    parts = {p: open_data_set(tmp_path, split=p) for p in ("train", "validation", "all")}

    assert {part: data.names for part, data in parts.items()} == {
        "train": ("train/a",),
        "validation": ("val/b",),
        "all": ("train/a", "val/b"),
    }
    note = "1 pictures belong to neither train nor val and are not read"
    assert [list(data.notes()) for data in parts.values()] == 3 * [[note]]


def test_a_picture_that_is_inside_its_file_alone_is_read(tmp_path: Path):
    write_labelme(tmp_path, {"a": [CAT]})
    shown = LabelMe(tmp_path).read(0)
    (tmp_path / "a.jpg").unlink()

    data = LabelMe(tmp_path)

    assert np.array_equal(data.read(0).image, shown.image)
    assert np.array_equal(data.read(0).instances, shown.instances)
    assert data.files(0) == (tmp_path / "a.json",)
    assert not data.orphans()


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("?!", "imageData that is no base64"),
        (7, "imageData that is no base64"),
        (base64.b64encode(b"GIF").decode(), "imageData that .*no picture"),
    ],
)
def test_what_is_no_picture_inside_its_file_is_the_fault_of_that_file(
    tmp_path: Path, inside: object, why: str
):
    write_labelme(tmp_path, {"a": [CAT]}, imageData=inside)
    (tmp_path / "a.jpg").unlink()

    with pytest.raises(BrokenSampleError, match=why) as caught:
        LabelMe(tmp_path).read(0)
    assert caught.value.path == tmp_path / "a.json"


def test_neither_a_picture_nor_its_data_is_said(tmp_path: Path):
    write_labelme(tmp_path, {"a": [CAT]}, imageData=None)
    (tmp_path / "a.jpg").unlink()

    with pytest.raises(ConfigurationError, match=r"'a\.jpg' is not below .*no imageData"):
        LabelMe(tmp_path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path):
    path = write_labelme(tmp_path, {"a": [CAT]}) / "a.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")

    assert LabelMe(tmp_path).read(0).instances.any()
