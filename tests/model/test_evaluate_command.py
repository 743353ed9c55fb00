"""`seedstream evaluate` as a user calls it: the real engine and clustering over made data."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
pytest.importorskip("cityscapesscripts", reason="the workshop's extra `train` is not installed")

from contract import artifact_files
from contract.artifact import Artifact
from model.evaluation.on_pictures import Options, evaluate_pictures
from model.evaluation.on_video import read_accuracy
from model.evaluation.pages import write_pages
from seedstream.cli import main
from tests.labelled import Box, box_mask, picture
from tests.tiny_model import CARD, HEIGHT, WIDTH, tiny_model, write_artifact

SIZE = (HEIGHT, WIDTH)
LEFT, RIGHT = (1, 8, 8, 13), (38, 8, 8, 13)
"""More than 26 pixels apart: the tiny model takes what is bright and nearer for one instance."""

ONE = msgspec.structs.replace(CARD, min_pixels=20, score_threshold=0.5, seed_threshold=0.5)


def artifact(folder: Path, card: Artifact = ONE) -> Path:
    return write_artifact(folder / "tiny" / "1", tiny_model(), card)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return artifact(tmp_path)


class Done(NamedTuple):
    """What a command left: exit code and texts."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def evaluate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Calls the command in this process, as the console script does."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["seedstream", "evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capsys.readouterr())

    return call


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


def label_maps(root: Path, pictures: Sequence[tuple[Sequence[Box], Sequence[Box]]]) -> Path:
    """Pictures that show the first boxes, labelled with the second ones."""
    for number, (shown, labelled) in enumerate(pictures):
        put(root / "images" / f"{number}.png", picture(SIZE, [(b, 1) for b in shown]).image)
        truth = picture(SIZE, [(b, 1) for b in labelled]).instances.astype(np.uint16)
        put(root / "instances" / f"{number}.png", truth)
    return root


BOTH = ([LEFT, RIGHT], [LEFT, RIGHT])
ONE_MISSED = ([LEFT], [LEFT, RIGHT])


def test_label_maps_are_measured_by_average_precision_and_reported_in_full(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH, ONE_MISSED])
    out = tmp_path / "report"
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((out / "report.json").read_text())
    assert report["metric"] == "average-precision"
    assert report["accuracy"]["average_precision_at_iou_0.5"] == 0.75  # 1 and 1/2
    assert report["accuracy"]["average_precision"] == 0.75
    assert report["accuracy"]["recall_at_iou_0.5"] == 0.75
    assert report["accuracy"]["precision_at_iou_0.5"] == 1.0
    assert report["accuracy"]["pictures"] == 2
    assert (report["artifact"]["name"], report["data"]["pictures"]) == ("tiny", 2)
    assert report["data"]["layout"] == "label-maps"
    assert len(report["data"]["fingerprint"]) == 64
    assert "| all" in (out / "report.md").read_text()
    assert "0.750" in done.stdout
    pages = {path.name: cv2.imread(str(path)) for path in out.glob("*.jpg")}
    assert set(pages) == {"pictures-best.jpg", "pictures-worst.jpg", "pictures-missed.jpg"}
    assert reddish(pages["pictures-missed.jpg"]) > 300
    assert reddish(pages["pictures-best.jpg"][:700, :650]) == 0, "nothing is missed in the best"
    assert read_accuracy(out / "report.json") == report["accuracy"]


def test_warnings_of_the_data_and_of_the_artifact_stand_beside_the_figures(
    tmp_path: Path, evaluate: Callable[..., Done]
) -> None:
    card = msgspec.structs.replace(ONE, label_warnings=("gate: 3 seconds",))
    data = label_maps(tmp_path / "data", [BOTH])
    (data / "dataset.json").write_text('{"warnings": ["yard: only legs?"]}')

    done = evaluate("--model", artifact(tmp_path, card), "--data", data, "--split", "all")

    assert "warning: yard: only legs?\nwarning: gate: 3 seconds\n" in done.stdout


def test_the_pages_show_each_picture_to_the_network_once(tmp_path: Path, model: Path) -> None:
    data = label_maps(tmp_path / "data", [BOTH, ONE_MISSED])
    evaluation = evaluate_pictures(model, data, Options(split="all"))
    engine = CountingEngine(evaluation.engine)

    pages = write_pages(replace(evaluation, engine=engine), tmp_path)

    assert len(pages) == 3
    assert engine.runs == 2, "of two pictures both are among the best and the worst"


class CountingEngine:
    def __init__(self, engine: Any) -> None:
        self._engine, self.runs = engine, 0
        self.artifact, self.batch_sizes = engine.artifact, engine.batch_sizes
        self.variable_size = engine.variable_size

    def run(self, images: np.ndarray) -> Any:
        self.runs += 1
        return self._engine.run(images)


def reddish(image: np.ndarray) -> int:
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    return int(((red > 180) & (green < 90) & (blue < 90)).sum())


def test_a_data_set_of_perfect_pictures_has_no_page_of_missed_objects(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH])
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", tmp_path / "r")
    assert done.returncode == 0
    assert "pictures-missed.jpg" not in done.stdout
    assert not (tmp_path / "r" / "pictures-missed.jpg").exists()


def test_predictions_are_compared_in_pixels_of_the_original_picture(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data, scale = tmp_path / "data", 5  # five times the model's input
    small = picture(SIZE, [(LEFT, 1), (RIGHT, 1)])
    put(data / "images" / "a.png", np.kron(small.image, np.ones((scale, scale, 1), np.uint8)))
    put(
        data / "instances" / "a.png",
        np.kron(small.instances, np.ones((scale, scale), int)).astype(np.uint16),
    )
    out = tmp_path / "figures.json"
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["average_precision"] == 1.0


def cityscapes(root: Path, number: str, shown: Sequence[Box], true: dict[int, Box]) -> None:
    name = f"aachen_{number}_000019"
    put(
        root / "leftImg8bit" / "val" / "aachen" / f"{name}_leftImg8bit.png",
        picture(SIZE, [(box, 1) for box in shown]).image,
    )
    numbers = np.full(SIZE, 7, np.uint16)
    for value, box in true.items():
        numbers[box_mask(SIZE, box)] = value
    put(root / "gtFine" / "val" / "aachen" / f"{name}_gtFine_instanceIds.png", numbers)


@pytest.mark.parametrize(
    ("true", "expected"), [({24000: LEFT, 24001: RIGHT}, 1.0), ({24000: LEFT}, 0.75)]
)
def test_cityscapes_is_measured_by_the_official_evaluator(
    tmp_path: Path,
    model: Path,
    true: dict[int, Box],
    expected: float,
    evaluate: Callable[..., Done],
) -> None:
    # Where one of the two predictions, which have one score, is wrong, the curve's points (recall,
    # precision) are (1, 1/2) and the artificial (0, 1), and each counts for half of the recall.
    data = tmp_path / "data"
    cityscapes(data, "000000", [LEFT, RIGHT], true)
    done = evaluate("--model", model, "--data", data, "--out", tmp_path / "r", "--limit", 9)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert (report["metric"], report["data"]["layout"]) == ("cityscapes", "cityscapes")
    assert report["accuracy"]["cityscapes_ap"] == pytest.approx(expected)
    assert set(report["by_class"]) == {"person"}


def coco(root: Path, shown: Sequence[Box], true: Sequence[Box]) -> Path:
    put(root / "val" / "a.png", picture(SIZE, [(box, 1) for box in shown]).image)
    file = root / "annotations" / "instances_val.json"
    file.parent.mkdir(parents=True)
    polygons = [[float(v) for v in (x, y, x + w, y, x + w, y + h, x, y + h)] for x, y, w, h in true]
    annotations = [
        {
            "id": number,
            "image_id": 5,
            "category_id": 3,
            "segmentation": [polygon],
            "area": 104.0,
            "bbox": [0, 0, 1, 1],
            "iscrowd": 0,
        }
        for number, polygon in enumerate(polygons, start=1)
    ]
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 5, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
                "categories": [{"id": 3, "name": "human"}],
                "annotations": annotations,
            }
        )
    )
    return root


def test_coco_is_measured_by_pycocotools_with_renamed_classes(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = coco(tmp_path / "data", [LEFT], [LEFT, RIGHT])
    done = evaluate(
        *("--model", model, "--data", data, "--split", "all", "--classes", "human=person"),
        *("--out", tmp_path / "r"),
    )
    assert done.returncode == 0, done.stderr
    accuracy = json.loads((tmp_path / "r" / "report.json").read_text())["accuracy"]
    # One of two found: COCO's 101 recalls have 51 up to 0.5.
    assert accuracy["coco_ap"] == pytest.approx(51 / 101, abs=1e-4)
    assert accuracy["coco_ar"] == pytest.approx(0.5)


def test_the_metric_can_be_asked_for_on_any_layout(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH])
    done = evaluate("--model", model, "--data", data, "--split", "all", "--metric", "coco")
    assert done.returncode == 0
    assert "metric coco" in done.stdout
    refused = evaluate("--model", model, "--data", data, "--split", "all", "--metric", "cityscapes")
    assert refused.returncode == 2
    assert "the data are of the layout label-maps" in refused.stderr


def test_a_sweep_finds_the_size_that_drops_the_dirt_and_stores_it(
    tmp_path: Path, evaluate: Callable[..., Done]
) -> None:
    model = artifact(tmp_path, msgspec.structs.replace(ONE, min_pixels=2))
    dirt = (38, 27, 3, 2)
    data = label_maps(tmp_path / "data", [([LEFT, dirt], [LEFT])])
    out = tmp_path / "r"
    done = evaluate(
        *("--model", model, "--data", data, "--split", "all", "--sweep", "--out", out),
        *("--min-pixels", "2,20", "--seed-thresholds", "0.5,0.9"),
    )
    assert done.returncode == 0, done.stderr
    assert "stored thresholds and figures in the artifact" in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert report["before_sweep"]["accuracy"]["average_precision_at_iou_0.5"] == 0.5
    assert report["accuracy"]["average_precision_at_iou_0.5"] == 1.0
    assert len(report["sweep"]) == 4
    card = artifact_files.check_file(model)
    # Both thresholds are equally good with that size: the artifact's own stays.
    assert (card.min_pixels, card.seed_threshold, card.score_threshold) == (20, 0.5, 0.5)
    assert card.accuracy == report["accuracy"]
    assert card.object_pixels == LEFT[2] * LEFT[3], "the data's, as the artifact did not say it"
    again = evaluate(
        "--model", model, "--data", data, "--split", "all", "--out", tmp_path / "a.json"
    )
    assert again.returncode == 0
    assert json.loads((tmp_path / "a.json").read_text()) == report["accuracy"]


def test_a_flat_sweep_says_so_and_keeps_the_thresholds(
    tmp_path: Path, evaluate: Callable[..., Done]
) -> None:
    model = artifact(tmp_path, msgspec.structs.replace(ONE, seed_threshold=0.6, min_pixels=24))
    data = label_maps(tmp_path / "data", [BOTH])
    done = evaluate(
        *("--model", model, "--data", data, "--split", "all", "--sweep", "--out", tmp_path / "r"),
        *("--min-pixels", "20,40", "--seed-thresholds", "0.5,0.9"),
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING: the sweep is flat" in done.stdout
    assert "chosen by the sweep" not in done.stdout
    card = artifact_files.check_file(model)
    assert (card.min_pixels, card.seed_threshold, card.score_threshold) == (24, 0.6, 0.5)
    assert card.accuracy["recall_at_iou_0.5"] == 1


def test_a_set_without_an_object_measures_nothing_and_chooses_nothing(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [([], []), ([], [])])
    before = (model / "model.onnx").read_bytes()
    options = ("--model", model, "--data", data, "--split", "all")

    done = evaluate(*options, "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert "WARNING: no labelled object in these pictures" in done.stdout
    assert "1.000" not in done.stdout
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert set(report["accuracy"]) == {"true_instances", "predicted_instances", "pictures"}

    swept = evaluate(*options, "--sweep")
    assert swept.returncode == 2
    assert "no labelled object of ['person'] in the 2 pictures (all)" in swept.stderr
    assert (model / "model.onnx").read_bytes() == before


def test_the_report_scores_each_picture_the_worst_first(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH, ONE_MISSED, ([], []), ([LEFT], [RIGHT])])
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "r" / "report.json").read_text())["by_picture"]
    assert [(row["name"], row["average_precision"]) for row in rows] == [
        ("3", 0),
        ("1", 0.5),
        ("0", 1),
        ("2", None),
    ]
    assert [(row["true"], row["found"], row["wrong"]) for row in rows[:2]] == [(1, 0, 1), (2, 1, 0)]
    text = (tmp_path / "r" / "report.md").read_text()
    assert "| 3 | 1 | 0 | 1 | 0.000 |" in text
    assert "| 2 | 0 | 0 | 0 | - |" in text


def test_names_of_pictures_mean_nothing_in_the_report(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "da|ta", [BOTH])
    for folder in ("images", "instances"):
        (data / folder / "0.png").rename(data / folder / "a|b\n<img src=x>.png")
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.md").read_text()
    assert r"| a\|b\\n\<img src=x\> | 2 | 2 | 0 | 1.000 |" in text.splitlines()
    assert r"da\|ta, layout" in text
    assert "da|ta, layout" in done.stdout


def test_objects_of_another_size_than_those_learned_are_pointed_out(
    tmp_path: Path, evaluate: Callable[..., Done]
) -> None:
    area = LEFT[2] * LEFT[3]
    data = label_maps(tmp_path / "data", [BOTH])
    for number, (learned, warned) in enumerate([(area * 1.5, False), (area * 9.0, True)]):
        card = msgspec.structs.replace(ONE, object_pixels=learned)
        model = artifact(tmp_path / str(number), card)
        done = evaluate("--model", model, "--data", data, "--split", "all")
        assert f"2 labelled objects, median area {area} pixels of the input" in done.stdout
        assert f"of the training data {learned:g}" in done.stdout
        assert ("WARNING" in done.stdout) == warned


def test_tiles_find_the_small_objects_of_a_large_picture_and_say_their_cost(
    tmp_path: Path, evaluate: Callable[..., Done]
) -> None:
    model = artifact(tmp_path, msgspec.structs.replace(ONE, object_pixels=60.0))
    boxes = [(10, 12, 8, 6), (100, 40, 8, 6), (60, 80, 8, 6)]
    shown = picture((96, 144), [(box, 1) for box in boxes])
    put(tmp_path / "data" / "images" / "0.png", shown.image)
    put(tmp_path / "data" / "instances" / "0.png", shown.instances.astype(np.uint16))
    options = ("--model", model, "--data", tmp_path / "data", "--split", "all")

    lost = evaluate(*options, "--out", tmp_path / "lost")
    found = evaluate(*options, "--out", tmp_path / "found", "--resize", "tile")

    reports = [
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("lost", "found")
    ]
    assert [report["accuracy"]["recall_at_iou_0.5"] for report in reports] == [0, 1]
    assert [report["tiles"] for report in reports] == [1, 16]
    assert reports[1]["accuracy"]["tiles"] == 16
    assert "resize tile: 16 runs of the network for 1 pictures" in found.stdout
    assert "0: images of 144x96 pixels are shrunk to 33 % of their sides" in lost.stderr
    assert "--resize tile" in lost.stderr
    assert found.stderr == ""


def test_a_sweep_on_a_store_is_refused_before_anything_is_measured(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    (model.parent / "release.json").write_text("{}")
    done = evaluate("--model", model, "--data", tmp_path / "none", "--sweep")
    assert done.returncode == 2
    assert "a version of a store, which never changes; copy the folder" in done.stderr


def test_broken_pictures_are_named_and_counted_and_the_others_are_measured(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH, BOTH, BOTH])
    (data / "images" / "0.png").write_bytes(b"no picture")
    (data / "instances" / "1.png").unlink()
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", tmp_path / "r")
    assert done.returncode == 1
    assert "2 pictures cannot be read" in done.stdout
    assert "images/0.png" in done.stderr
    assert "instances/1.png" in done.stderr
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert len(report["data"]["broken"]) == 2
    assert report["accuracy"]["average_precision"] == 1.0


def test_data_of_which_no_picture_can_be_read_is_refused(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH])
    (data / "images" / "0.png").write_bytes(b"no picture")
    done = evaluate("--model", model, "--data", data, "--split", "all")
    assert done.returncode == 2
    assert "none of the pictures can be read" in done.stderr


def test_a_split_without_a_picture_is_refused(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [])
    (data / "images").mkdir(parents=True)
    (data / "instances").mkdir()
    done = evaluate("--model", model, "--data", data)
    assert done.returncode == 2
    assert "no picture" in done.stderr


def test_classes_that_do_not_match_are_listed_on_both_sides(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = coco(tmp_path / "data", [LEFT], [LEFT])
    done = evaluate("--model", model, "--data", data, "--split", "all")
    assert done.returncode == 2
    assert "the model has ['person'], the data have ['human']" in done.stderr
    assert "--classes human=person" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v.avi", "v.avi is a file, expected a folder"),
        ("v.avi/figures.json", "v.avi is a file, expected a folder"),
        ("folder.json", "folder.json: is a folder, expected the name of a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done], name: str, said: str
) -> None:
    (tmp_path / "v.avi").touch()
    (tmp_path / "folder.json").mkdir()
    data = label_maps(tmp_path / "data", [BOTH])
    done = evaluate("--model", model, "--data", data, "--split", "all", "--out", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("truth", ["--boxes", "--tracks"])
def test_figures_of_a_video_overwrite_no_file_but_one_of_figures(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done], truth: str
) -> None:
    video = tmp_path / "v.avi"
    video.write_text("a video")
    done = evaluate("--model", model, "--video", video, truth, tmp_path / "t.csv", "--out", video)
    assert done.returncode == 2
    assert "v.avi is a file, expected a folder" in done.stderr
    assert video.read_text() == "a video"


def test_an_artifact_that_does_not_load_is_refused(
    tmp_path: Path, model: Path, evaluate: Callable[..., Done]
) -> None:
    data = label_maps(tmp_path / "data", [BOTH])
    (model / "model.onnx").write_bytes(b"half a file")
    done = evaluate("--model", model, "--data", data, "--split", "all")
    assert done.returncode == 2
    assert "a broken or partial copy" in done.stderr
    done = evaluate("--model", tmp_path / "nowhere", "--data", data, "--split", "all")
    assert done.returncode == 2
    assert "no model here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --data or --video with --boxes, found neither"),
        (["--data", "d", "--video", "v"], "--video and --boxes go together"),
        (["--data", "d", "--video", "v", "--boxes", "b"], "found both"),
        (
            ["--data", "d", "--iou", "0.6", "--class", "car"],
            "--class, --iou: use only with --video",
        ),
        (
            ["--video", "v", "--boxes", "b", "--limit", "9", "--metric", "coco"],
            "--metric, --limit: use only with --data",
        ),
        (["--data", "d", "--min-pixels", "8"], "say what --sweep tries"),
        (["--data", "d", "--sweep", "--seed-thresholds", "0.9;0.8"], "expected numbers"),
        (["--data", "d", "--classes", "car"], "expected each class of the data once"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    model: Path, arguments: list[str], said: str, evaluate: Callable[..., Done]
) -> None:
    done = evaluate("--model", model, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
