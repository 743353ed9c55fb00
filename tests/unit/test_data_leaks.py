import shutil
from pathlib import Path

import numpy as np

from model.data.leaks import describe_leaks, leaked
from model.data.open import open_data_set
from tests.data_sets import two_objects, write_picture


def write_parts(root: Path) -> Path:
    """Write three pictures of each part, all different, with their label maps."""
    for number, part in enumerate(("train", "val")):
        for index in range(3):
            noise = np.random.default_rng(10 * number + index).integers(0, 255, (40, 60, 3))
            write_picture(root / part / "images" / f"{index}.png", noise.astype(np.uint8))
            write_picture(root / part / "masks" / f"{index}.png", two_objects())
    return root


def test_a_picture_in_both_parts_is_found_under_whatever_name_a_copy_or_a_link(tmp_path: Path):
    root = write_parts(tmp_path)
    train, held = (open_data_set(root, split=part) for part in ("train", "validation"))
    assert leaked([train], held) == describe_leaks([train], held) == []

    shutil.copy(root / "train/images/1.png", root / "val/images/0.png")
    (root / "val/images/2.png").unlink()
    (root / "val/images/2.png").symlink_to(root / "train/images/0.png")

    assert leaked([train], held) == [("val/2", "train/0"), ("val/0", "train/1")]
    (sentence,) = describe_leaks([train], held)
    assert sentence.startswith("2 of 3 pictures that validate are learned from as well (first: ")


def test_pictures_of_one_size_in_bytes_are_told_apart_and_missing_ones_are_none(tmp_path: Path):
    root = write_parts(tmp_path)
    for number, part in enumerate(("train", "val")):
        (root / part / "images" / "0.png").write_bytes(bytes([number]) * 1000)
        (root / part / "images" / "1.png").unlink()

    train, held = (open_data_set(root, split=part) for part in ("train", "validation"))

    assert leaked([train], held) == []
