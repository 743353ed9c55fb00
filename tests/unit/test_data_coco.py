import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from contract.errors import ConfigurationError
from model.data.coco import Coco
from model.data.data_set import BrokenSampleError, Renamed, Subset
from model.data.flaws import FlawKind
from model.data.labels import IGNORE
from tests.data_sets import SIZE, annotation, box_polygon, two_objects, write_coco, write_picture

HEIGHT, WIDTH = SIZE


def encoded(mask: np.ndarray) -> str:
    """Return a mask's compressed counts."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def one(tmp_path: Path, *annotations: dict[str, object]) -> Coco:
    """Return a data set of one picture."""
    return Coco(write_coco(tmp_path / "labels.json", list(annotations), tmp_path / "images", 1))


def test_polygons_become_instances_of_their_category(tmp_path: Path):
    box = box_polygon(30, 10, 20, 20)
    data = one(
        tmp_path,
        annotation(1, 100),
        annotation(2, 100, category_id=44, segmentation=[box], area=400),
    )

    picture = data.read(0)

    assert data.classes == ("dog", "bottle")  # in the order of the categories' numbers
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, two_objects())


def test_an_object_may_have_several_polygons(tmp_path: Path):
    parts = [box_polygon(5, 5, 10, 10), box_polygon(30, 10, 20, 20)]

    picture = one(tmp_path, annotation(9, 100, segmentation=parts)).read(0)

    assert np.array_equal(picture.instances, two_objects() > 0)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_are_read_compressed_and_plain(tmp_path: Path, compressed: bool):
    inside = two_objects() == 2
    if compressed:
        counts: object = encoded(inside)
    else:
        column = inside.ravel(order="F")
        changes = np.flatnonzero(np.diff(column.astype(int))) + 1
        counts = np.diff([0, *changes, column.size]).tolist()
    rle = {"size": [HEIGHT, WIDTH], "counts": counts}

    picture = one(tmp_path, annotation(1, 100, segmentation=rle)).read(0)

    assert np.array_equal(picture.labels == 1, inside)


def test_crowds_are_ignored_but_not_the_objects_in_them(tmp_path: Path):
    crowd = [box_polygon(0, 0, 40, 40)]
    data = one(tmp_path, annotation(1, 100), annotation(2, 100, iscrowd=1, segmentation=crowd))

    picture = data.read(0)

    assert (picture.labels[two_objects() == 1] == 1).all()
    assert picture.labels[30, 20] == IGNORE
    assert np.unique(picture.instances).tolist() == [0, 1]


def test_the_smaller_of_two_that_overlap_is_in_front(tmp_path: Path):
    large = [box_polygon(0, 0, 40, 40)]
    data = one(tmp_path, annotation(1, 100), annotation(2, 100, segmentation=large))

    assert (data.read(0).instances[5:15, 5:15] == 1).all()


def test_masks_are_those_of_the_official_tool(tmp_path: Path):
    rng = np.random.default_rng(3)
    polygons = [rng.uniform(0, 40, 12).tolist() for _ in range(20)]
    path = write_coco(
        tmp_path / "labels.json",
        [annotation(n, 100 + n, segmentation=[p]) for n, p in enumerate(polygons)],
        tmp_path / "images",
        count=20,
    )
    data, official = Coco(path), COCO(str(path))

    for index in range(20):
        (entry,) = official.loadAnns(official.getAnnIds(data.image_ids[index]))
        assert np.array_equal(data.read(index).labels, official.annToMask(entry))


def test_annotations_are_kept_through_parts_and_renaming(tmp_path: Path):
    entries = [annotation(1, 102), annotation(2, 102, category_id=44), annotation(3, 100)]
    data = Coco(write_coco(tmp_path / "labels.json", entries, tmp_path / "images", count=3))

    renamed = Renamed(Subset(data, [2, 0]), ["pet"], {"dog": "pet", "bottle": "ignore"})

    assert data.image_ids == (100, 101, 102)
    assert [(s.class_name, s.crowd) for s in renamed.true_shapes(0) or ()] == [
        ("pet", False),
        ("ignore", True),
    ]
    assert [s.class_name for s in Renamed(data, ["dog"]).true_shapes(2) or ()] == ["dog"]


def test_a_region_of_unknown_class_stays_ignored_through_renaming(tmp_path: Path):
    data = Renamed(one(tmp_path, annotation(7, 100, category_id=3)), ["dog"])

    assert [(s.class_name, s.crowd) for s in data.true_shapes(0) or ()] == [("ignore", True)]
    assert np.array_equal(data.read(0).labels == IGNORE, BOX)
    assert [flaw.kind for flaw in data.read(0).flaws] == [FlawKind.UNKNOWN_CLASS]


UNFINISHED = encoded(two_objects() == 2) + "o"
"""A good mask, and the beginning of another count: pycocotools reads on beyond the text's end."""

FAULTS = [
    ({"segmentation": None}, "annotation 7: has no outline, and no box in the picture"),
    ({"segmentation": []}, "annotation 7: has no outline, and no box in the picture"),
    ({"segmentation": [[]]}, "annotation 7: has no outline, and no box in the picture"),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "annotation 7: has a polygon with"),
    ({"segmentation": [[1, 2, 3, 4, 5, None]]}, "annotation 7: Expected"),
    ({"segmentation": None, "bbox": [70, 5, 9, 9]}, "and no box in the picture"),
    ({"segmentation": [], "bbox": [5, 5, -9, 9]}, "and no box in the picture"),
    (
        {"segmentation": [box_polygon(100, 5, 20, 5)]},
        "annotation 7: has a polygon corner at (120.0, 5.0), wholly outside the picture of 60x40",
    ),
    (
        {"segmentation": [box_polygon(50, 5, 200, 5)], "bbox": [5, 5, 10, 10]},
        "annotation 7: has a polygon corner at (250.0, 5.0), far outside the picture of 60x40",
    ),
    (
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [2400]}, "bbox": [5, 5, 10, 10]},
        "annotation 7: has run lengths of size [60, 40], expected [40, 60]",
    ),
    (
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [2400]}},
        "annotation 7: has run lengths of size [60, 40], expected [40, 60]",
    ),
    (
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [100]}},
        "annotation 7: has run lengths of 100 pixels, expected 2400",
    ),
    *(
        (
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}},
            "annotation 7: has run lengths that do not decode",
        )
        for counts in ("0Z", "", "oo10", "000000", "o" * 50, "jU1d0d00V<ooQ", UNFINISHED, "\u2028")
    ),
    ({"segmentation": {"size": [1 << 70, 40], "counts": "0"}}, "annotation 7: "),
    ({"id": 7, "area": 10**400}, "annotation 7: "),
]


@pytest.mark.parametrize(("changes", "reason"), FAULTS)
def test_a_wrong_annotation_is_named_with_file_and_id_and_loses_nothing_else(
    tmp_path: Path, changes: dict[str, object], reason: str
):
    annotations = [annotation(7, 100, **{"bbox": None, **changes}), annotation(8, 101)]
    data = Coco(write_coco(tmp_path / "labels.json", annotations, tmp_path / "images"))

    with pytest.raises(BrokenSampleError) as caught:
        data.read(0)

    assert caught.value.path == tmp_path / "labels.json"
    assert caught.value.reason.startswith("000000000000.jpg: ")
    assert reason in caught.value.reason
    assert data.read(1).instances.any()


def test_an_annotation_that_is_no_text_is_named_and_loses_nothing_else(tmp_path: Path):
    entries = [annotation(7, 100, bbox=None, segmentation={"size": [40, 60], "counts": "@@"})]
    path = write_coco(tmp_path / "labels.json", [*entries, annotation(8, 101)], tmp_path / "images")
    path.write_bytes(path.read_bytes().replace(b"@@", b"\xff\xfe"))
    data = Coco(path)

    with pytest.raises(BrokenSampleError, match="annotation 7: 'utf-8' codec can't decode"):
        data.read(0)

    assert data.read(1).instances.any()


def test_numbers_beyond_all_bounds_cost_their_entry_alone(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [annotation(7, 100)], tmp_path / "images")
    text = path.read_text()
    lost = json.dumps(annotation(9, 100, image_id="@")).replace('"@"', "1e999")
    path.write_text(text.replace('"annotations": [', f'"annotations": [{lost}, '))

    data = Coco(path)

    assert [fault.reason.partition(":")[0] for fault in data.orphans()] == ["annotation 9"]
    assert data.read(0).instances.any()


def test_broken_run_lengths_never_end_in_another_error_than_ours(tmp_path: Path):
    rng = np.random.default_rng(5)
    good = encoded(two_objects() == 2)
    data = one(tmp_path, annotation(1, 100))
    refused = 0
    for _ in range(300):
        place, length = int(rng.integers(len(good) + 1)), int(rng.integers(1, 4))
        letters = "".join(map(chr, rng.integers(32, 127, length)))
        broken = {"size": [HEIGHT, WIDTH], "counts": good[:place] + letters}
        entry = annotation(1, 100, bbox=None, segmentation=broken)
        data._annotations = {"100": [json.dumps(entry).encode()]}
        try:
            data.read(0)
        except BrokenSampleError as error:
            refused += "annotation 1: has run lengths" in error.reason
    assert refused > 200


def test_all_wrong_annotations_of_a_picture_are_told_together(tmp_path: Path):
    lost = {"bbox": None, "segmentation": []}
    data = one(tmp_path, annotation(1, 100, **lost), annotation(2, 100, **lost))

    with pytest.raises(BrokenSampleError, match=r"annotation 1: has no.*; annotation 2: has no"):
        data.read(0)


def test_a_thousand_faults_are_told_in_a_line(tmp_path: Path):
    lost = {"bbox": None, "segmentation": []}
    data = one(tmp_path, *(annotation(number, 100, **lost) for number in range(1000)))

    with pytest.raises(BrokenSampleError) as caught:
        data.read(0)

    assert "annotation 9: has no outline" in caught.value.reason
    assert caught.value.reason.endswith("; and 990 more")
    assert len(caught.value.reason) < 1000


BOX = np.zeros(SIZE, bool)
BOX[5:15, 5:15] = True
"""Where the box of an annotation lies unless it is changed."""

LOST = [
    ({"segmentation": []}, FlawKind.BOX),
    ({"segmentation": None}, FlawKind.BOX),
    ({"segmentation": [[], []]}, FlawKind.BOX),
    ({"segmentation": [[6, 6, 9, 9]]}, FlawKind.SLIVER),
    ({"segmentation": [[6, 6, 8, 8, 7, 7]]}, FlawKind.EMPTY),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, FlawKind.UNREADABLE),
    ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, FlawKind.UNREADABLE),
    ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "0Z"}}, FlawKind.UNREADABLE),
    ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [100]}}, FlawKind.UNREADABLE),
    ({"area": 10**400}, FlawKind.UNREADABLE),
    ({"category_id": 3}, FlawKind.UNKNOWN_CLASS),
    ({"category_id": "dog"}, FlawKind.UNKNOWN_CLASS),
    ({"category_id": None}, FlawKind.UNKNOWN_CLASS),
]


@pytest.mark.parametrize(("changes", "kind"), LOST)
def test_an_object_that_cannot_be_used_is_ignored_and_the_others_are_kept(
    tmp_path: Path, changes: dict[str, object], kind: FlawKind
):
    good = annotation(8, 100, segmentation=[box_polygon(30, 10, 20, 20)])
    data = one(tmp_path, annotation(7, 100, **changes), good)

    picture = data.read(0)

    assert [flaw.kind for flaw in picture.flaws] == [kind]
    assert picture.flaws[0].where.startswith("annotation 7")
    assert np.array_equal(picture.labels == IGNORE, BOX)
    assert np.array_equal(picture.labels == 1, two_objects() == 2)
    lost, _ = data.true_shapes(0)
    assert lost.crowd  # finding it counts neither for nor against
    assert np.array_equal(coco_mask.decode(lost.mask).astype(bool), BOX)


MENDED = [
    ({"area": None}, [FlawKind.NO_AREA]),
    ({"area": 0}, [FlawKind.NO_AREA]),
    ({"segmentation": [[5, 5, -9, 5, -9, 30, 5, 30]], "area": 125}, [FlawKind.CLIPPED]),
    ({"segmentation": [box_polygon(5, 5, 10, 10), [30, 5, 31, 5]]}, [FlawKind.PART_DROPPED]),
    ({"iscrowd": None}, []),
    ({"iscrowd": False}, []),
    ({"iscrowd": "0"}, []),
    ({"id": None}, []),
    ({"id": "a7"}, []),
    ({"image_id": "100"}, []),
    ({"image_id": 100.0}, []),
    ({"category_id": "18"}, []),
    ({"category_id": 18.0}, []),
    ({"bbox": "none"}, []),
    ({"bbox": []}, []),
    ({"segmentation": box_polygon(5, 5, 10, 10)}, []),
]


@pytest.mark.parametrize(("changes", "kinds"), MENDED)
def test_what_exporters_leave_open_costs_no_object(
    tmp_path: Path, changes: dict[str, object], kinds: list[FlawKind]
):
    entry = {**annotation(7, 100), **changes}
    picture = one(tmp_path, entry).read(0)

    assert [flaw.kind for flaw in picture.flaws] == kinds
    assert np.unique(picture.labels).tolist() == [0, 1]
    assert (picture.instances == 1).sum() in (100, 125)


@pytest.mark.parametrize("value", [1, True, 1.0, "1", "true"])
def test_crowds_are_said_aloud_however_they_are_marked(tmp_path: Path, value: object):
    data = one(tmp_path, annotation(7, 100, iscrowd=value))

    picture = data.read(0)

    assert [flaw.kind for flaw in picture.flaws] == [FlawKind.CROWD]
    assert np.array_equal(picture.labels == IGNORE, BOX)
    assert data.notes()[0].startswith("1 of 1 annotations are marked as crowds")


def test_areas_that_are_missing_are_those_of_the_outlines(tmp_path: Path):
    assert one(tmp_path, annotation(7, 100, area=None)).true_shapes(0)[0].area == 100


def test_entries_without_a_picture_are_told_and_left_out(tmp_path: Path):
    path = write_coco(
        tmp_path / "labels.json",
        [annotation(1, 100), annotation(2, 999), annotation(3, 100, image_id=None)],
        tmp_path / "images",
    )
    document = json.loads(path.read_text())
    document["images"] += [document["images"][0], {"id": 5, "width": 3, "height": 4}]
    path.write_text(json.dumps(document))

    data = Coco(path)

    assert len(data) == 2
    assert data.read(0).instances.any()
    assert [fault.reason for fault in data.orphans()] == [
        "picture 100, 000000000000.jpg, is listed twice; left out",
        "picture 5: Object missing required field `file_name`",
        "annotation 2: there is no picture 999",
        "annotation 3: Object missing required field `image_id`",
    ]


def test_a_picture_of_another_size_or_a_missing_one_is_named(tmp_path: Path):
    data = Coco(write_coco(tmp_path / "labels.json", [], tmp_path / "images", count=3))
    write_picture(data.files(0)[0], np.zeros((30, 20, 3), np.uint8))
    data.files(1)[0].unlink()

    with pytest.raises(BrokenSampleError, match=r"is 20x30 pixels, labels\.json says 60x40"):
        data.read(0)
    with pytest.raises(BrokenSampleError, match="there is no such file"):
        data.read(1)
    assert not data.read(2).instances.any()


@pytest.mark.parametrize(
    "images", ["a/train2017", "a/images/train2017", "a/images", "a/annotations/images", "a"]
)
def test_pictures_are_found_where_they_usually_lie(tmp_path: Path, images: str):
    path = tmp_path / "a" / "annotations" / "instances_train2017.json"

    data = Coco(write_coco(path, [], tmp_path / images))

    assert data.read(1).image.shape == (*SIZE, 3)


def test_pictures_that_are_not_found_say_where_they_were_looked_for(tmp_path: Path):
    path = write_coco(tmp_path / "labels.json", [], tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match=r"expected 000000000000.jpg in one of .*/images,"):
        Coco(path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "expected COCO annotations"),
        ("[]", "expected COCO annotations"),
        ('{"images": [], "annotations": []}', "missing required field `categories`"),
        ('{"images": [], "annotations": [], "categories": []}', "has 0 categories"),
        (
            '{"images": [], "annotations": [], "categories": '
            '[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}',
            "categories names are not unique",
        ),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, fault: str):
    (tmp_path / "labels.json").write_text(text)

    with pytest.raises(ConfigurationError, match=fault):
        Coco(tmp_path / "labels.json")
