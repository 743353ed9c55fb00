"""Data sets as people move, rename and mix them: read as meant, or refused with the true reason."""

import json
import logging
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from contract.errors import ConfigurationError
from model.data.check import check
from model.data.data_set import BrokenSampleError, DataSet
from model.data.doubts import doubts
from model.data.flaws import FlawKind
from model.data.labelme import LabelMe
from model.data.labels import IGNORE
from model.data.open import open_data_set
from model.training.examination import examine
from tests.data_sets import (
    SIZE,
    annotation,
    two_objects,
    write_cityscapes,
    write_coco,
    write_label_maps,
    write_picture,
    write_yolo,
)

TRIANGLE = "0 0.1 0.1 0.4 0.1 0.4 0.5"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def parts(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of what is learned from and of what validates."""
    train, validation = (open_data_set(path, split=part) for part in ("train", "validation"))
    return [*train.names], [*validation.names]


def labelled(data: DataSet) -> list[bool]:
    return [bool(picture.instances.any()) for picture in data]


# What belongs to no part.


@pytest.mark.parametrize("form", ["roboflow", "coco"])
def test_pictures_of_coco_s_test_are_not_learned_from(tmp_path: Path, form: str) -> None:
    for part in ("train", "test"):
        folder = tmp_path / part if form == "roboflow" else tmp_path / "images" / part
        name = f"annotations/instances_{part}.json"
        path = tmp_path / name if form == "coco" else folder / "_annotations.coco.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_coco(path, [annotation(1, 100)], folder, count=20)

    train, validation = parts(tmp_path)

    assert len(train) + len(validation) == 20
    assert all(name.startswith("train/") for name in (*train, *validation))
    (note,) = open_data_set(tmp_path).notes()
    assert "test" in note
    assert "left out; name it to use it" in note


def test_the_part_named_minival_validates_and_trainval_is_both(tmp_path: Path) -> None:
    for part in ("train", "minival", "trainval"):
        path = tmp_path / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        write_coco(path, [annotation(1, 100)], tmp_path / "images" / part, count=2)

    train, validation = parts(tmp_path)

    assert {name.split("/")[0] for name in train} == {"train"}
    assert {name.split("/")[0] for name in validation} == {"minival"}


def test_annotation_files_of_the_same_pictures_are_refused(tmp_path: Path) -> None:
    for name in ("instances_first", "instances_second"):
        path = tmp_path / "annotations" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        write_coco(path, [annotation(1, 100)], tmp_path / "images", count=2)

    with pytest.raises(ConfigurationError, match=r"2 pictures \(first: .* are both in instances_"):
        open_data_set(tmp_path)


def write_voc_lists(root: Path, lists: dict[str, list[str]]) -> Path:
    for name in (f"p{number}" for number in range(6)):
        write_picture(root / "JPEGImages" / f"{name}.jpg")
        write_picture(root / "SegmentationObject" / f"{name}.png", two_objects(np.uint8))
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    for name, names in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(names))
    return root


def test_the_test_list_of_voc_is_not_read(tmp_path: Path) -> None:
    lists = {"train": ["p0", "p1"], "val": ["p2"], "test": ["p3", "p4", "p5"]}
    write_voc_lists(tmp_path, lists)

    assert parts(tmp_path) == (["p0", "p1"], ["p2"])
    whole = open_data_set(tmp_path)
    assert whole.names == ("p0", "p1", "p2")
    assert whole.notes() == ["3 pictures belong to neither train nor val and are not read"]


def test_without_a_list_that_validates_only_the_train_list_is_split(tmp_path: Path) -> None:
    write_voc_lists(tmp_path, {"train": ["p0", "p1", "p2"], "test": ["p3", "p4", "p5"]})

    train, validation = parts(tmp_path)

    assert sorted((*train, *validation)) == ["p0", "p1", "p2"]


@pytest.mark.parametrize("key", ["val", "valid", "validation"])
def test_the_data_yaml_of_a_named_folder_says_what_validates(tmp_path: Path, key: str) -> None:
    write_yolo(tmp_path, {"a/1": TRIANGLE, "a/2": TRIANGLE, "b/3": TRIANGLE, "c/4": TRIANGLE})
    text = f"train: images/a\n{key}: images/b\nnames: [cell]\n"
    (tmp_path / "data.yaml").write_text(text)

    assert parts(tmp_path) == (["a/1", "a/2"], ["b/3"])
    assert parts(tmp_path / "data.yaml") == (["a/1", "a/2"], ["b/3"])
    assert open_data_set(tmp_path).names == ("a/1", "a/2", "b/3")
    assert open_data_set(tmp_path).orphans() == []


def test_a_data_yaml_that_leads_elsewhere_is_told(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"1": TRIANGLE, "2": TRIANGLE})
    (tmp_path / "data.yaml").write_text("train: /content/a\nval: /content/b\nnames: [cell]\n")

    data = open_data_set(tmp_path)

    assert data.names == ("1", "2")
    assert "data.yaml does not say what validates" in data.notes()[0]


# Names.


@pytest.mark.parametrize(
    ("picture", "text"),
    [(COMPOSED, f"{DECOMPOSED}.txt"), ("1", "1.TXT"), ("One", "one.txt")],
)
def test_a_text_whose_name_looks_like_its_picture_s_is_its_labels(
    tmp_path: Path, picture: str, text: str
) -> None:
    write_yolo(tmp_path, {picture: None, "2": TRIANGLE})
    (tmp_path / "labels" / text).write_text(TRIANGLE)

    data = open_data_set(tmp_path)

    assert labelled(data) == [True, True]
    assert data.orphans() == []
    assert not any("no text file" in note for note in data.notes())


def test_texts_that_look_alike_are_nobody_s(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"one": None, "2": TRIANGLE})
    for text in ("ONE.txt", "One.txt"):
        (tmp_path / "labels" / text).write_text(TRIANGLE)

    data = open_data_set(tmp_path)

    assert [fault.path.name for fault in data.orphans()] == ["ONE.txt", "One.txt"]


def test_accents_are_one_in_every_layout(tmp_path: Path) -> None:
    maps = write_label_maps(tmp_path / "maps", (COMPOSED,))
    found = maps / "instances" / f"{COMPOSED}.png"
    found.rename(found.with_name(f"{DECOMPOSED}.png"))
    coco = tmp_path / "coco"
    path = write_coco(coco / "x.json", [annotation(1, 100)], coco / "images", count=1)
    entries = json.loads(path.read_text())
    name = entries["images"][0]["file_name"]
    entries["images"][0]["file_name"] = f"{COMPOSED}.jpg"
    path.write_text(json.dumps(entries))
    (coco / "images" / name).rename(coco / "images" / f"{DECOMPOSED}.jpg")
    outlines = write_outlines(tmp_path / "labelme" / "1.json", f"{DECOMPOSED}.jpg")
    write_picture(outlines.parent / f"{COMPOSED}.jpg")

    for folder in (maps, coco, outlines.parent):
        data = open_data_set(folder)
        assert labelled(data) == [True]
        assert data.orphans() == []


def test_what_macos_puts_beside_files_is_no_label(tmp_path: Path) -> None:
    write_yolo(tmp_path / "yolo", {"1": TRIANGLE})
    write_cityscapes(tmp_path / "cityscapes")
    write_picture(write_outlines(tmp_path / "labelme" / "1.json", "1.jpg").parent / "1.jpg")
    for path in [p for p in tmp_path.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")

    for folder, count in (("yolo", 1), ("cityscapes", 2), ("labelme", 1)):
        data = open_data_set(tmp_path / folder)
        assert labelled(data) == [True] * count
        assert data.orphans() == []


def test_pictures_called_jfif_are_pictures(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"1": TRIANGLE})
    (tmp_path / "images" / "1.jpg").rename(tmp_path / "images" / "1.jfif")

    assert labelled(open_data_set(tmp_path)) == [True]


def test_two_pictures_that_differ_in_their_ending_are_two(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_coco(path, [annotation(1, 100), annotation(2, 101)], tmp_path / "images")
    entries = json.loads(path.read_text())
    for entry, ending in zip(entries["images"], ("jpg", "png"), strict=True):
        entry["file_name"] = f"same.{ending}"
        write_picture(tmp_path / "images" / f"same.{ending}")
    path.write_text(json.dumps(entries))

    data = open_data_set(path)

    assert data.names == ("same.jpg", "same.png")
    assert data.orphans() == []


# LabelMe.


def write_outlines(path: Path, picture: str, *shapes: Any, **changes: object) -> Path:
    """Write a JSON file of LabelMe with a square, or with ``shapes``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    square = {"label": "cat", "points": [[5, 5], [15, 5], [15, 15], [5, 15]]}
    document = {"shapes": shapes or [square], "imagePath": picture, **changes}
    path.write_text(json.dumps(document))
    return path


def test_the_picture_that_labelme_names_goes_before_one_beside_it(tmp_path: Path) -> None:
    write_outlines(tmp_path / "a" / "0.json", "../b/0.png")
    for folder, grey in (("a", 10), ("b", 200)):
        write_picture(tmp_path / folder / "0.png", np.full((*SIZE, 3), grey, np.uint8))

    data = LabelMe(tmp_path)

    assert data.names == ("b/0",)
    assert (data.read(0).image == 200).all()


def test_of_two_cameras_the_folders_that_were_named_tell(tmp_path: Path) -> None:
    for camera in ("cam1", "cam2"):
        write_outlines(tmp_path / "labels" / camera / "0.json", f"C:\\data\\{camera}\\0.png")
        write_picture(tmp_path / "images" / camera / "0.png")

    assert LabelMe(tmp_path).names == ("images/cam1/0", "images/cam2/0")


def test_labels_that_are_numbers_and_sizes_that_are_fractions_are_read(tmp_path: Path) -> None:
    square = {"label": 7, "points": [[5, 5], [15, 5], [15, 15], [5, 15]]}
    spaced = {"label": "cat ", "points": [[30, 5], [40, 5], [40, 15], [30, 15]]}
    size = {"imageHeight": float(SIZE[0]), "imageWidth": float(SIZE[1])}
    write_outlines(tmp_path / "0.json", "0.png", square, spaced, **size)
    write_picture(tmp_path / "0.png")

    data = LabelMe(tmp_path)

    assert data.classes == ("7", "cat")
    assert len(np.unique(data.read(0).instances)) == 3


@pytest.mark.parametrize(
    ("kind", "points", "flaw"),
    [
        ("cuboid", [[30, 10], [50, 10], [50, 30], [30, 30]], FlawKind.BOX),
        ("quadrilateral", [[30, 10], [50, 10], [50, 30], [30, 30]], None),
        ("circle", [[30, 10]], FlawKind.SLIVER),
    ],
)
def test_a_shape_that_is_no_outline_costs_itself_alone(
    tmp_path: Path, kind: str, points: list[list[int]], flaw: FlawKind | None
) -> None:
    square = {"label": "cat", "points": [[5, 5], [15, 5], [15, 15], [5, 15]]}
    other = {"label": "cat", "points": points, "shape_type": kind}
    write_outlines(tmp_path / "0.json", "0.png", square, other)
    write_picture(tmp_path / "0.png")

    picture = LabelMe(tmp_path).read(0)

    assert [each.kind for each in picture.flaws] == ([] if flaw is None else [flaw])
    assert len(np.unique(picture.instances)) == (3 if flaw is None else 2)


# What cannot be read.


def test_links_that_lead_nowhere_and_folders_are_broken_labels(tmp_path: Path) -> None:
    write_yolo(tmp_path / "yolo", {"1": None, "2": None, "3": TRIANGLE})
    (tmp_path / "yolo" / "labels" / "1.txt").symlink_to("nowhere.txt")
    (tmp_path / "yolo" / "labels" / "2.txt").mkdir()
    labelme = write_outlines(tmp_path / "labelme" / "1.json", "1.jpg").parent
    write_picture(labelme / "1.jpg")
    (labelme / "2.json").symlink_to("nowhere.json")

    report = check(open_data_set(tmp_path / "yolo"))
    (fault,) = open_data_set(labelme).orphans()

    reasons = ["cannot be read: No such file or directory", "cannot be read: Is a directory"]
    assert [each.reason for each in report.broken] == reasons
    assert len(report.pictures) == 1
    assert fault.reason == reasons[0]


def test_a_closed_folder_is_the_fault_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yolo(tmp_path, {"1": TRIANGLE})

    def closed(self: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", closed)

    with pytest.raises(ConfigurationError, match=f"{tmp_path}.*: Permission denied"):
        open_data_set(tmp_path)


def test_a_file_that_closes_meanwhile_is_the_fault_of_its_picture(tmp_path: Path) -> None:
    class Closing(DataSet):
        root, classes, names = tmp_path, ("cell",), ("1",)

        def read(self, index: int) -> Any:
            raise PermissionError(13, "Permission denied", "/x/1.png")

        def files(self, index: int) -> tuple[Path, ...]:
            return (Path("/x/1.png"),)

    (fault,) = check(Closing()).broken

    assert str(fault) == "/x/1.png: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"images": [], "annotations": [{"area": NaN}], "categories": []}',
         "invalid character .* at '.*NaN.*', which is no number of JSON"),
        (b'{"images": [], "annotations": [', "Input data was truncated"),
        (b'{"images": [], "categories": []}', "Object missing required field"),
        ('{"images": []}'.encode("utf-16"), "is text in UTF-16, expected UTF-8"),
        (b'{"shapes": [{"label": "caf\xe9", "points": []}]}', "is no file of LabelMe: .*utf-8"),
    ],
    ids=["nan", "cut", "without", "utf-16", "latin-1"],
)  # fmt: skip
def test_a_folder_whose_labels_are_damaged_says_how(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    write_picture(tmp_path / "pictures" / "1.jpg")
    (tmp_path / "annotations.json").write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"; annotations.json: .*{reason}"):
        open_data_set(tmp_path)


def test_the_ending_json_counts_in_any_case(tmp_path: Path) -> None:
    write_coco(tmp_path / "annotations.JSON", [annotation(1, 100)], tmp_path / "images", count=1)

    assert labelled(open_data_set(tmp_path)) == [True]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.zip", "is an archive: unpack it, and name its folder"),
        ("a.mp4", "is a video .its labels come from `seedstream label-from-motion`"),
    ],
)
def test_archives_and_videos_are_told_what_to_do(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_bytes(b"PK")

    with pytest.raises(ConfigurationError, match=reason):
        open_data_set(tmp_path / name)


def test_cvat_s_own_format_is_told_from_boxes(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "1.jpg")
    (tmp_path / "annotations.xml").write_text(
        '<annotations><image name="1.jpg"><polygon label="a" points="1,1;2,2;1,2"/></image>'
    )

    with pytest.raises(ConfigurationError, match=r"annotations\.xml is CVAT's own format: export"):
        open_data_set(tmp_path)


# What passes for something else.


def test_labels_of_keypoints_are_no_outlines(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"1": "0 0.5 0.5 0.2 0.2 0.1 0.1 2 0.2 0.2 2"})
    path = tmp_path / "data.yaml"
    path.write_text("train: images\nval: images\nkpt_shape: [2, 3]\nnames: [cell]\n")

    for named in (tmp_path, path):
        with pytest.raises(ConfigurationError, match=r"keypoints \(kpt_shape \[2, 3\]\)"):
            open_data_set(named)


def test_two_classes_of_one_name_are_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"1": TRIANGLE})
    (tmp_path / "data.yaml").write_text("names: [cell, cell]\n")

    with pytest.raises(ConfigurationError, match=r"data\.yaml: names several classes 'cell'"):
        open_data_set(tmp_path)


def test_a_box_over_the_edge_ignores_its_own_place(tmp_path: Path) -> None:
    data = open_data_set(write_yolo(tmp_path, {"1": f"0 0.9 0.5 0.3 0.4\n{TRIANGLE}"}))

    picture = data.read(0)

    rows, columns = np.nonzero(picture.labels == IGNORE)
    assert [flaw.kind for flaw in picture.flaws] == [FlawKind.BOX]
    assert (columns.min(), columns.max()) == (45, 59)
    assert (rows.min(), rows.max()) == (12, 27)


@pytest.mark.parametrize("value", [1, 7, 200])
def test_a_map_of_one_number_in_pieces_is_told(tmp_path: Path, value: int) -> None:
    write_picture(tmp_path / "images" / "1.png")
    write_picture(tmp_path / "masks" / "1.png", two_objects(np.uint8, value, value))

    (flaw,) = open_data_set(tmp_path).read(0).flaws

    assert flaw.kind is FlawKind.PIECES


def test_a_map_that_webp_has_changed_is_refused_and_one_without_losses_is_read(
    tmp_path: Path,
) -> None:
    for name in ("good", "lossy"):
        write_picture(tmp_path / "images" / f"{name}.png")
        path = tmp_path / "masks" / f"{name}.webp"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(two_objects(np.uint8)).save(path, lossless=name == "good")

    data = open_data_set(tmp_path)

    assert len(np.unique(data.read(0).instances)) == 3
    with pytest.raises(BrokenSampleError, match="is a WebP with losses, whose compression"):
        data.read(1)


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_outlines_that_are_all_boxes_raise_a_doubt(tmp_path: Path, angle: float) -> None:
    numbers = np.zeros((300, 400), np.uint8)
    for number in range(12):
        centre = 50 + number % 4 * 100, 50 + number // 4 * 100
        corners = cv2.boxPoints((centre, (60, 30), angle)).round().astype(np.int32)
        cv2.fillPoly(numbers, [corners], number + 1)
    write_picture(tmp_path / "images" / "1.png", np.zeros((300, 400, 3), np.uint8))
    write_picture(tmp_path / "masks" / "1.png", numbers)
    data = open_data_set(tmp_path)

    found = doubts(check(data), data.names)

    assert any("12 of 12 objects are rectangles: boxes instead of outlines?" in f for f in found)


def test_discs_and_cut_corners_raise_no_doubt(tmp_path: Path) -> None:
    numbers = np.zeros((300, 400), np.uint8)
    for number in range(12):
        x, y = 50 + number % 4 * 100, 50 + number // 4 * 100
        if number % 2:
            cv2.ellipse(numbers, (x, y), (40, 20), 30 * number, 0, 360, number + 1, -1)
        else:
            numbers[y - 20 : y + 20, x - 30 : x + 30] = number + 1
            numbers[y - 20 : y - 17, x - 30 : x - 27] = 0
    write_picture(tmp_path / "images" / "1.png", np.zeros((300, 400, 3), np.uint8))
    write_picture(tmp_path / "masks" / "1.png", numbers)
    data = open_data_set(tmp_path)

    assert doubts(check(data), data.names) == []


# What a training says of it.


def test_a_training_says_what_was_assumed_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_yolo(tmp_path, {"1": TRIANGLE, "2": None})
    (tmp_path / "labels" / "lost.txt").write_text(TRIANGLE)
    data = open_data_set(tmp_path)

    with caplog.at_level(logging.WARNING):
        examine([(data, range(2)), (data, range(1))], "stop")

    assert caplog.text.count("1 pictures have no text file: treated as having no objects") == 1
    assert caplog.text.count("left out: ") == 1
    assert "lost.txt: there is no picture of this name" in caplog.text


def test_parts_of_a_moved_data_set_are_found_again(tmp_path: Path) -> None:
    write_yolo(tmp_path / "a", {"train/1": TRIANGLE, "dev/2": TRIANGLE, "test/3": TRIANGLE})
    shutil.move(tmp_path / "a", tmp_path / "b")

    assert parts(tmp_path / "b") == (["train/1"], ["dev/2"])


def test_the_stages_of_the_data_science_bowl_are_parts(tmp_path: Path) -> None:
    for stage in ("stage1_train", "stage1_test"):
        for number in range(8):
            folder = tmp_path / stage / f"{number}"
            write_picture(folder / "images" / f"{number}.png")
            write_picture(folder / "masks" / "one.png", two_objects(np.uint8, 255, 0))

    train, validation = parts(tmp_path)

    assert {name.split("/")[0] for name in (*train, *validation)} == {"stage1_train"}


def test_objects_without_background_raise_a_doubt(tmp_path: Path) -> None:
    numbers = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((20, 20))).astype(np.uint8)
    write_picture(tmp_path / "images" / "1.png")
    write_picture(tmp_path / "masks" / "1.png", numbers)
    data = open_data_set(tmp_path)

    (doubt,) = doubts(check(data), data.names)

    assert "100.0 % of all pixels belong to objects" in doubt
