from pathlib import Path

import numpy as np
import pytest

from model.data.check import check, count_classes
from model.data.check_report import class_table, sentences, summarize
from model.data.data_set import Subset
from model.data.facts import facts
from model.data.label_maps import LabelMaps
from model.data.labels import IGNORE, Labelled
from tests.data_sets import SIZE, two_objects, write_label_maps, write_picture

PIXELS = SIZE[0] * SIZE[1]


def labelled(instances: np.ndarray, labels: np.ndarray) -> Labelled:
    image = np.zeros((*instances.shape, 3), np.uint8)
    return Labelled(image, instances.astype(np.int32), labels.astype(np.uint8))


def test_a_picture_is_measured():
    instances = two_objects(np.int32, 9, 4)
    labels = two_objects(np.uint8, 1, 2)
    labels[35:, :] = IGNORE
    instances[8, 20:28] = 9  # a second piece of the first object makes its box wider
    labels[8, 20:28] = 1

    found, faults = facts(labelled(instances, labels), classes=2)

    assert not faults
    assert found.classes.tolist() == [2, 1]
    assert found.areas.tolist() == [400, 108]
    assert found.extents.tolist() == [20, 23]
    assert (found.height, found.width) == SIZE
    assert found.foreground == 508
    assert found.ignored == 5 * SIZE[1]


def test_a_picture_without_objects_is_measured_too():
    found, faults = facts(labelled(np.zeros(SIZE), np.zeros(SIZE)), classes=1)

    assert not faults
    assert found.areas.size == found.foreground == found.ignored == 0


@pytest.mark.parametrize(
    ("instances", "labels", "fault"),
    [
        (two_objects(), two_objects(np.uint8, 1, 3), "has the classes [3], expected 1..2 or 255"),
        (two_objects(np.int32, 5, 5), two_objects(), "instances [5] have several classes"),
        (two_objects(np.int32, 1, 0), two_objects(), "400 pixels have the class 2 but belong to"),
        (two_objects(), two_objects(np.uint8, 1, 0), "instances 2 have unclassified pixels"),
    ],
)
def test_instances_and_classes_that_contradict_each_other_are_a_fault(
    instances: np.ndarray, labels: np.ndarray, fault: str
):
    assert any(fault in found for found in facts(labelled(instances, labels), classes=2)[1])


def test_a_check_names_the_broken_and_counts_the_others(tmp_path: Path):
    root = write_label_maps(tmp_path, ("a", "b", "c", "d", "e"))
    for name in "abcde":
        write_picture(root / "classes" / f"{name}.png", two_objects(np.uint8, 1, 1))
    (root / "instances" / "b.png").write_bytes(b"")
    write_picture(root / "classes" / "d.png", two_objects(np.uint8, 1, 0))
    write_picture(root / "instances" / "nobody.png", two_objects())
    done: list[None] = []

    report = check(LabelMaps(root), done=lambda: done.append(None))

    assert sorted(report.pictures) == [0, 2, 4]
    assert [fault.path.relative_to(root).as_posix() for fault in report.broken] == [
        "instances/b.png",
        "classes/d.png",
        "instances/nobody.png",
    ]
    assert len(done) == 5
    (row,) = count_classes(report)
    assert (row.pictures, row.instances) == (3, 6)


def test_any_number_of_threads_finds_the_same(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path, tuple("abcdefgh")))

    summaries = [summarize(check(data, threads=threads), {}) for threads in (1, 4)]

    assert summaries[0] == summaries[1]


def test_instances_are_counted_by_class_and_size(tmp_path: Path):
    instances, labels = np.zeros((200, 300), np.uint16), np.zeros((200, 300), np.uint8)
    for number, (left, side) in enumerate([(0, 31), (40, 32), (80, 95), (180, 96)], start=1):
        instances[:side, left : left + side] = number
        labels[:side, left : left + side] = 2
    write_picture(tmp_path / "images" / "1.png", np.zeros((200, 300, 3), np.uint8))
    write_picture(tmp_path / "instances" / "1.png", instances)
    write_picture(tmp_path / "classes" / "1.png", labels)

    none, row = count_classes(check(LabelMaps(tmp_path, ["cat", "dog"])))

    assert (none.name, none.instances, none.extents) == ("cat", 0, None)
    assert (row.pictures, row.instances, row.small, row.medium, row.large) == (1, 4, 1, 2, 1)
    assert row.extents == pytest.approx((31.15, 63.5, 95.85))
    assert row.pixel_share == pytest.approx((31**2 + 32**2 + 95**2 + 96**2) / 60_000)


def test_a_summary_tells_shares_sizes_and_pictures_without_objects(tmp_path: Path):
    root = write_label_maps(tmp_path, ("a", "b"))
    write_picture(root / "images" / "c.png", np.zeros((10, 20, 3), np.uint8))
    write_picture(root / "instances" / "c.png", np.zeros((10, 20), np.uint8))

    summary = summarize(check(LabelMaps(root)), {"train": 2, "validation": 1})

    assert summary["pictures"] == 3
    assert summary["pictures_without_instances"] == 1
    assert summary["instances_per_picture"] == {"median": 2, "most": 2}
    assert summary["foreground_share"] == pytest.approx(1000 / (2 * PIXELS + 200))
    assert summary["sizes"] == [
        {"height": 40, "width": 60, "pictures": 2},
        {"height": 10, "width": 20, "pictures": 1},
    ]
    assert "3 good pictures (train 2, validation 1), 4 instances" in sentences(summary)


def test_a_data_set_with_nothing_but_broken_pictures_is_still_summed_up(tmp_path: Path):
    root = write_label_maps(tmp_path, ("a",))
    (root / "images" / "a.png").write_bytes(b"")

    summary = summarize(check(LabelMaps(root)), {})

    assert summary["pictures"] == summary["instances"] == 0
    assert len(summary["broken"]) == 1
    assert class_table(summary["classes"]).row_count == 1
    assert sentences(summary)


def test_a_long_table_leaves_out_classes_that_nothing_shows(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path, ("a",)), [f"class{n}" for n in range(30)])

    assert class_table(summarize(check(Subset(data, [0])), {})["classes"]).row_count == 1
