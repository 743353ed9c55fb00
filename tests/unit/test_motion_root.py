"""A scene moves into a data set whole or not at all, and nothing is begun that cannot end."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contract.errors import ConfigurationError
from model.motion import make
from model.motion.composed import composed_folder
from model.motion.root import FOLDERS, begin, check_classes, finish, stage_for, writing
from seedstream.cli import build


def put_scene(root: Path, name: str) -> None:
    for folder in FOLDERS:
        path = root / folder / name / "000001.png"
        path.parent.mkdir(parents=True)
        path.write_text(f"{folder} of {name}")


def add(stage: Path, out: Path, name: str) -> None:
    finish(stage, out, ["person"], [f"{name}/000001"], ["me"], [f"{name}: dark"], "seedstream")


def content(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data set with one scene."""
    out = tmp_path / "out"
    with stage_for(out) as stage:
        put_scene(stage, "gate")
        add(stage, out, "gate")
    return out


class Failing:
    """Lets the call number ``at`` of some functions fail, before or behind its effect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: type, behind: bool) -> None:
        self._left, self._error, self._behind = at, error, behind
        for owner, name in ((Path, "rename"), (Path, "replace"), (Path, "mkdir"), (os, "fsync")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, call):
        def failing(*given, **named):
            self._left -= 1
            if self._left == 0 and not self._behind:
                raise self._error(28, "No space left on device")
            done = call(*given, **named)
            if self._left == 0:
                raise self._error(28, "No space left on device")
            return done

        return failing


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("is_new", [False, True], ids=["added", "new"])
def test_a_failure_at_any_step_leaves_the_data_set_as_it_was(
    out, tmp_path, monkeypatch, error, behind, is_new
):
    target = tmp_path / "new" if is_new else out
    stage = tmp_path / "stage"
    put_scene(stage, "yard")
    before, staged = content(target), content(stage)
    for at in range(1, 30):
        with monkeypatch.context() as patch:
            Failing(patch, at, error, behind)
            try:
                add(stage, target, "yard")
            except error:
                pass
            else:
                break
        assert content(target) == before, at
        assert content(stage) == staged, at
        assert target.exists() != is_new, at

    card = json.loads((target / "dataset.json").read_text())
    assert at > len(FOLDERS) + 2
    assert card["validation"][-1] == "yard/000001"
    assert (target / "images/yard/000001.png").is_file()


def test_a_killed_addition_is_named_and_can_be_repeated(out, tmp_path, monkeypatch):
    before = content(out / "images")
    stage = tmp_path / "stage"
    put_scene(stage, "yard")
    with monkeypatch.context() as patch:
        patch.setattr("contextlib.ExitStack.callback", lambda *_: None)  # a killed process
        rename = Path.rename

        def until_pictures(source, target):
            if "images" in target.parts:
                raise OSError(5, "killed")
            return rename(source, target)

        patch.setattr(Path, "rename", until_pictures)
        with pytest.raises(OSError, match="killed"):
            add(stage, out, "yard")
    assert content(out / "images") == before

    with pytest.raises(ConfigurationError, match=r"part of a scene 'yard'.* remove .*scenes/yard"):
        begin(out, True, ["yard"])


def test_a_description_that_is_a_link_stays_one(out, tmp_path):
    card = (out / "dataset.json").rename(tmp_path / "kept.json")
    (out / "dataset.json").symlink_to(card)
    with stage_for(out) as stage:
        put_scene(stage, "yard")
        add(stage, out, "yard")

    assert (out / "dataset.json").is_symlink()
    assert json.loads(card.read_text())["warnings"] == ["gate: dark", "yard: dark"]


@pytest.mark.parametrize(
    ("folders", "missing"),
    [
        (("images", "masks"), "instances/, classes/, scenes/"),
        (("images", "instances"), "classes/, scenes/"),
        (("images", "instances", "classes"), "no scenes/"),
    ],
)
def test_a_data_set_of_another_kind_takes_no_scenes(tmp_path, folders, missing):
    for folder in folders:
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.json").write_text('{"classes": ["cell"]}')

    with pytest.raises(ConfigurationError) as caught:
        begin(tmp_path, True, ["yard"])

    (fault,) = caught.value.faults
    assert f"{folders[1]}/" in fault
    assert missing in fault
    assert "[[sources]]" in fault


def test_a_description_with_faults_takes_no_scenes(out):
    values = {"classes": ["person"], "bits": 3, "validation": {"a": 1}, "warnings": "x"}
    (out / "dataset.json").write_text(json.dumps(values))

    with pytest.raises(ConfigurationError) as caught:
        begin(out, True, ["yard"])

    assert len(caught.value.faults) == 3
    (out / "dataset.json").write_text('{"classes": ["person"], "credits": 5, "made_by": "me"}')
    with pytest.raises(ConfigurationError, match=r"(?s)credits is 5, .*made_by is 'me', exp"):
        begin(out, True, ["yard"])


def test_what_may_not_be_written_is_said_before_anything_is_labelled(out, monkeypatch):
    closed = {out / "dataset.json", out / "classes"}
    monkeypatch.setattr(os, "access", lambda path, _: path not in closed)

    with pytest.raises(ConfigurationError) as caught:
        begin(out, True, ["yard"])

    assert len(caught.value.faults) == 2
    assert all("cannot be written" in fault for fault in caught.value.faults)


def test_a_folder_on_another_disk_takes_no_scenes(out):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == out.stat().st_dev:
        pytest.skip("there is no second disk")
    (out / "images").rename(out / "pictures")
    (out / "images").symlink_to(elsewhere)

    with pytest.raises(ConfigurationError, match="images: lies on another disk"):
        begin(out, True, ["yard"])


def test_a_file_where_a_folder_is_expected_is_named(tmp_path):
    (tmp_path / "v.avi").touch()

    for out in (tmp_path / "v.avi", tmp_path / "v.avi/x", tmp_path / "v.avi/x/y"):
        with pytest.raises(ConfigurationError, match=r"v\.avi: is a file, expected a folder"):
            begin(out, False, ["yard"])


def test_a_stage_lies_in_the_data_set_where_only_that_may_be_written(tmp_path, monkeypatch):
    out = tmp_path / "mounted"
    out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)

    with stage_for(out) as stage:
        assert stage.parent == out
    assert list(out.iterdir()) == []


def test_what_the_system_refuses_is_a_fault_with_path_and_reason(tmp_path):
    (tmp_path / "v").touch()

    with (
        pytest.raises(ConfigurationError, match=r"out: cannot be made: File exists: .*v"),
        writing(tmp_path / "out"),
    ):
        (tmp_path / "v").mkdir()


def test_more_classes_than_a_map_holds_are_refused():
    check_classes([str(i) for i in range(254)])
    with pytest.raises(ConfigurationError, match="255 classes, expected at most 254"):
        check_classes([str(i) for i in range(255)])


def test_the_folder_of_composed_pictures_is_beside_the_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert composed_folder(Path("data/gate")) == Path("data/gate-composed")
    assert composed_folder(Path()) == tmp_path.with_name(f"{tmp_path.name}-composed")

    Path("data").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigurationError, match="gate-composed: cannot be made: data cannot be w"):
        composed_folder(Path("data/gate"))


def test_a_taken_folder_of_composed_pictures_is_said_before_labelling(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "label_from_motion", lambda *_, **__: pytest.fail("it labels"))
    (tmp_path / "out-composed").mkdir()
    arguments = ["label-from-motion", "v.avi", "--class", "person", "--compose", "1"]
    arguments += ["--out", str(tmp_path / "out")]

    with pytest.raises(ConfigurationError, match="out-composed: already exists"):
        CliRunner().invoke(build(arguments), arguments, catch_exceptions=False)
