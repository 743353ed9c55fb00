import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.errors import ConfigurationError
from media import pictures
from media.brightness import Levels
from model.data.data_set import BrokenSampleError
from model.data.flaws import Flaw, FlawKind
from model.data.label_maps import LabelMaps
from model.data.labels import IGNORE
from model.data.open import detect, open_data_set
from model.data.read import read_image
from tests.data_sets import SIZE, two_objects, write_label_maps, write_picture


def test_a_folder_of_label_maps_is_read(tmp_path: Path):
    data = LabelMaps(write_label_maps(tmp_path))

    picture = data.read(1)

    assert data.names == ("a", "b", "c")
    assert data.classes == ("object",)
    assert picture.image.shape == (*SIZE, 3)
    assert picture.instances.dtype == np.int32
    assert np.array_equal(picture.instances, two_objects())
    assert np.array_equal(picture.labels, two_objects() > 0)


def test_pictures_may_lie_in_folders_and_have_any_format(tmp_path: Path):
    for name, ending in (("x/1", "jpg"), ("x/2", "TIF"), ("y/z/1", "bmp"), ("1", "png")):
        write_picture(tmp_path / "images" / f"{name}.{ending}")
        write_picture(tmp_path / "instances" / f"{name}.tif", two_objects(np.int32, 7, 70_000))
    (tmp_path / "images" / ".thumbnails").mkdir()
    write_picture(tmp_path / "images" / ".thumbnails" / "1.png")

    data = LabelMaps(tmp_path)

    assert sorted(data.names) == ["1", "x/1", "x/2", "y/z/1"]
    assert all(np.unique(picture.instances).tolist() == [0, 7, 70_000] for picture in data)


def test_classes_come_from_their_own_maps_and_ignored_pixels_lose_their_instance(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    labels = two_objects(np.uint8, 2, IGNORE)
    write_picture(tmp_path / "classes" / "a.png", labels)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"classes": ["cell", "debris"], "credits": "me", "made_by": {"tool": 1}})
    )

    data = LabelMaps(tmp_path)
    picture = data.read(0)

    assert data.classes == ("cell", "debris")
    assert np.array_equal(picture.labels, labels)
    assert np.unique(picture.instances).tolist() == [0, 1]
    assert not picture.instances[labels == IGNORE].any()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str):
    grey = np.zeros(SIZE, np.uint8)
    grey[:, 30:] = 255
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(grey).convert("RGB").convert(mode).save(path)

    image = read_image(path)

    assert image.dtype == np.uint8
    assert np.array_equal(image, np.repeat(grey[:, :, None], 3, axis=2))


def test_transparency_does_not_darken_a_picture(tmp_path: Path):
    array = np.full((*SIZE, 4), 200, np.uint8)
    array[..., 3] = 0

    assert (read_image(write_picture(tmp_path / "a.png", array)) == 200).all()


def test_of_16_bits_in_use_the_high_ones_are_kept(tmp_path: Path):
    values = np.full(SIZE, 0x1234, np.uint16)
    values[0, 0] = 0xFFFF
    path = write_picture(tmp_path / "a.png", values)

    image = read_image(path, Levels.of_bits(16))

    assert image[0, 0].tolist() == [255, 255, 255]
    assert (image[1:] == 0x12).all()


def test_the_bits_in_use_can_be_told(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    write_picture(tmp_path / "images" / "a.png", np.full(SIZE, 0xFFF, np.uint16))
    (tmp_path / "dataset.json").write_text('{"bits": 12}')

    assert (LabelMaps(tmp_path).read(0).image == 255).all()

    write_picture(tmp_path / "images" / "a.png", np.full(SIZE, 0x1000, np.uint16))
    with pytest.raises(BrokenSampleError, match=r"brightness 4096..4096, expected 0..4095"):
        LabelMaps(tmp_path).read(0)


def test_without_bits_a_deep_picture_is_read_as_segment_reads_it(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    deep = two_objects().astype(np.uint16) * 300 + 200
    path = write_picture(tmp_path / "images" / "a.png", deep)

    image = LabelMaps(tmp_path).read(0).image

    assert np.array_equal(image, pictures.read_image(path))
    assert (image.min(), image.max()) == (0, 255)


def test_levels_can_be_told_for_the_whole_data_set(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    values = np.full(SIZE, 1000, np.uint16)
    values[0] = 60_000
    write_picture(tmp_path / "images" / "a.png", values)
    (tmp_path / "dataset.json").write_text('{"black": 500, "white": 1500}')

    assert np.unique(LabelMaps(tmp_path).read(0).image).tolist() == [128, 255]


@pytest.mark.parametrize("folder", ["images", "instances"])
def test_a_file_of_several_pages_is_no_picture_of_a_data_set(tmp_path: Path, folder: str):
    write_label_maps(tmp_path, ("a",))
    (tmp_path / folder / "a.png").unlink()
    page = Image.fromarray(two_objects().astype(np.uint8))
    page.save(tmp_path / folder / "a.tif", save_all=True, append_images=[page])

    with pytest.raises(BrokenSampleError, match="holds 2 pictures, expected one"):
        LabelMaps(tmp_path).read(0)


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path):
    picture = Image.fromarray(np.zeros((*SIZE, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)

    assert read_image(tmp_path / "a.jpg").shape == (SIZE[1], SIZE[0], 3)


def test_a_map_with_a_palette_keeps_its_numbers(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    coloured = Image.fromarray(two_objects(np.uint8, 3, 9))
    coloured.putpalette([200] * 768)
    coloured.save(tmp_path / "instances" / "a.png")

    assert np.unique(LabelMaps(tmp_path).read(0).instances).tolist() == [0, 3, 9]


def broken(tmp_path: Path, file: str, content: object) -> str:
    """Spoil one file of picture b; return the reason, having read the other two."""
    root = write_label_maps(tmp_path)
    for name in "abc":
        write_picture(root / "classes" / f"{name}.png", two_objects(np.uint8, 1, 1))
    path = root / file
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        write_picture(path, content)
    data = LabelMaps(root)
    assert [len(np.unique(data.read(index).instances)) for index in (0, 2)] == [3, 3]
    with pytest.raises(BrokenSampleError) as caught:
        data.read(1)
    assert caught.value.path == path
    return caught.value.reason


MADE = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
MANY = np.resize(np.arange(256, dtype=np.uint8), SIZE)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("instances/b.png", None, "there is no such file"),
        ("classes/b.png", None, "there is no such file"),
        ("images/b.png", b"", "is empty (0 bytes)"),
        ("images/b.png", b"not a picture", "does not decode"),
        ("instances/b.png", b"not a picture", "does not decode"),
        (
            "instances/b.png",
            two_objects()[:30],
            "is 60x30 pixels (width x height)",
        ),
        ("instances/b.png", MADE, "has colours, expected one channel"),
        ("instances/b.png", two_objects(np.uint8, 255, 255), "holds only 0 and 255, a mask"),
        ("instances/b.png", two_objects(np.uint16, 1, 65_535), "the last that 16 bits hold"),
        ("instances/b.png", MANY, "numbers up to 255, the last that 8 bits hold"),
        ("classes/b.png", two_objects(np.uint8, 1, 2), "has the classes [2], expected 0..1 or 255"),
    ],
)
def test_a_broken_file_is_named_with_the_reason_and_loses_nothing_else(
    tmp_path: Path, file: str, content: object, reason: str
):
    assert reason in broken(tmp_path, file, content)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (two_objects(np.float32, 1, 2) / 4, "has the number 0.25, expected whole ones"),
        (two_objects(np.int32, 1, -5), "numbers -5..1, expected 0..2147483647"),
    ],
)
def test_numbers_that_are_no_instances_are_refused(tmp_path: Path, array: object, reason: str):
    root = write_label_maps(tmp_path, ("a",))
    (root / "instances" / "a.png").unlink()
    write_picture(root / "instances" / "a.tif", np.asarray(array))

    with pytest.raises(BrokenSampleError, match=reason):
        LabelMaps(root).read(0)


@pytest.mark.parametrize(
    "written",
    [
        np.stack([two_objects(np.uint8, 3, 200)] * 3, axis=2),
        np.dstack([*[two_objects(np.uint8, 3, 200)] * 3, np.full(SIZE, 255, np.uint8)]),
        two_objects(np.float32, 3, 200),
    ],
    ids=["gray as RGB", "gray as RGBA", "floating point"],
)
def test_whole_numbers_are_read_however_they_were_saved(tmp_path: Path, written: NDArray[Any]):
    write_label_maps(tmp_path, ("a",))
    (tmp_path / "instances" / "a.png").unlink()
    Image.fromarray(written).save(tmp_path / "instances" / "a.tif")

    data = LabelMaps(tmp_path)

    assert np.unique(data.read(0).instances).tolist() == [0, 3, 200]


def test_channels_of_16_bits_are_refused_since_half_of_their_numbers_would_be_lost(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    deep = np.stack([two_objects(np.uint16, 3, 700)] * 3, axis=2)
    cv2.imwrite(str(tmp_path / "instances" / "a.png"), deep)

    with pytest.raises(BrokenSampleError, match="several channels of 16 bits"):
        LabelMaps(tmp_path).read(0)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "bmp"])
def test_a_picture_that_ends_early_is_broken_and_not_half_grey(tmp_path: Path, ending: str):
    path = write_picture(tmp_path / f"a.{ending}", np.resize(MADE, (200, 300, 3)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(BrokenSampleError, match="does not decode"):
        read_image(path)


def test_labels_without_a_picture_and_files_of_one_name_are_told(tmp_path: Path):
    root = write_label_maps(tmp_path)
    write_picture(root / "images" / "a.jpg")
    (root / "images" / "c.png").unlink()

    data = LabelMaps(root)

    assert data.names == ("a", "b")
    assert [(fault.path.name, fault.reason) for fault in data.orphans()] == [
        ("a.jpg", "is left out: a.png has the same name"),
        ("c.png", "there is no picture of this name"),
    ]


def test_a_picture_that_should_validate_but_is_not_there_is_told(tmp_path: Path):
    root = write_label_maps(tmp_path)
    (root / "dataset.json").write_text('{"validation": ["b", "B", "x/c"]}')

    (fault,) = LabelMaps(root).orphans()

    assert fault.path == root / "dataset.json"
    assert fault.reason.endswith("missing pictures: B, x/c (2 in all)")


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object, got list"),
        ('{"classes": "cell"}', "to be a list of names, got 'cell'"),
        ('{"classes": ["cell", "cell"]}', "254 different names"),
        ('{"validation": "b"}', "\"validation\" to be a list of pictures, got 'b'"),
        ('{"warnings": "dark"}', "\"warnings\" to be a list of texts, got 'dark'"),
        ('{"connected": 1}', '"connected" to be true or false, got 1'),
        ('{"bits": 32}', '"bits" to be 8..16, got 32'),
        ('{"white": "4095"}', "\"white\" to be a number, got '4095'"),
        ('{"bits": 12, "white": 4000}', 'either "bits" or "black" and "white", got both'),
        ('{"black": 9, "white": 3}', "dataset.json: the black level is 9 and the white level 3"),
    ],
)
def test_a_card_that_says_nonsense_is_refused(tmp_path: Path, card: str, fault: str):
    (write_label_maps(tmp_path) / "dataset.json").write_text(card)

    with pytest.raises(ConfigurationError, match=fault):
        LabelMaps(tmp_path)


def test_a_folder_that_is_none_says_what_is_missing_and_what_is_there(tmp_path: Path):
    (tmp_path / "images").mkdir()

    with pytest.raises(ConfigurationError, match=r"\['instances'\] missing, found \['images'\]"):
        LabelMaps(tmp_path)


@pytest.mark.parametrize("folder", ["masks", "labels"])
def test_maps_may_be_called_masks_or_labels(tmp_path: Path, folder: str):
    (write_label_maps(tmp_path) / "instances").rename(tmp_path / folder)

    data = open_data_set(tmp_path)

    assert detect(tmp_path) == "label-maps"
    assert data.names == ("a", "b", "c")
    assert np.array_equal(data.read(0).instances, two_objects())


def test_labels_that_are_text_are_those_of_yolo(tmp_path: Path):
    (write_label_maps(tmp_path) / "instances").rename(tmp_path / "labels")
    (tmp_path / "labels" / "a.txt").write_text("0 0 0 1 0 1 1")

    assert detect(tmp_path) == "yolo"


def test_parts_may_lie_in_folders_of_their_own(tmp_path: Path):
    for part in ("train", "val", "test"):
        (write_label_maps(tmp_path / part, ("a", "b")) / "instances").rename(
            tmp_path / part / "masks"
        )
    (tmp_path / "val" / "masks" / "b.png").unlink()

    data = LabelMaps(tmp_path)

    assert data.part("train").names == ("train/a", "train/b")
    assert data.part("validation").names == ("val/a", "val/b")
    assert data.part("all").names == ("train/a", "train/b", "val/a", "val/b")
    assert np.array_equal(data.part("validation").read(0).instances, two_objects())
    with pytest.raises(BrokenSampleError) as caught:
        data.part("validation").read(1)
    assert caught.value.path == tmp_path / "val" / "masks" / "b.png"


def test_a_folder_of_tests_is_read_as_no_part(tmp_path: Path):
    write_label_maps(tmp_path / "train", tuple(f"{number}" for number in range(30)))
    write_label_maps(tmp_path / "test", ("x", "y"))

    data = LabelMaps(tmp_path)
    parts = {part: data.part(part) for part in ("train", "validation", "all")}

    assert 0 < len(parts["validation"]) < len(parts["train"])
    assert len(parts["train"]) + len(parts["validation"]) == len(parts["all"]) == 30
    assert all(name.startswith("train/") for name in parts["all"].names)
    note = "2 pictures belong to neither train nor val and are not read"
    assert [list(part.notes()) for part in parts.values()] == 3 * [[note]]


def test_maps_may_lie_beside_their_pictures(tmp_path: Path):
    for name, mask in (("1", "1_cp_masks.tif"), ("2_img", "2_masks.png"), ("x/3", "x/3_masks.png")):
        write_picture(tmp_path / "train" / f"{name}.png")
        write_picture(tmp_path / "train" / mask, two_objects())
    write_picture(tmp_path / "train" / "1_flows.tif")
    write_picture(tmp_path / "train" / "4.png")

    data = open_data_set(tmp_path)

    assert detect(tmp_path) == "label-maps"
    assert data.names == ("train/1", "train/2", "train/4", "train/x/3")
    for index in (0, 1, 3):
        assert np.array_equal(data.read(index).instances, two_objects())
    with pytest.raises(BrokenSampleError) as caught:
        data.read(2)
    assert caught.value.path == tmp_path / "train" / "4_masks.png"
    assert not data.orphans()


@pytest.mark.parametrize(
    ("picture", "label_map"),
    [
        ("images/a.png", "masks/a_mask.png"),
        ("images/a.ome.tif", "masks/a_label.tif"),
        ("images/a.png", "instances/a_instanceIds.png"),
        ("a.png", "a_mask.png"),
        ("a.ome.tif", "a_labels.ome.tif"),
    ],
)
def test_maps_may_have_an_ending_of_their_own(tmp_path: Path, picture: str, label_map: str):
    write_picture(tmp_path / picture)
    write_picture(tmp_path / label_map, two_objects())

    data = open_data_set(tmp_path)

    assert detect(tmp_path) == "label-maps"
    assert data.names == ("a",)
    assert np.array_equal(data.read(0).instances, two_objects())
    assert not data.orphans()


def test_a_picture_whose_own_name_ends_like_a_map_is_a_picture(tmp_path: Path):
    write_label_maps(tmp_path, ("cell_mask", "cell"))

    assert LabelMaps(tmp_path).names == ("cell", "cell_mask")


def test_maps_saved_as_jpeg_are_refused(tmp_path: Path):
    (write_label_maps(tmp_path, ("a", "b")) / "instances" / "a.png").unlink()
    write_picture(tmp_path / "instances" / "a.jpg", two_objects(np.uint8, 100, 200))
    data = LabelMaps(tmp_path)

    with pytest.raises(BrokenSampleError, match="is a JPEG, whose compression changes the numbers"):
        data.read(0)
    assert data.read(1).instances.any()


def test_a_mask_of_several_pieces_is_one_object_and_that_is_said(tmp_path: Path):
    write_label_maps(tmp_path, ("a", "b"))
    write_picture(tmp_path / "instances" / "a.png", (two_objects() > 0).astype(np.uint8))
    write_picture(tmp_path / "instances" / "b.png", (two_objects() == 2).astype(np.uint8))

    pieces, single = LabelMaps(tmp_path)

    assert np.unique(pieces.instances).tolist() == [0, 1]
    assert pieces.flaws == (Flaw(FlawKind.PIECES, "a.png"),)
    assert single.flaws == ()


@pytest.mark.parametrize("value", [1, 255])
def test_connected_pieces_of_a_mask_become_objects_on_request(tmp_path: Path, value: int):
    write_label_maps(tmp_path, ("a",))
    mask = np.where(two_objects() > 0, value, 0).astype(np.uint8)
    write_picture(tmp_path / "instances" / "a.png", mask)
    (tmp_path / "dataset.json").write_text('{"connected": true}')

    picture = LabelMaps(tmp_path).read(0)

    assert np.array_equal(picture.instances, two_objects())
    assert picture.flaws == ()


def test_connected_pieces_of_different_numbers_are_not_joined(tmp_path: Path):
    write_label_maps(tmp_path, ("a",))
    numbers = two_objects(np.uint8, 1, 2)
    numbers[10:30, 40:50] = 7
    numbers[35:40, 0:5] = 7
    write_picture(tmp_path / "instances" / "a.png", numbers)
    (tmp_path / "dataset.json").write_text('{"connected": true}')

    _, sizes = np.unique(LabelMaps(tmp_path).read(0).instances, return_counts=True)

    assert sorted(sizes[1:].tolist()) == [25, 100, 200, 200]


def test_real_nuclei_are_read(shared_data: Path):
    data = LabelMaps(shared_data / "nuclei", ["nucleus"])

    picture = data.read(0)

    assert len(data) == 484
    assert picture.image.shape[:2] == picture.instances.shape
    assert picture.instances.max() > 1
    assert not data.orphans()
