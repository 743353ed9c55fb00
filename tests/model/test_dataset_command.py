"""``seedstream dataset check`` as a user calls it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.process import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_OK
from tests.data_sets import SIZE, write_cityscapes, write_label_maps, write_picture, write_yolo
from tests.fork_server import run_seedstream


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_seedstream("dataset", "check", *map(str, arguments), timeout_seconds=600)


def test_a_good_data_set_is_counted_and_drawn(tmp_path: Path):
    root = write_cityscapes(tmp_path / "data")
    sheet, numbers = tmp_path / "sheet.jpg", tmp_path / "report.json"

    done = run(root, "--sheet", sheet, "--json", numbers)

    assert done.returncode == EXIT_OK, done.stderr
    assert "2 good pictures (train 1, validation 1), 4 instances" in done.stdout
    rows = {row["name"]: row["instances"] for row in json.loads(numbers.read_text())["classes"]}
    assert rows["person"] == rows["car"] == 2
    assert rows["bus"] == 0
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (2 * 324 + 4, 324 + 4)


def test_broken_files_are_all_named_and_the_others_still_count(tmp_path: Path):
    root = write_label_maps(tmp_path)
    (root / "images" / "a.png").write_bytes(b"no picture")
    (root / "instances" / "c.png").unlink()

    done = run(root, "--sheet", tmp_path / "sheet.png", "--json", tmp_path / "report.json")

    assert done.returncode == EXIT_FAILED
    assert f"broken: {root}/images/a.png: does not decode" in done.stdout
    assert f"broken: {root}/instances/c.png: there is no such file" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["pictures"] == 1
    assert len(report["broken"]) == 2
    assert (tmp_path / "sheet.png").exists()


def test_nothing_is_drawn_of_a_data_set_without_a_good_picture(tmp_path: Path):
    root = write_label_maps(tmp_path, ("a",))
    (root / "instances" / "a.png").unlink()

    done = run(root, "--sheet", tmp_path / "sheet.jpg")

    assert done.returncode == EXIT_FAILED
    assert "not drawn" in done.stdout
    assert not (tmp_path / "sheet.jpg").exists()


def test_a_data_set_without_any_object_fails(tmp_path: Path):
    root = write_label_maps(tmp_path)
    for path in (root / "instances").iterdir():
        write_picture(path, np.zeros(SIZE, np.uint16))

    done = run(root, "--recipe", "small")

    assert done.returncode == EXIT_FAILED
    assert "no objects: none in 3 pictures" in done.stdout
    assert "at the model's input of 512x384 pixels:" in done.stdout


def test_split_counts_are_those_of_the_good_pictures(tmp_path: Path):
    root = write_cityscapes(tmp_path)
    for path in (root / "gtFine" / "val").rglob("*.png"):
        path.write_bytes(b"")

    done = run(root)

    assert done.returncode == EXIT_FAILED
    assert "1 good pictures (train 1, validation 0), 2 instances, 1 broken pictures" in done.stdout


def test_a_part_and_some_classes_can_be_chosen(tmp_path: Path):
    root = write_cityscapes(tmp_path)

    done = run(root, "--split", "validation", "--classes", "car, person")

    assert done.returncode == EXIT_OK, done.stderr
    assert "1 good pictures (validation 1), 2 instances" in done.stdout
    assert "rider" not in done.stdout


def test_names_of_label_maps_are_chosen_among_and_not_replaced(tmp_path: Path):
    root = write_label_maps(tmp_path)
    assert "dog" in run(root, "--classes", "dog").stdout  # they have no names yet
    (root / "dataset.json").write_text('{"classes": ["person"]}')

    done = run(root, "--classes", "dog")

    assert done.returncode == EXIT_CONFIGURATION
    assert "--classes names ['dog'], expected some of those that its dataset.json" in done.stderr
    assert "['person']" in done.stderr
    assert not done.stdout
    assert run(root, "--classes", "person").returncode == EXIT_OK


def test_a_limit_reads_only_so_many_and_says_so(tmp_path: Path):
    root = write_label_maps(tmp_path, tuple("abcdefgh"))

    done = run(root, "--limit", "3")

    assert "3 good pictures" in done.stdout
    assert "only 3 of 8 pictures were read" in done.stdout


def test_a_guess_about_class_names_is_printed(tmp_path: Path):
    done = run(write_yolo(tmp_path / "mine", {"1": "1 0.1 0.1 0.5 0.1 0.5 0.5"}))

    assert done.returncode == EXIT_OK, done.stderr
    assert "note: no data.yaml with names: classes are taken as class0..class1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("nowhere",), "there is no such data set"),
        (("data", "--classes", "a,b"), "car"),
        (("data", "--sheet", "nowhere/s.jpg"), "the folder nowhere does not exist"),
        (("data", "--sheet", "s.pdf"), "expected a name ending in .jpg"),
        (("data", "--json", "data"), "data: is a folder, expected the name of a file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], fault: str
):
    write_cityscapes(tmp_path / "data")
    monkeypatch.chdir(tmp_path)

    done = run(*arguments)

    assert done.returncode == EXIT_CONFIGURATION
    assert fault in done.stderr
    assert not done.stdout


def test_an_empty_data_set_is_refused(tmp_path: Path):
    for name in ("images", "instances"):
        (tmp_path / name).mkdir()

    done = run(tmp_path)

    assert done.returncode == EXIT_CONFIGURATION
    assert "no pictures" in done.stderr


def test_real_nuclei_are_all_good(shared_data: Path):
    done = run(shared_data / "nuclei", "--classes", "nucleus")

    assert done.returncode == EXIT_OK
    assert "484 good pictures" in done.stdout
    assert "20446 instances" in done.stdout


def test_real_photographs_have_two_texts_without_a_photograph(shared_data: Path):
    done = run(shared_data / "coco128-seg")

    assert done.returncode == EXIT_FAILED
    assert "128 good pictures" in done.stdout
    assert done.stdout.count("broken:") == 2
