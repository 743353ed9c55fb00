"""Which folders may become that of a run."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError
from model.training.run_folder import check_run_folder
from model.training.settings import TrainSettings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def check(out: Path) -> None:
    check_run_folder(TrainSettings(recipe="street", data=Path("data"), out=out))


def refusal(out: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        check(out)
    return caught.value.faults


def write(out: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def record(out: Path, **values: object) -> None:
    write(out, "run.json", text=json.dumps({"attempts": [{}], **values}))


def test_a_folder_that_is_not_there_or_empty_takes_a_run(out: Path) -> None:
    check(out)
    out.mkdir()
    check(out)


def test_a_run_with_a_checkpoint_goes_on_whatever_lies_beside_it(out: Path) -> None:
    record(out, done=4)
    write(out, "checkpoints/best.pt", "checkpoints/step-00000004.pt", "report/pictures-best.jpg")
    check(out)


def test_a_finished_run_without_its_step_checkpoints_is_not_overwritten(out: Path) -> None:
    record(out, done=4)
    write(out, "checkpoints/best.pt", "log.jsonl")

    said, advice = refusal(out)

    assert f"{out}: holds checkpoints/best.pt, run.json and no checkpoints/step-*.pt" in said
    assert "choose another --out, or remove the folder" in said
    assert f"--out {out}-2 --initial-weights {out}" in advice


@pytest.mark.parametrize("name", ["checkpoints/best.pt", "checkpoints/epoch-3.pt"])
def test_a_checkpoint_alone_is_not_overwritten(out: Path, name: str) -> None:
    write(out, name)
    assert f"holds {name} and no" in refusal(out)[0]


def test_the_record_of_a_run_that_kept_steps_is_not_overwritten(out: Path) -> None:
    record(out, done=4)
    assert "holds run.json and no" in refusal(out)[0]


@pytest.mark.parametrize("text", ["{}", "[]", "half a rec", '{"scripts": {}}'])
def test_a_record_that_no_run_has_written_is_not_overwritten(out: Path, text: str) -> None:
    write(out, "run.json", text=text)
    assert "holds run.json and no" in refusal(out)[0]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(out: Path) -> None:
    record(out)
    write(out, "log.jsonl", "tensorboard/events", "checkpoints/step-00000002.partial")
    check(out)


def test_what_people_keep_beside_a_run_does_no_harm(out: Path) -> None:
    write(out, "mine.toml", "train.log", ".gitignore", "lost+found/x")
    check(out)


def test_a_data_set_is_no_folder_of_a_run(out: Path) -> None:
    write(out, "images/a.png", "instances/a.png", "dataset.json")
    (said,) = refusal(out)
    assert (
        f"--out: {out}: holds dataset.json, images/, instances/, which no run has written" in said
    )
    assert "choose another --out" in said


def test_a_long_list_is_cut(out: Path) -> None:
    write(out, *(f"{number:03}.png" for number in range(30)))
    assert "007.png and 22 more, which no run" in refusal(out)[0]


@pytest.mark.parametrize("below", ["", "x"])
def test_a_file_is_no_folder_of_a_run(tmp_path: Path, below: str) -> None:
    write(tmp_path, "v.avi")
    assert "v.avi is a file, expected a folder" in refusal(tmp_path / "v.avi" / below)[0]


def test_a_folder_that_is_closed_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out.mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "closed to this user or read-only" in refusal(out)[0]
