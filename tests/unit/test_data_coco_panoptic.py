import json
from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.coco_panoptic import CocoPanoptic
from model.data.data_set import BrokenSampleError
from model.data.flaws import FlawKind
from model.data.labels import IGNORE
from model.data.open import detect, open_data_set
from tests.data_sets import SIZE, two_objects, write_picture

DOG, CAT = {"id": 18, "name": "dog", "isthing": 1}, {"id": 17, "name": "cat", "isthing": 1}
GRASS = {"id": 193, "name": "grass", "isthing": 0}
FIRST, SECOND, BEHIND = 3_000_001, 70_000, 200
"""Numbers of the segments: two squares, and what is around them."""


def write(root: Path, part: str = "val2017", **changes: object) -> Path:
    """Write one picture with two things on grass; changes are of the first segment."""
    numbers = two_objects(np.int64, FIRST, SECOND)
    numbers[numbers == 0] = BEHIND
    numbers[0] = 0
    colours = np.stack([numbers >> shift & 0xFF for shift in (0, 8, 16)], axis=2)
    path = root / "annotations" / f"panoptic_{part}.json"
    write_picture(root / part / "x.jpg")
    write_picture(path.with_suffix("") / "x.png", colours.astype(np.uint8))
    segments = [
        {"id": FIRST, "category_id": 18, "iscrowd": 0, **changes},
        {"id": SECOND, "category_id": 17, "iscrowd": 0},
        {"id": BEHIND, "category_id": 193, "iscrowd": 0},
    ]
    document = {
        "images": [{"id": 9, "file_name": "x.jpg", "width": SIZE[1], "height": SIZE[0]}],
        "annotations": [{"image_id": 9, "file_name": "x.png", "segments_info": segments}],
        "categories": [DOG, CAT, GRASS],
    }
    path.write_text(json.dumps(document))
    return path


def test_things_become_instances_and_stuff_is_background(tmp_path: Path):
    data = CocoPanoptic(write(tmp_path))

    picture = data.read(0)

    assert data.classes == ("cat", "dog")
    assert data.names == ("x",)
    assert np.array_equal(picture.labels[1:], two_objects(np.uint8, 2, 1)[1:])
    assert np.array_equal(picture.instances > 0, two_objects() > 0)
    assert len(np.unique(picture.instances)) == 3
    assert (picture.labels[0] == IGNORE).all()  # nobody labelled it


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"iscrowd": 1}, FlawKind.CROWD),
        ({"category_id": 5}, FlawKind.UNKNOWN_CLASS),
        ({"category_id": None}, FlawKind.UNKNOWN_CLASS),
    ],
)
def test_a_segment_that_is_no_object_is_ignored(
    tmp_path: Path, changes: dict[str, object], kind: FlawKind
):
    picture = CocoPanoptic(write(tmp_path, **changes)).read(0)

    assert [(flaw.kind, flaw.where) for flaw in picture.flaws] == [(kind, f"segment {FIRST}")]
    assert (picture.labels[two_objects() == 1] == IGNORE).all()
    assert (picture.labels[two_objects() == 2] == 1).all()


def test_a_folder_of_panoptic_annotations_is_opened_with_its_parts(tmp_path: Path):
    for part in ("train2017", "val2017"):
        write(tmp_path, part)

    assert detect(tmp_path) == "coco"
    assert open_data_set(tmp_path, split="validation").names == ("val2017/x",)
    assert open_data_set(tmp_path).read(1).instances.any()
    assert open_data_set(tmp_path / "annotations" / "panoptic_val2017.json").classes == (
        "cat",
        "dog",
    )


def test_a_number_without_a_segment_is_the_fault_of_its_picture(tmp_path: Path):
    with pytest.raises(BrokenSampleError, match=rf"has the numbers \[{FIRST}\], which panoptic_"):
        CocoPanoptic(write(tmp_path, id=4)).read(0)


def test_a_picture_without_an_annotation_is_named(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))

    with pytest.raises(BrokenSampleError, match=r"x\.jpg: there is no annotation of it"):
        CocoPanoptic(path).read(0)


def test_missing_maps_say_where_they_were_looked_for(tmp_path: Path):
    path = write(tmp_path)
    path.with_suffix("").rename(tmp_path / "elsewhere")

    with pytest.raises(
        ConfigurationError, match=r"expected its coloured maps in .*/panoptic_val2017"
    ):
        CocoPanoptic(path)


def test_a_thing_without_a_pixel_is_told(tmp_path: Path):
    path = write(tmp_path)
    document = json.loads(path.read_text())
    document["annotations"][0]["segments_info"].append({"id": 5, "category_id": 17})
    path.write_text(json.dumps(document))

    assert [(f.kind, f.where) for f in CocoPanoptic(path).read(0).flaws] == [
        (FlawKind.EMPTY, "segment 5")
    ]


@pytest.mark.parametrize(
    ("number", "why"), [(SECOND, "is given twice"), (0, "is that of pixels without a label")]
)
def test_a_segment_number_that_means_two_things_is_refused(tmp_path: Path, number: int, why: str):
    path = write(tmp_path, id=number)
    write_picture(path.with_suffix("") / "x.png", np.zeros((*SIZE, 3), np.uint8))

    with pytest.raises(BrokenSampleError, match=f"segment number {number} {why}"):
        CocoPanoptic(path).read(0)


def test_the_first_of_two_annotations_of_a_picture_counts_and_the_other_is_told(tmp_path: Path):
    path = write(tmp_path)
    document = json.loads(path.read_text())
    document["annotations"].append({"image_id": 9, "segments_info": []})
    path.write_text(json.dumps(document))

    data = CocoPanoptic(path)

    assert data.read(0).instances.any()
    assert ["several annotations" in fault.reason for fault in data.orphans()] == [True]


def test_categories_that_do_not_say_whether_they_are_things_are_told(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('"isthing"', '"is_thing"'))

    assert ["no category says isthing" in note for note in CocoPanoptic(path).notes()] == [True]


def test_the_map_that_the_annotation_names_is_the_one_of_its_files(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("x.png", "maps\\\\x_panoptic.png"))
    maps = path.with_suffix("")
    (maps / "x.png").rename(maps / "x_panoptic.png")

    data = CocoPanoptic(path)

    assert data.files(0)[1] == maps / "x_panoptic.png"
    assert data.read(0).instances.any()


@pytest.mark.parametrize("says", [True, False])
def test_of_too_many_things_those_that_are_named_are_read_and_the_others_are_background(
    tmp_path: Path, says: bool
):
    path = write(tmp_path)
    document = json.loads(path.read_text())
    document["categories"] += [{"id": n, "name": f"c{n}", "isthing": 1} for n in range(1000, 1300)]
    if not says:
        for each in document["categories"]:
            del each["isthing"]
    path.write_text(json.dumps(document))

    data = open_data_set(path, among=["cat"])

    assert data.classes == ("cat",)
    assert np.array_equal(data.read(0).labels[1:], two_objects(np.uint8, 0, 1)[1:])


def write_mapillary(root: Path, *folders: str) -> Path:
    """Write Mapillary Vistas with nothing but panoptic maps."""
    for folder in folders:
        path = write(root, "x", category_id=17)
        panoptic = (
            root / folder / ("panoptic_2020.json" if "v2" in folder else "panoptic_2018.json")
        )
        panoptic.parent.mkdir(parents=True)
        path.rename(panoptic)
        (path.with_suffix("") / "x.png").rename(panoptic.with_name("x.png"))
        images = root / folder.partition("/")[0] / "images"
        images.mkdir(exist_ok=True)
        (root / "x" / "x.jpg").rename(images / "x.jpg")
    return root


@pytest.mark.parametrize("version", ["", "v1.2/", "v2.0/"])
def test_mapillarys_panoptic_maps_are_read_with_their_parts(tmp_path: Path, version: str):
    folders = [f"{part}/{version}panoptic" for part in ("training", "validation")]
    root = write_mapillary(tmp_path, *folders)

    assert detect(root) == "coco"
    assert open_data_set(root).names == ("training/x", "validation/x")
    assert open_data_set(root, split="validation").read(0).instances.any()
    (file,) = (root / folders[0]).glob("panoptic_*.json")
    for alone in (file, file.parent):
        assert np.unique(open_data_set(alone).read(0).labels).tolist() == [0, 1, IGNORE]


def test_of_mapillarys_panoptic_maps_the_newest_version_is_read(tmp_path: Path):
    root = write_mapillary(tmp_path, "training/v1.2/panoptic", "training/v2.0/panoptic")

    assert open_data_set(root).files(0)[1].parts[-3] == "v2.0"


def test_pixels_that_mapillary_calls_unlabelled_are_ignored(tmp_path: Path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('"grass"', '"Unlabeled"'))

    assert (CocoPanoptic(path).read(0).labels[two_objects() == 0] == IGNORE).all()
