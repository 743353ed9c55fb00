from pathlib import Path

import pytest

from contract.output_places import file_fault, folder_fault


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be closed to this user, as root would find nothing."""
    monkeypatch.setattr("os.access", lambda *_: False)


def test_a_folder_that_can_be_made_takes_files(tmp_path: Path) -> None:
    assert folder_fault(tmp_path) is None
    assert folder_fault(tmp_path / "new" / "er") is None
    assert not (tmp_path / "new").exists()


def test_a_relative_folder_is_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_fault(Path("new/er")) is None
    assert file_fault(Path("new.json")) is None


@pytest.mark.parametrize("below", [".", "x", "x/y"])
def test_a_file_is_no_folder_and_holds_none(tmp_path: Path, below: str) -> None:
    file = tmp_path / "v.avi"
    file.write_text("a video")
    said = str(folder_fault(file / below))
    assert f"{file} is a file, expected a folder" in said


def test_a_link_to_nothing_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert "link is no folder, expected a folder" in str(folder_fault(tmp_path / "link" / "x"))


def test_what_is_closed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.json").write_text("{}")
    closed(monkeypatch)
    for said in (
        folder_fault(tmp_path / "x"),
        file_fault(tmp_path / "new.json"),
        file_fault(tmp_path / "old.json"),
    ):
        assert "closed to this user or read-only; choose another" in str(said)


def test_a_file_may_be_new_or_written_anew_but_no_folder(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    assert file_fault(tmp_path / "old.json") is None
    assert file_fault(tmp_path / "new.json") is None
    assert "is a folder, expected the name of a file" in str(file_fault(tmp_path))
    assert "old.json is a file" in str(file_fault(tmp_path / "old.json" / "x.json"))
