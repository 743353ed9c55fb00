"""COCO as other tools write it: where their files lie and how they name pictures and classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from contract.errors import ConfigurationError
from model.data.coco import Coco
from model.data.data_set import BrokenSampleError
from model.data.open import detect, open_data_set
from tests.data_sets import annotation, box_polygon, write_coco, write_picture

DOG = {"id": 1, "name": "dog"}
CAT = {"id": 2, "name": "cat"}


def edit(path: Path, **changes: object) -> Path:
    """Replace whole lists of an annotation file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def rename(path: Path, *names: str) -> Path:
    """Replace the names of an annotation file's pictures."""
    pictures = json.loads(path.read_text())["images"]
    renamed = [
        {**picture, "file_name": name} for picture, name in zip(pictures, names, strict=True)
    ]
    return edit(path, images=renamed)


def write_roboflow(root: Path, **categories: list[dict[str, Any]]) -> Path:
    """Write parts with two pictures each, the first of which shows an object of category 1."""
    for part, own in categories.items():
        path = root / part / "_annotations.coco.json"
        edit(write_coco(path, [annotation(1, 100, category_id=1)], path.parent), categories=own)
    return root


def test_a_roboflow_export_is_one_data_set_with_its_parts(tmp_path: Path):
    root = write_roboflow(tmp_path, train=[DOG], valid=[DOG], test=[DOG])

    whole, train, held = (open_data_set(root, split=s) for s in ("all", "train", "validation"))

    assert detect(root) == "coco"
    assert train.names == ("train/000000000000", "train/000000000001")
    assert held.names == ("valid/000000000000", "valid/000000000001")
    assert whole.names == (*train.names, *held.names)
    assert held.read(0).instances.any()
    assert whole.notes() == [
        "test/_annotations.coco.json is in neither part and left out; name it to use it"
    ]
    assert len(open_data_set(root / "test")) == 2


@pytest.mark.parametrize("group", ["pets", "dog"])
def test_the_group_that_roboflow_adds_is_no_class(tmp_path: Path, group: str):
    categories = [{"id": 0, "name": group}, {**DOG, "supercategory": group}]
    root = write_roboflow(tmp_path, train=categories, valid=categories)

    data = open_data_set(root)

    assert data.classes == ("dog",)
    assert data.read(0).labels.max() == 1
    assert data.notes() == [
        f"category {group!r} is only the group of the others and has no annotation: left out"
    ]


def test_a_group_that_has_annotations_is_a_class(tmp_path: Path):
    categories = [{"id": 1, "name": "pet"}, {**CAT, "supercategory": "pet"}]

    data = open_data_set(write_roboflow(tmp_path, train=categories, valid=categories))

    assert data.classes == ("pet", "cat")


def test_categories_of_several_files_are_matched_by_name(tmp_path: Path):
    swapped = [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]
    root = write_roboflow(tmp_path, train=[DOG, CAT], valid=swapped)

    assert open_data_set(root).classes == ("dog", "cat")
    assert open_data_set(root, split="train").read(0).labels.max() == 1
    assert open_data_set(root, split="validation").read(0).labels.max() == 2


@pytest.mark.parametrize("fewer", ["train", "valid"])
def test_a_file_may_lack_a_category_that_another_has(tmp_path: Path, fewer: str):
    one = {"id": 1, "name": "cat"}
    categories = {"train": [DOG, CAT], "valid": [DOG, CAT], fewer: [one]}
    root = write_roboflow(tmp_path, **categories)

    for split in ("all", "train", "validation"):
        assert open_data_set(root, split=split).classes == ("dog", "cat")
    part = "train" if fewer == "train" else "validation"
    assert open_data_set(root, split=part).read(0).labels.max() == 2


def test_files_that_have_each_a_category_of_their_own_are_refused(tmp_path: Path):
    root = write_roboflow(tmp_path, train=[DOG], valid=[{"id": 1, "name": "cat"}])

    with pytest.raises(ConfigurationError, match=r"categories differ .*\['cat'\] are only here"):
        open_data_set(root)


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations.json", "images"),
        ("result.json", "images"),
        ("labels.json", "data"),
        ("_annotations.coco.json", "."),
        ("annotations/train.json", "images"),
        ("annotations/instances_default.json", "images"),
    ],
)
def test_a_folder_with_an_annotation_file_is_recognised(tmp_path: Path, file: str, images: str):
    write_coco(tmp_path / file, [annotation(1, 100)], tmp_path / images)

    data = open_data_set(tmp_path)

    assert detect(tmp_path) == "coco"
    assert len(data) == 2
    assert data.read(0).instances.any()
    assert data.root == tmp_path


@pytest.mark.parametrize(
    ("train", "held"),
    [("train", "val"), ("coco_Train", "coco_valid"), ("x-train2020", "x-validation")],
)
def test_files_of_two_parts_in_one_folder_are_the_split(tmp_path: Path, train: str, held: str):
    for part in (train, held):
        write_coco(tmp_path / f"{part}.json", [annotation(1, 100)], tmp_path / "images")

    assert open_data_set(tmp_path, split="train").names[0] == f"{train}/000000000000"
    assert open_data_set(tmp_path, split="validation").names[0] == f"{held}/000000000000"


def test_several_annotation_files_that_are_no_parts_are_not_mixed(tmp_path: Path):
    for name in ("annotations", "annotations-old"):
        write_coco(tmp_path / f"{name}.json", [annotation(1, 100)], tmp_path / "images")

    with pytest.raises(ConfigurationError, match=r"annotations-old\.json, annotations\.json; name"):
        open_data_set(tmp_path)
    assert len(open_data_set(tmp_path / "annotations.json")) == 2


def test_a_json_file_that_is_something_else_makes_no_data_set(tmp_path: Path):
    (tmp_path / "notes.json").write_text('{"images": []}')

    with pytest.raises(ConfigurationError, match=r"found notes\.json; expected"):
        open_data_set(tmp_path)


def test_an_annotation_file_may_begin_with_a_byte_order_mark(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(1, 100)], tmp_path / "images")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert detect(tmp_path) == "coco"
    assert Coco(path).read(0).instances.any()


@pytest.mark.parametrize(
    ("written", "file", "name"),
    [
        ("images\\{}", "{}", "images/{}"),
        ("a\\b\\{}", "a/b/{}", "a/b/{}"),
        ("C:\\Users\\me\\pictures\\{}", "{}", "C:/Users/me/pictures/{}"),
        ("../../media/upload/4/{}", "{}", "media/upload/4/{}"),
        ("/data/local-files/{}", "{}", "data/local-files/{}"),
        ("part/{}", "part/{}", "part/{}"),
    ],
)
def test_pictures_are_found_by_the_end_of_their_path(
    tmp_path: Path, written: str, file: str, name: str
):
    path = tmp_path / "result.json"
    write_coco(path, [annotation(1, 100), annotation(2, 101)], tmp_path / "elsewhere")
    bases = ("my x.png", "100%25.png")
    rename(path, *(written.format(base) for base in ("my%20x.png", "100%25.png")))
    for base in bases:
        write_picture(tmp_path / "images" / file.format(base))

    data = Coco(path)

    assert [data.files(index)[0].name for index in range(2)] == sorted(bases)
    assert all(data.read(index).instances.any() for index in range(2))
    assert data.names[1] == name.format("my%20x")


@pytest.mark.parametrize(
    ("names", "file"),
    [
        (("a/x.png", "b/x.png"), "x.png"),
        (("p/a/x.png", "q/a/x.png"), "a/x.png"),
        (("p/my x.png", "p/my%20x.png"), "my x.png"),
    ],
)
def test_two_pictures_whose_paths_end_alike_never_become_one_file(
    tmp_path: Path, names: tuple[str, str], file: str
):
    path = tmp_path / "result.json"
    write_coco(path, [annotation(1, 100)], tmp_path / "elsewhere")
    rename(path, *names)
    write_picture(tmp_path / "images" / names[1])
    write_picture(tmp_path / "images" / file)

    data = Coco(path)

    with pytest.raises(BrokenSampleError, match=f"no such file, and .* {names[0]}, {names[1]}"):
        data.read(0)
    assert data.read(1).image.any()


def test_a_name_in_another_case_is_found_where_only_one_file_has_it(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(1, 100)], tmp_path / "images")
    first, second = sorted((tmp_path / "images").iterdir())
    first.rename(first.with_suffix(".JPG"))
    rename(path, f"{first.stem}.jpg", second.name)

    data = Coco(path)

    assert data.files(0)[0].name == f"{first.stem}.JPG"
    assert data.read(0).instances.any()
    write_picture(first.with_suffix(".Jpg"))
    with pytest.raises(BrokenSampleError, match="there is no such file"):
        Coco(path).read(0)


@pytest.mark.parametrize("name", ["../secret/x.png", "{root}/secret/x.png", "..\\secret\\x.png"])
def test_a_name_never_leads_out_of_the_data_set(tmp_path: Path, name: str):
    root = tmp_path / "data"
    path = write_coco(root / "labels.json", [annotation(1, 100)], root / "images")
    write_picture(tmp_path / "secret" / "x.png")
    rename(path, name.format(root=tmp_path), sorted((root / "images").iterdir())[1].name)

    data = open_data_set(root)

    secret = next(i for i, each in enumerate(data.names) if each.endswith("secret/x"))
    with pytest.raises(BrokenSampleError, match="there is no such file"):
        data.read(secret)
    assert data.files(secret)[0].is_relative_to(root)


def test_names_with_dots_are_found_inside_of_the_data_set(tmp_path: Path):
    path = write_coco(tmp_path / "labels" / "train.json", [annotation(1, 100)], tmp_path / "images")
    names = [f"../images/{file.name}" for file in sorted((tmp_path / "images").iterdir())]
    rename(path, *names)
    (tmp_path / "annotations").mkdir()
    path.rename(tmp_path / "annotations" / "instances_all.json")

    assert open_data_set(tmp_path).read(0).instances.any()


def test_pictures_of_a_part_may_lie_in_a_folder_of_the_whole(tmp_path: Path):
    for part in ("train", "valid"):
        pictures = tmp_path / "images"
        path = tmp_path / part / "_annotations.coco.json"
        write_coco(path, [annotation(1, 100)], pictures)
        for number, file in enumerate(sorted(pictures.glob("0*"))):
            file.rename(pictures / f"{part}-{number}{file.suffix}")
        rename(path, *[file.name for file in sorted(pictures.glob(f"{part}-*"))])

    train, held = (open_data_set(tmp_path, split=part) for part in ("train", "validation"))

    assert train.read(0).instances.any()
    assert held.files(1)[0].name.startswith("valid-1")


def test_pictures_without_a_size_have_that_of_their_files(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(1, 100)], tmp_path / "images", 4)
    entries = json.loads(path.read_text())["images"]
    del entries[0]["width"], entries[1]["height"], entries[1]["width"]
    entries[2].update(width=0, height=None)
    entries[3].update(width=60.0, height=40.0)

    data = Coco(edit(path, images=entries))

    assert not data.orphans()
    assert all(data.read(index).image.shape == (40, 60, 3) for index in range(4))
    assert Coco(path).true_shapes(0)[0].area == 100


def test_numbers_of_pictures_and_categories_may_be_text(tmp_path: Path):
    entries = [annotation(1, 0, image_id="a.1", category_id="d"), annotation(2, 101)]
    path = write_coco(tmp_path / "labels.json", entries, tmp_path / "images")
    pictures = json.loads(path.read_text())["images"]
    pictures[0]["id"], pictures[1]["id"] = "a.1", "101"
    categories = [{"id": "18", "name": "cat"}, {"id": "d", "name": "dog"}]

    data = Coco(edit(path, images=pictures, categories=categories))

    assert data.classes == ("cat", "dog")
    assert [data.read(index).labels.max() for index in range(2)] == [2, 1]


def test_a_file_none_of_whose_pictures_can_be_used_says_why(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [], tmp_path / "images")

    with pytest.raises(
        ConfigurationError, match="none of its pictures can be used: picture 7: Obj"
    ):
        Coco(edit(path, images=[{"id": 7, "width": 3, "height": 4}]))
    with pytest.raises(ConfigurationError, match="lists no pictures"):
        Coco(edit(path, images=[]))


def write_turned(path: Path, orientation: int) -> None:
    """Write a picture of 60 x 40 stored pixels, bright in the box of an annotation, with EXIF."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:15, 5:15] = 255
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def test_labels_of_stored_pixels_are_turned_with_their_picture(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(1, 100)], tmp_path, count=1)
    rename(path, "x.png")
    write_turned(tmp_path / "x.png", 6)
    data = Coco(path)

    (shape,) = data.true_shapes(0)
    picture = data.read(0)

    assert picture.image.shape == (60, 40, 3)
    assert np.array_equal(picture.labels == 1, picture.image[:, :, 0] == 255)
    assert np.array_equal(coco_mask.decode(shape.mask), picture.labels)


def test_labels_of_the_picture_as_it_is_shown_fit_as_they_are(tmp_path: Path):
    entry = annotation(1, 100, segmentation=[box_polygon(25, 5, 10, 10)])
    path = write_coco(tmp_path / "labels.json", [entry], tmp_path, count=1)
    edit(path, images=[{"id": 100, "file_name": "x.png", "width": 40, "height": 60}])
    write_turned(tmp_path / "x.png", 6)

    picture = Coco(path).read(0)

    assert np.array_equal(picture.labels == 1, picture.image[:, :, 0] == 255)


def test_a_picture_that_is_turned_by_180_degrees_is_refused(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(1, 100)], tmp_path, count=1)
    rename(path, "x.png")
    write_turned(tmp_path / "x.png", 3)

    with pytest.raises(BrokenSampleError, match="by its EXIF"):
        Coco(path).read(0)


def test_a_picture_of_a_neighbouring_data_set_is_never_taken(tmp_path: Path):
    write_coco(tmp_path / "a/set.json", [annotation(1, 100, category_id=1)], tmp_path / "images")

    with pytest.raises(ConfigurationError, match="in one of"):
        Coco(tmp_path / "a/set.json")


def test_lvis_names_its_pictures_by_address_and_says_what_nobody_looked_for(tmp_path: Path):
    path = write_coco(
        tmp_path / "annotations" / "lvis_v1_val.json", [annotation(1, 100)], tmp_path / "val2017"
    )
    pictures = [
        {
            "id": entry["id"],
            "coco_url": f"http://images.cocodataset.org/val2017/{entry['file_name']}",
            "neg_category_ids": [44],
            "not_exhaustive_category_ids": [],
        }
        for entry in json.loads(path.read_text())["images"]
    ]
    edit(path, images=pictures)

    data = open_data_set(tmp_path)

    assert data.read(0).instances.any()
    assert ["in 2 of 2 pictures only some classes" in note for note in data.notes()] == [True]


def test_a_picture_without_a_name_or_an_address_is_told(tmp_path: Path):
    path = write_coco(tmp_path / "a.json", [annotation(1, 100)], tmp_path / "images")
    pictures = json.loads(path.read_text())["images"]
    edit(path, images=[pictures[0], {"id": 101}])

    assert ["required field `file_name`" in f.reason for f in Coco(path).orphans()] == [True]


def write_lvis(root: Path) -> Path:
    """Write two parts with 1,203 categories, of which each picture shows the fifth and the last."""
    categories = [{"id": n, "name": f"c{n}"} for n in range(1, 1204)]
    entries = [
        annotation(1, 100, category_id=5),
        annotation(2, 100, category_id=1203, segmentation=[box_polygon(30, 5, 10, 10)]),
    ]
    for part in ("train", "val"):
        path = root / "annotations" / f"lvis_v1_{part}.json"
        edit(write_coco(path, entries, root / "images", count=1), categories=categories)
    return root


def test_of_more_categories_than_a_model_can_have_those_that_are_named_are_read(tmp_path: Path):
    root = write_lvis(tmp_path)

    whole = open_data_set(root, classes=["c1203", "c7"])
    file = open_data_set(root / "annotations" / "lvis_v1_val.json", among=["c7", "c1203", "other"])

    assert whole.classes == ("c1203", "c7")
    assert file.classes == ("c7", "c1203")
    for data, label in ((whole, 1), (file, 2)):
        picture = data.read(0)
        assert picture.flaws == ()
        assert (picture.labels[5:15, 30:40] == label).all()
        assert (picture.labels[5:15, 5:15] == 0).all()  # c5


def test_too_many_categories_say_the_way_out(tmp_path: Path):
    root = write_lvis(tmp_path)

    with pytest.raises(ConfigurationError, match=r"has 1203 categories.*as classes in the recipe"):
        open_data_set(root / "annotations" / "lvis_v1_val.json")
    with pytest.raises(
        ConfigurationError, match=r"none of them called 'C120' or 'x'; similar: 'c120', 'c1200'"
    ):
        open_data_set(root, among=["C120", "x"])
