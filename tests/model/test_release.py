"""Releases from a run into a store, with real exports."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")
pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract.artifact_files import check_file  # noqa: E402  (after the skips)
from contract.errors import ConfigurationError  # noqa: E402
from model.data.open import open_data_set  # noqa: E402
from model.export.releaser import default_name  # noqa: E402
from model.net.checkpoint import Checkpoint  # noqa: E402
from model.net.erfnet import BranchedERFNet  # noqa: E402
from seedstream.cli import build  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.tiny_model import CARD, add_int8_copy, tiny_model, write_artifact  # noqa: E402

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run as the trainer leaves it, of a tiny input."""
    torch.manual_seed(0)
    network = BranchedERFNet([4, 1])
    network.init_instance_head(2)
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    state = {
        "model_state_dict": network.state_dict(),
        "classes": ["cell"],
        "n_sigma": 2,
        "input_size": [48, 64],
        "accuracy": {"ap_50": 0.75},
        "step": 12,
    }
    torch.save(state, folder / "checkpoints" / "step-00000012.pt")
    (folder / "run.json").write_text(json.dumps({"recipe": {"name": "cells"}, "data": {}}))
    yield folder
    for inside in tmp_path.rglob("*"):
        if inside.is_dir() and not inside.is_symlink():
            inside.chmod(0o755)


def test_a_run_becomes_the_next_version_that_workers_load(run: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    outputs = []
    for words in ([], ["--no-promote"]):
        outcome = CliRunner(env={"COLUMNS": "200"}).invoke(
            build(["release"]), ["release", str(run), "--store", str(store), *words]
        )
        assert outcome.exit_code == 0, (outcome.output, outcome.exception)
        outputs.append(outcome.output)
    assert f"released {store}/cells/1, current from now on" in outputs[0]
    assert f"released {store}/cells/2\n" in outputs[1]
    engine = OnnxEngine(store / "cells", provider="cpu")
    assert (engine.artifact.name, engine.artifact.version) == ("cells", "1")
    second = OnnxEngine(store / "cells" / "2", provider="cpu").artifact
    assert second.version == "2"
    assert second.weights_sha256 == engine.artifact.weights_sha256
    assert second.accuracy == {"ap_50": 0.75}
    assert second.comparison["mean_iou"] == 1
    card = check_file(store / "cells" / "2")
    assert (card.precision, card.further) == ("float16", ())
    assert "without an int8 file: nothing would measure it; give --data" in outputs[1]


def test_two_releases_at_once_become_two_versions(run: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-m", "seedstream", "release", str(run), "--store", str(store)]
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=600)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    home = store / "cells"
    assert sorted(entry.name for entry in home.iterdir()) == [
        ".lock",
        "1",
        "2",
        "current",
        "release.json",
    ]
    assert {check_file(home / version).version for version in "12"} == {"1", "2"}
    history = json.loads((home / "release.json").read_text())
    assert sorted(history["promoted"]) == ["1", "2"]
    assert (home / "current").readlink() == Path(history["promoted"][-1])


def test_a_name_comes_from_the_checkpoint_then_from_the_run(run: Path, tmp_path: Path) -> None:
    def state(name: str) -> Checkpoint:
        return Checkpoint(
            model_state_dict={}, classes=["cell"], n_sigma=2, input_size=[8, 8], name=name
        )

    assert default_name(state("mine"), run) == "mine"
    assert default_name(state(""), run) == "cells"
    (run / "run.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"run\.json names it: give --name"):
        default_name(state(""), run)


def invoke(*words: object) -> str:
    arguments = ["release", *map(str, words)]
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(build(["release"]), arguments)
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_an_exported_artifact_ships_as_it_was_measured(run: Path, tmp_path: Path) -> None:
    from model.export.exporter import ExportOptions, export_checkpoint
    from model.export.rewrite import rewrite_artifact

    exported = export_checkpoint(run, tmp_path / "out", "cells", "try", ExportOptions())
    rewrite_artifact(exported.folder, seed_threshold=0.7, min_pixels=21, accuracy={"ap_50": 0.9})
    store = tmp_path / "store"

    output = invoke(exported.folder, "--store", store)

    assert f"released {store}/cells/1" in output
    shipped = OnnxEngine(store / "cells", provider="cpu").artifact
    assert shipped.version == "1"
    assert (shipped.seed_threshold, shipped.min_pixels) == (0.7, 21)
    assert shipped.accuracy == {"ap_50": 0.9}
    assert shipped.weights_sha256 == exported.artifact.weights_sha256
    assert check_file(store / "cells" / "1").precision == "float16"


def test_all_files_of_an_artifact_are_released_together(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "out" / "tiny" / "try", tiny_model(), CARD)
    add_int8_copy(folder, accuracy={"ap_50": 0.8})

    invoke(folder, "--store", tmp_path / "store", "--name", "cells", "--force")

    released = tmp_path / "store" / "cells" / "1"
    card = check_file(released)
    assert [each.accuracy for each in card.further] == [{"ap_50": 0.8}]
    for name in ("model.onnx", "model.int8.onnx"):
        artifact = OnnxEngine(released / name, provider="cpu").artifact
        assert (artifact.name, artifact.version) == ("cells", "1")


def test_an_artifact_takes_no_options_of_an_export(run: Path, tmp_path: Path) -> None:
    from model.export.exporter import ExportOptions, export_checkpoint

    exported = export_checkpoint(run, tmp_path / "out", "cells", "try", ExportOptions())

    with pytest.raises(ConfigurationError, match=r"is released unchanged: leave \['--score'\] out"):
        invoke(exported.folder, "--store", tmp_path / "store", "--score", "0.5")
    with pytest.raises(ConfigurationError, match=r"leave \['--classes', '--precision'\] out"):
        invoke(
            *(exported.folder, "--store", tmp_path / "store"),
            *("--classes", "a=b", "--precision", "float32"),
        )


def test_options_of_a_release_that_would_say_nothing_are_refused(tmp_path: Path) -> None:
    to_store = (tmp_path / "run", "--store", tmp_path / "store")
    with pytest.raises(ConfigurationError, match="--classes says what the classes of --data are"):
        invoke(*to_store, "--classes", "a=b")
    with pytest.raises(ConfigurationError, match=r"measures: leave \['--score'\] out, or --data"):
        invoke(*to_store, "--data", tmp_path, "--score", "0.5")
    assert not (tmp_path / "store").exists()


def test_data_choose_the_thresholds_of_a_release(run: Path, tmp_path: Path) -> None:
    from tests.made_data import write_discs

    data = write_discs(tmp_path / "discs")
    store = tmp_path / "store"

    output = invoke(run, "--store", store, "--data", data)

    assert "int8" in output, "made, or why not"
    shipped = OnnxEngine(store / "cells", provider="cpu").artifact
    assert "ap_50" not in shipped.accuracy  # what the checkpoint said is replaced
    assert any("0.5" in name for name in shipped.accuracy), shipped.accuracy
    # Held against PyTorch on the data's own pictures: on made-up ones it may see anything.
    assert shipped.comparison["pictures"] == 4


def test_a_broken_picture_to_learn_from_does_not_keep_a_model_from_its_release(
    run: Path, tmp_path: Path
) -> None:
    from tests.made_data import write_discs

    data, store = write_discs(tmp_path / "discs"), tmp_path / "store"
    for picture in open_data_set(data, split="train").names:
        (data / "images" / picture).with_suffix(".png").write_bytes(b"none")

    output = invoke(run, "--store", store, "--data", data)

    assert "without an int8 file: " in output
    shipped = OnnxEngine(store / "cells", provider="cpu").artifact
    assert shipped.comparison["pictures"] == 2  # made up


def test_a_run_that_finds_nothing_in_the_data_is_released_by_force_alone(
    run: Path, tmp_path: Path
) -> None:
    from tests.made_data import write_discs

    file = run / "checkpoints" / "step-00000012.pt"
    state = torch.load(file)
    state["model_state_dict"]["decoders.1.output_conv.bias"].fill_(-50)  # seeds nowhere
    torch.save(state, file)
    data, store = write_discs(tmp_path / "discs"), tmp_path / "store"

    with pytest.raises(ConfigurationError, match=r"are all 0: it finds none .* give --force"):
        invoke(run, "--store", store, "--data", data)
    assert not (store / "cells").exists(), "the store is as it was"
    output = invoke(run, "--store", store, "--data", data, "--force", "--no-int8")

    assert "int8" not in output
    assert "the sweep is flat" in output
    shipped = OnnxEngine(store / "cells", provider="cpu").artifact
    assert (shipped.seed_threshold, shipped.score_threshold, shipped.min_pixels) == (0.9, 0.5, 128)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (
            {"ap_at_iou_0.5": 0.0, "ap_at_iou_0.9": 0.0},
            r"\(ap_at_iou_0.5, .* are all 0",
        ),
        ({}, "it carries no figure: it was never validated"),
        (
            {"pictures": 12.0, "true_instances": 0.0},
            "it carries no figure: nothing was there to validate it on",
        ),
    ],
)
def test_what_finds_nothing_or_was_never_validated_is_released_by_force_alone(
    run: Path, tmp_path: Path, figures: dict[str, float], said: str
) -> None:
    from model.export.exporter import ExportOptions, export_checkpoint

    file = run / "checkpoints" / "step-00000012.pt"
    torch.save({**torch.load(file), "accuracy": figures}, file)
    exported = export_checkpoint(run, tmp_path / "out", "cells", "try", ExportOptions()).folder
    store = tmp_path / "store"
    for source in (run, exported):
        with pytest.raises(ConfigurationError, match=said):
            invoke(source, "--store", store, "--no-promote")
    assert not (store / "cells").exists()

    invoke(exported, "--store", store, "--force")
    assert OnnxEngine(store / "cells", provider="cpu").artifact.version == "1"
