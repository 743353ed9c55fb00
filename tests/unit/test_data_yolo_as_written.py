"""YOLO sets as Windows, NumPy and links to folders leave them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import ConfigurationError
from model.data.open import open_data_set

LINE = " 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"
POSIX = "train: images/train\nval: images/val\nnames: [cell]\n"


def _write(root: Path, yaml: str, first: str = "0") -> Path:
    for part in ("train", "val"):
        for folder in ("images", "labels"):
            (root / folder / part).mkdir(parents=True)
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / "images" / part / "a.png")
        (root / "labels" / part / "a.txt").write_text(first + LINE)
    (root / "data.yaml").write_text(yaml)
    return root / "data.yaml"


def _objects(path: Path) -> list[int]:
    data = open_data_set(path)
    return [int(data.read(index).instances.max()) for index in range(len(data))]


@pytest.mark.parametrize("first", ["0.0", "0.000000e+00"])
def test_a_class_written_as_a_float_is_that_class(tmp_path: Path, first: str) -> None:
    assert _objects(_write(tmp_path, POSIX, first).parent) == [1, 1]


def test_separators_of_windows_in_data_yaml_are_read(tmp_path: Path) -> None:
    assert _objects(_write(tmp_path, POSIX.replace("/", "\\"))) == [1, 1]


def test_separators_of_windows_in_a_list_of_pictures_are_read(tmp_path: Path) -> None:
    path = _write(tmp_path, "train: t.txt\nval: v.txt\nnames: [cell]\n")
    (tmp_path / "t.txt").write_text("images\\train\\a.png\n")
    (tmp_path / "v.txt").write_text("C:\\data\\images\\val\\a.png\n")

    assert _objects(path) == [1, 1]


def test_names_whose_numbers_are_quoted_are_read(tmp_path: Path) -> None:
    path = _write(tmp_path, POSIX.replace("[cell]", "{'0': cell}"))

    assert open_data_set(path).classes == ("cell",)


@pytest.mark.parametrize("opened", ["data.yaml", "."])
def test_labels_lie_beside_a_link_to_pictures(tmp_path: Path, opened: str) -> None:
    root = _write(tmp_path / "set", POSIX).parent
    for folder in ("images", "labels"):
        (root / folder).rename(tmp_path / f"far-{folder}")
        (root / folder).symlink_to(tmp_path / f"far-{folder}")

    assert _objects(root / opened) == [1, 1]


def test_a_link_to_its_own_folder_ends(tmp_path: Path) -> None:
    root = _write(tmp_path / "set", POSIX).parent
    (root / "images" / "again").symlink_to(root / "images")

    assert _objects(root) == [1, 1]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/", "val: / is the whole file system"),
        ("a" * 300, "is not there; looked below"),
        ("list.txt", "is listed, and too long for a name"),
    ],
)
def test_what_can_be_no_folder_of_pictures_is_refused_with_its_name(
    tmp_path: Path, place: str, why: str
) -> None:
    path = _write(tmp_path, POSIX.replace("images/val", place))
    (tmp_path / "list.txt").write_text("b" * 300 + ".jpg\n")

    with pytest.raises(ConfigurationError, match=why):
        open_data_set(path)
