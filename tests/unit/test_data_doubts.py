"""What is in order by form and seldom meant is told, and what is usual is not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from model.data.check import Report, check, count_classes, look
from model.data.check_report import at_input, sentences, summarize, why_none
from model.data.coco import Coco
from model.data.data_set import BrokenSampleError
from model.data.doubts import classes_without_objects, dark_depth, doubts, too_small
from model.data.facts import facts, without_contradictions
from model.data.fault_groups import describe_faults
from model.data.flaws import FlawKind
from model.data.label_maps import LabelMaps
from model.data.labels import IGNORE, Labelled
from model.data.open import open_data_set
from tests.data_sets import (
    SIZE,
    annotation,
    box_polygon,
    two_objects,
    write_coco,
    write_label_maps,
    write_picture,
    write_yolo,
)

TALL = box_polygon(5, 5, 10, 30)


def labelled(instances: np.ndarray, labels: np.ndarray | None = None) -> Labelled:
    labels = (instances > 0) if labels is None else labels
    image = np.zeros((*instances.shape, 3), np.uint8)
    return Labelled(image, instances.astype(np.int32), labels.astype(np.uint8))


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """One instance of several boxes (top, left, bottom, right)."""
    instances = np.zeros((100, 200), np.int32)
    for top, left, bottom, right in corners:
        instances[top:bottom, left:right] = 7
    return instances


@pytest.mark.parametrize(
    ("instances", "scattered"),
    [
        (boxes((0, 0, 20, 20), (50, 100, 70, 120)), 1),
        (boxes((0, 0, 20, 20), (0, 41, 20, 61)), 1),
        (boxes((0, 0, 60, 20), (0, 25, 60, 45)), 0),  # behind a post
        (boxes((0, 0, 30, 30), (0, 61, 3, 64)), 0),  # a stray speck
        (boxes((0, 0, 20, 20)), 0),
    ],
)
def test_an_instance_in_far_pieces_is_told_from_one_that_a_post_cuts(
    instances: np.ndarray, scattered: int
):
    assert facts(labelled(instances), classes=1)[0].scattered == scattered


def test_far_pieces_and_strokes_are_counted_with_their_first_picture(tmp_path: Path):
    root = write_label_maps(tmp_path, ("a", "b"))
    instances = two_objects(np.uint16, 1, 1)
    instances[35, 2:4] = 2
    write_picture(root / "instances" / "b.png", instances)

    found = doubts(check(LabelMaps(root)), ("a", "b"))

    assert found[0].startswith("1 of 4 objects are at most 2 pixels long")
    assert found[0].endswith("(first: b)")
    assert len(found) == 1  # the two squares of b lie closer than the larger is long


def test_a_plain_data_set_raises_no_doubt(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path))

    assert doubts(check(data), data.names) == []
    assert dark_depth(data) == []


def test_annotations_that_others_cover_are_told(tmp_path: Path):
    twice = [annotation(1, 100, segmentation=[TALL], area=300.0), annotation(2, 100, area=100.0)]
    hidden = [*twice, annotation(3, 101), annotation(4, 101)]
    data = Coco(write_coco(tmp_path / "labels.json", hidden, tmp_path / "images"))

    assert sentences(summarize(check(data), {}))[4] == (
        "flaw: covered by others completely, not drawn: 1 object "
        f"(first: {data.names[1]}, object 1)"
    )


def test_covered_lines_of_a_text_file_are_told_as_well(tmp_path: Path):
    square = "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
    data = open_data_set(write_yolo(tmp_path, {"a": f"{square}\n{square}"}))

    flaws = check(data).flaws

    assert [(name, flaw.kind, flaw.where) for name, flaw in flaws] == [
        ("a", FlawKind.COVERED, "object 1")
    ]


def test_classes_that_nothing_shows_are_named(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path), ["cell", "dog", "cat"])

    assert classes_without_objects(check(data)) == ["classes without any object: dog, cat"]


def test_names_that_differ_in_case_alone_and_names_that_come_twice_are_told():
    found = doubts(Report(("cell",)), ("Cell1", "a", "cell1", "a"))

    assert [text[:40] for text in found] == [
        "1 names belong to several pictures each ",
        "2 names differ from another in upper and",
    ]


@pytest.mark.parametrize(
    ("highest", "bits"), [(4095, "12 bits"), (200, "8 bits"), (4096, None), (65535, None)]
)
def test_pictures_of_16_bits_that_use_fewer_are_told(
    tmp_path: Path, highest: int, bits: str | None
):
    root = write_label_maps(tmp_path, ("a",))
    deep = np.zeros(SIZE, np.uint16)
    deep[:20] = highest
    cv2.imwrite(str(root / "images" / "a.png"), deep)

    found = dark_depth(LabelMaps(root))

    assert [bits in text for text in found] == ([True] if bits else [])


def test_objects_are_counted_as_the_model_sees_them(tmp_path: Path):
    report = check(LabelMaps(write_label_maps(tmp_path, ("a",))))  # 100 and 400 pixels

    (row,) = count_classes(report, (20, 30))  # a quarter of the area

    assert row.instances == 2
    assert row.extents == pytest.approx((5.25, 7.5, 9.75))
    assert row.pixel_share == pytest.approx(500 / 2400)
    assert too_small(report, (20, 30), 25) == []
    (told,) = too_small(report, (20, 30), 26)
    assert told.startswith("1 of 2 objects are smaller than min_pixels (26)")
    assert at_input(report, (20, 30), 26)["at_input"]["notes"] == [told]


def test_a_set_without_objects_says_whether_they_are_ignored_or_missing(tmp_path: Path):
    crowds = [annotation(n, 100 + n, iscrowd=1) for n in range(2)]
    ignored = check(Coco(write_coco(tmp_path / "labels.json", crowds, tmp_path / "images")))
    root = write_label_maps(tmp_path / "empty", ("a",))
    write_picture(root / "instances" / "a.png", np.zeros(SIZE, np.uint16))
    empty = check(LabelMaps(root))

    assert why_none(ignored).startswith("2 of 2 pictures have only ignored regions")
    assert why_none(empty).startswith("none in 1 pictures")


def test_good_and_broken_pictures_add_up_to_those_that_were_read(tmp_path: Path):
    root = write_label_maps(tmp_path)
    (root / "images" / "b.png").write_bytes(b"")
    write_picture(root / "instances" / "nobody.png", two_objects())

    summary = summarize(check(LabelMaps(root)), {"train": 2, "validation": 0})

    assert sentences(summary)[0] == (
        "2 good pictures (train 2, validation 0), 4 instances, 1 broken pictures"
    )


def test_the_same_fault_in_many_files_is_told_once():
    alike = [
        BrokenSampleError(
            Path("a.json"), f"pic{n}.png: annotation {n}: lacks x; annotation {n + 1}: lacks x"
        )
        for n in range(12)
    ]
    other = BrokenSampleError(Path("b.png"), "is empty")

    assert describe_faults([*alike, other]) == [
        "a.json: pic0.png: annotation 0: lacks x; annotation 1: lacks x "
        "(and 11 more like it, 24 faults in all)",
        "b.png: is empty",
    ]


def test_advice_after_a_semicolon_is_no_fault_of_its_own():
    broken = [BrokenSampleError(Path(f"{n}.jpg"), "is a JPEG; save it as PNG") for n in range(5)]

    assert describe_faults(broken) == ["0.jpg: is a JPEG; save it as PNG (and 4 more like it)"]


def test_few_files_are_all_named():
    broken = [BrokenSampleError(Path(f"{n}.png"), "is empty") for n in range(3)]

    assert describe_faults(broken) == [str(fault) for fault in broken]


def test_contradictions_become_ignored_and_the_rest_stays():
    instances, labels = two_objects(np.int32, 1, 2), two_objects(np.uint8, 1, 1)
    instances[35:, :10], labels[35:, :10] = 3, 0  # an object without a class
    instances[35:, 20:30], labels[35:, 20:30] = 4, IGNORE
    labels[35:, 40:50] = 1  # a class without an object
    labels[0, 0] = 9
    labels[10, 30] = 2  # part of the second object

    mended = without_contradictions(labelled(instances, labels), classes=2)

    assert facts(mended, classes=2)[1] == []
    places = [flaw.where for flaw in mended.flaws]
    assert places == ["instance 2", "instance 3", "instance 4", "pixels of no instance"]
    assert np.unique(mended.instances).tolist() == [0, 1]
    for part in (np.s_[35:, :10], np.s_[35:, 20:30], np.s_[35:, 40:50], np.s_[0, 0]):
        assert np.all(mended.labels[part] == IGNORE)
    assert np.all(mended.labels[10:30, 30:50] == IGNORE)
    assert np.array_equal(mended.labels == 1, instances == 1)


def test_a_picture_without_contradictions_stays_as_it_is():
    picture = labelled(two_objects(np.int32))

    assert without_contradictions(picture, classes=1) is picture


def test_looking_ends_when_time_is_up(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path, tuple("abcdefgh")))
    asked: list[None] = []

    def out_of_time() -> bool:
        asked.append(None)
        return len(asked) == 3

    report = look(data, range(8), threads=1, out_of_time=out_of_time)

    assert report.looked == len(report.pictures) == 3
