"""Pictures that EXIF turns: labels drawn before or after it lie on their objects all the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from media.pixels import ORIENTATIONS
from model.data.cityscapes import Cityscapes
from model.data.data_set import BrokenSampleError
from model.data.flaws import FlawKind
from model.data.label_maps import LabelMaps
from model.data.labelme import LabelMe
from model.data.labels import Labelled
from model.data.open import open_data_set
from tests.data_sets import SIZE, two_objects, write_picture

QUARTERS = (5, 6, 7, 8)
"""Orientations that swap width and height."""


def write_turned(path: Path, orientation: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint16]:
    """Write a picture, stored upside down or lying, that shows its two objects in white.

    Returns:
        Its label map, in the frame of the stored pixels.
    """
    numbers = np.zeros(size, np.uint16)
    numbers[: SIZE[0], : SIZE[1]] = two_objects()[: size[0], : size[1]]
    shown = np.where(numbers[..., None] > 0, 255, 0).astype(np.uint8).repeat(3, axis=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(shown).save(path, exif=exif)
    return numbers


def lies_on_its_objects(picture: Labelled) -> bool:
    return np.array_equal(picture.instances > 0, picture.image[..., 0] > 127)


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("orientation", QUARTERS)
def test_the_size_of_a_label_map_says_whether_it_was_drawn_on_the_stored_picture(
    tmp_path: Path, orientation: int, shown: bool
):
    numbers = write_turned(tmp_path / "images" / "a.png", orientation)
    upright = ORIENTATIONS[orientation]
    write_picture(tmp_path / "instances" / "a.png", upright.turn(numbers) if shown else numbers)

    picture = LabelMaps(tmp_path).read(0)

    assert picture.labels.shape == SIZE[::-1]
    assert np.array_equal(picture.instances, upright.turn(numbers))
    assert lies_on_its_objects(picture)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_labels_that_fit_before_and_after_a_turn_are_refused(tmp_path: Path, orientation: int):
    numbers = write_turned(tmp_path / "images" / "a.png", orientation)
    write_picture(tmp_path / "instances" / "a.png", numbers)

    with pytest.raises(BrokenSampleError) as caught:
        LabelMaps(tmp_path).read(0)

    assert caught.value.path == tmp_path / "images" / "a.png"
    assert "by its EXIF, and its labels fit both before and after" in caught.value.reason


def test_a_square_picture_that_is_turned_is_refused(tmp_path: Path):
    numbers = write_turned(tmp_path / "images" / "a.png", 6, (60, 60))
    write_picture(tmp_path / "instances" / "a.png", numbers)

    with pytest.raises(BrokenSampleError, match="is turned by 90 degrees by its EXIF"):
        LabelMaps(tmp_path).read(0)


def test_a_map_of_another_size_is_refused_as_that(tmp_path: Path):
    write_turned(tmp_path / "images" / "a.png", 6)
    write_picture(tmp_path / "instances" / "a.png", two_objects()[:30])

    with pytest.raises(BrokenSampleError, match=r"is 60x30 pixels .*, its picture 40x60"):
        LabelMaps(tmp_path).read(0)


def test_cityscapes_follows_the_same_rule(tmp_path: Path):
    numbers = write_turned(tmp_path / "leftImg8bit/train/x/a_leftImg8bit.png", 6)
    write_picture(
        tmp_path / "gtFine/train/x/a_gtFine_instanceIds.png",
        np.where(numbers, 26_000 + numbers, 0).astype(np.uint16),
    )

    assert lies_on_its_objects(Cityscapes(tmp_path).read(0))


@pytest.mark.parametrize("shown", [False, True])
def test_labelme_says_the_size_that_its_outlines_were_drawn_in(tmp_path: Path, shown: bool):
    write_turned(tmp_path / "a.png", 8)
    corners = np.array([[5, 5], [15, 5], [15, 15], [5, 15]])
    large = np.array([[30, 10], [50, 10], [50, 30], [30, 30]])
    height, width = SIZE
    if shown:  # anticlockwise by 90 degrees
        corners, large = (np.stack([p[:, 1], width - p[:, 0]], axis=1) for p in (corners, large))
        height, width = width, height
    document = {
        "imagePath": "a.png",
        "imageHeight": height,
        "imageWidth": width,
        "shapes": [{"label": "x", "points": points.tolist()} for points in (corners, large)],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))

    assert lies_on_its_objects(LabelMe(tmp_path).read(0))


@pytest.mark.parametrize("orientation", [3, 6])
def test_outlines_of_yolo_belong_to_the_picture_as_it_is_shown_and_that_is_said(
    tmp_path: Path, orientation: int
):
    numbers = write_turned(tmp_path / "images" / "a.png", orientation)
    (tmp_path / "labels").mkdir()
    rows, columns = np.nonzero(ORIENTATIONS[orientation].turn(numbers) == 2)
    height, width = ORIENTATIONS[orientation].turn(numbers).shape
    left, right = columns.min() / width, (columns.max() + 1) / width
    top, bottom = rows.min() / height, (rows.max() + 1) / height
    text = f"0 {left} {top} {right} {top} {right} {bottom} {left} {bottom}"
    (tmp_path / "labels" / "a.txt").write_text(text)

    picture = open_data_set(tmp_path).read(0)

    assert (picture.image[picture.instances > 0] == 255).all()
    assert (picture.instances > 0).sum() == 400
    assert [flaw.kind for flaw in picture.flaws] == [FlawKind.TURNED]
