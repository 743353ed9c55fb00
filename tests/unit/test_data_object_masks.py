from pathlib import Path

import msgspec
import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError
from model.data.flaws import Flaw, FlawKind
from model.data.object_masks import ObjectMasks
from model.data.open import detect, open_data_set
from model.evaluation.on_pictures import Options, open_paired
from tests.data_sets import SIZE, two_objects, write_picture
from tests.tiny_model import CARD


def write_masks(root: Path, names: tuple[str, ...] = ("a1", "b2")) -> Path:
    """Write pictures with one mask of 0 and 255 per object, as the Data Science Bowl has them."""
    for name in names:
        write_picture(root / name / "images" / f"{name}.png")
        for number in (1, 2):
            mask = np.where(two_objects() == number, 255, 0).astype(np.uint8)
            write_picture(root / name / "masks" / f"{number:04x}.png", mask)
    return root


@pytest.mark.parametrize("above", ["", "stage1_train"])
def test_each_mask_is_an_object(tmp_path: Path, above: str):
    write_masks(tmp_path / above)

    data = open_data_set(tmp_path, classes=["nucleus"])
    picture = data.read(1)

    assert detect(tmp_path) == "object-masks"
    assert data.classes == ("nucleus",)
    assert [name.rpartition("/")[2] for name in data.names] == ["a1", "b2"]
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, two_objects() > 0)
    assert len(data.files(1)) == 3


@pytest.mark.parametrize("name", ["0000.png", "9999.png"])
def test_where_objects_overlap_the_smaller_one_is_in_front(tmp_path: Path, name: str):
    write_masks(tmp_path, ("a",))
    write_picture(tmp_path / "a" / "masks" / name, np.full(SIZE, 1, np.uint8))

    picture = ObjectMasks(tmp_path).read(0)

    sizes = np.unique(picture.instances, return_counts=True)[1]
    assert sorted(sizes.tolist()) == [100, 400, SIZE[0] * SIZE[1] - 500]


def test_a_mask_that_is_there_twice_is_counted(tmp_path: Path):
    write_masks(tmp_path, ("a",))
    write_picture(tmp_path / "a" / "masks" / "9.png", (two_objects() == 2).astype(np.uint8))

    picture = ObjectMasks(tmp_path).read(0)

    assert picture.flaws == (Flaw(FlawKind.COVERED, "9.png"),)
    assert np.array_equal(picture.instances, two_objects())


def test_an_empty_mask_is_counted_and_loses_nothing_else(tmp_path: Path):
    write_masks(tmp_path, ("a",))
    write_picture(tmp_path / "a" / "masks" / "3.png", np.zeros(SIZE, np.uint8))

    picture = ObjectMasks(tmp_path).read(0)

    assert picture.flaws == (Flaw(FlawKind.EMPTY, "3.png"),)
    assert len(np.unique(picture.instances)) == 3


def test_a_mask_of_several_numbers_is_refused_as_a_label_map(tmp_path: Path):
    write_picture(write_masks(tmp_path) / "a1" / "masks" / "1.png", two_objects(np.uint8, 7, 9))

    with pytest.raises(BrokenSampleError, match=r"the numbers \[7, 9\], a label map; expected a"):
        ObjectMasks(tmp_path).read(0)


def test_a_picture_without_masks_is_named_and_loses_nothing_else(tmp_path: Path):
    write_masks(tmp_path)
    for path in (tmp_path / "a1" / "masks").iterdir():
        path.unlink()
    data = ObjectMasks(tmp_path)

    with pytest.raises(BrokenSampleError, match="there are no masks of this picture"):
        data.read(0)
    assert data.read(1).instances.any()


def test_a_second_picture_of_a_folder_is_told(tmp_path: Path):
    write_picture(write_masks(tmp_path) / "a1" / "images" / "z.png")

    assert [fault.path.name for fault in ObjectMasks(tmp_path).orphans()] == ["z.png"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="expected folders NAME/images/ and NAME/masks/"):
        ObjectMasks(tmp_path)


def test_objects_without_a_name_are_measured_as_a_models_only_class(tmp_path: Path):
    model = msgspec.structs.replace(CARD, classes=("nucleus",))

    data, pairing = open_paired(write_masks(tmp_path), "object-masks", model, Options(split="all"))

    assert data.classes == pairing.measured == ("nucleus",)
    assert data.read(0).instances.any()
