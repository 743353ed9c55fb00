from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE
from model.data.open import detect, open_data_set
from model.data.voc import Voc
from tests.data_sets import two_objects, write_picture

VOID = (slice(4, 5), slice(5, 15))
"""The outline above the first object."""


def with_void(first: int, second: int) -> NDArray[np.uint8]:
    numbers = two_objects(np.uint8, first, second)
    numbers[VOID] = 255
    return numbers


def write_map(path: Path, numbers: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(numbers)
    picture.putpalette(np.random.default_rng(1).integers(0, 255, 768, np.uint8).tobytes())
    picture.save(path)


def write_voc(root: Path, names: tuple[str, ...] = ("2007_1", "2007_2", "2007_3")) -> Path:
    """Write pictures with a person and a dog each, and one that only has boxes."""
    for name in (*names, "boxes"):
        write_picture(root / "JPEGImages" / f"{name}.jpg")
    for name in names:
        write_map(root / "SegmentationObject" / f"{name}.png", with_void(1, 2))
        write_map(root / "SegmentationClass" / f"{name}.png", with_void(15, 12))
    return root


def test_objects_get_their_class_and_the_void_between_them_is_ignored(tmp_path: Path):
    data = open_data_set(write_voc(tmp_path))

    picture = data.read(0)

    assert detect(tmp_path) == "voc"
    assert data.names == ("2007_1", "2007_2", "2007_3")
    assert (data.classes[14], data.classes[11]) == ("person", "dog")
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, with_void(15, 12))
    assert not picture.flaws


@pytest.mark.parametrize("around", ["VOC2012", "VOCdevkit/VOC2012"])
def test_the_folders_that_the_challenge_packs_around_it_are_looked_into(
    tmp_path: Path, around: str
):
    write_voc(tmp_path / around)

    assert detect(tmp_path) == "voc"
    assert open_data_set(tmp_path).names == ("2007_1", "2007_2", "2007_3")


def test_of_several_years_one_is_to_be_named(tmp_path: Path):
    write_voc(tmp_path / "VOCdevkit" / "VOC2007")
    write_voc(tmp_path / "VOCdevkit" / "VOC2012")

    with pytest.raises(ConfigurationError, match=r"name one of them: .*VOC2007, .*VOC2012"):
        open_data_set(tmp_path)


def test_the_lists_of_the_challenge_are_the_split(tmp_path: Path):
    lists = write_voc(tmp_path) / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n2007_3\n")
    (lists / "val.txt").write_text("2007_2\n")
    (lists / "trainval.txt").write_text("2007_1\n2007_2\n2007_3\n")

    names = {p: open_data_set(tmp_path, split=p).names for p in ("train", "validation", "all")}

    assert names == {
        "train": ("2007_1", "2007_3"),
        "validation": ("2007_2",),
        "all": ("2007_1", "2007_2", "2007_3"),
    }


def test_colours_are_those_that_the_label_map_names(tmp_path: Path):
    write_voc(tmp_path, ("a",))
    write_picture(tmp_path / "SegmentationObject" / "a.png", coloured((128, 0, 0), (0, 128, 0)))
    write_picture(tmp_path / "SegmentationClass" / "a.png", coloured((9, 8, 7), (250, 50, 83)))
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nred cell:250,50,83::\ncell:9,8,7::\n"
    )

    data = Voc(tmp_path)
    picture = data.read(0)

    assert data.classes == ("red cell", "cell")
    assert len(np.unique(picture.instances)) == 3
    assert np.array_equal(picture.labels, with_void(2, 1))


def test_colours_without_a_label_map_are_those_of_the_challenge(tmp_path: Path):
    write_voc(tmp_path, ("a",))
    write_picture(tmp_path / "SegmentationClass" / "a.png", coloured((192, 128, 128), (64, 0, 128)))

    assert np.array_equal(Voc(tmp_path).read(0).labels, with_void(15, 12))


def coloured(first: tuple[int, ...], second: tuple[int, ...]) -> NDArray[np.uint8]:
    image = np.zeros((*two_objects().shape, 3), np.uint8)
    image[two_objects() == 1] = first
    image[two_objects() == 2] = second
    image[VOID] = (224, 224, 192)
    return image


def test_numbers_are_those_that_class_names_lists(tmp_path: Path):
    write_voc(tmp_path, ("a",))
    write_map(tmp_path / "SegmentationClass" / "a.png", with_void(2, 1))
    (tmp_path / "class_names.txt").write_text("_background_\ncell\nred cell\n")

    data = Voc(tmp_path)

    assert data.classes == ("cell", "red cell")
    assert np.array_equal(data.read(0).labels, with_void(2, 1))


def test_without_classes_every_object_is_one(tmp_path: Path):
    for path in (write_voc(tmp_path) / "SegmentationClass").iterdir():
        path.unlink()
    (tmp_path / "SegmentationClass").rmdir()

    data = open_data_set(tmp_path, classes=["cell"])

    assert data.classes == ("cell",)
    assert np.array_equal(data.read(0).labels, with_void(1, 1))


def test_what_one_map_has_and_the_other_has_not_is_ignored(tmp_path: Path):
    write_voc(tmp_path, ("a", "b"))
    write_map(tmp_path / "SegmentationClass" / "a.png", with_void(15, 0))
    write_map(tmp_path / "SegmentationObject" / "b.png", with_void(1, 0))
    data = Voc(tmp_path)

    objects, classes = data.read(0), data.read(1)

    assert objects.flaws == (Flaw(FlawKind.UNKNOWN_CLASS, "object 2"),)
    assert classes.flaws == ()
    for picture in (objects, classes):
        assert np.array_equal(picture.labels, with_void(15, IGNORE))
        assert np.array_equal(picture.instances, two_objects() == 1)


def test_a_class_that_there_is_not_is_named_and_loses_nothing_else(tmp_path: Path):
    write_voc(tmp_path)
    write_map(tmp_path / "SegmentationClass" / "2007_1.png", with_void(15, 21))
    data = Voc(tmp_path)

    with pytest.raises(BrokenSampleError, match=r"has the classes \[21\], expected those of"):
        data.read(0)
    assert data.read(1).instances.any()


def test_maps_without_a_picture_are_told(tmp_path: Path):
    (write_voc(tmp_path) / "JPEGImages" / "2007_2.jpg").unlink()

    data = Voc(tmp_path)

    assert data.names == ("2007_1", "2007_3")
    assert [fault.path.name for fault in data.orphans()] == ["2007_2.png"]


def test_boxes_alone_are_refused_with_the_reason(tmp_path: Path):
    write_picture(tmp_path / "JPEGImages" / "1.jpg")

    with pytest.raises(ConfigurationError, match=r"boxes .* do not say which pixel is whose"):
        open_data_set(tmp_path)


def test_maps_without_any_pictures_are_refused_with_the_reason(tmp_path: Path):
    (write_voc(tmp_path) / "JPEGImages").rename(tmp_path / "pictures")

    with pytest.raises(ConfigurationError, match=r"\['JPEGImages'\] missing"):
        open_data_set(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cell:1,2\n", r"labelmap\.txt: line 1: expected `name:red,green,blue::`, got 'cell:1,2'"),
        ("cell:1,2,3::\ncell:4,5,6::\n", "line 2: 'cell' is there twice"),
    ],
)
def test_a_label_map_that_is_none_is_refused(tmp_path: Path, text: str, fault: str):
    (write_voc(tmp_path) / "labelmap.txt").write_text(text)

    with pytest.raises(ConfigurationError, match=fault):
        Voc(tmp_path)
