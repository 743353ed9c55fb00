"""The archive of the broker's classes is a help and never a condition."""

import fcntl
from pathlib import Path

import pytest

from stack.child_process import ChildProcess, StartError
from stack.class_archive import class_archive, java_options, make_class_archive
from tests.fakes import wait_until


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    folder = tmp_path / "kafka-4.1.0"
    folder.mkdir()
    return folder


def ends(tmp_path: Path, program: str) -> ChildProcess:
    """Return a process that says it is there, and ends as its program tells."""
    log = tmp_path / "log"
    process = ChildProcess.spawn("broker", ["bash", "-c", program], log_path=log)
    wait_until(lambda: "there" in log.read_text())
    return process


_RUNS = "echo there; while :; do sleep 0.05; done"
ARCHIVED = "trap 'sleep 0.1; echo classes > {made}; exit 143' TERM; " + _RUNS
DIED = "trap 'echo half > {made}; exit 1' TERM; " + _RUNS
NOTHING = "trap 'exit 143' TERM; " + _RUNS


def test_what_a_broker_wrote_at_its_end_is_used_from_then_on(jars: Path) -> None:
    assert java_options(jars) == []
    old = jars.parent / "kafka-4.1.0-000000000000.jsa"
    old.write_text("of another Java")

    def start(home: Path, options: list[str]) -> ChildProcess:
        option, _, made = options[0].partition("=")
        assert option == "-XX:ArchiveClassesAtExit"
        return ends(home.parent, ARCHIVED.format(made=made))

    make_class_archive(jars, start)
    assert class_archive(jars).read_text() == "classes\n"
    assert java_options(jars) == [f"-XX:SharedArchiveFile={class_archive(jars)}"]
    assert not old.exists()
    make_class_archive(jars, lambda _home, _options: pytest.fail("it is there"))


@pytest.mark.parametrize("program", [DIED, NOTHING], ids=["died", "nothing written"])
def test_an_archive_that_may_be_cut_is_not_used(jars: Path, program: str) -> None:
    def start(home: Path, options: list[str]) -> ChildProcess:
        return ends(home.parent, program.format(made=options[0].partition("=")[2]))

    make_class_archive(jars, start)
    assert java_options(jars) == []
    make_class_archive(jars, lambda _home, _options: pytest.fail("it was tried before"))


def test_a_broker_that_does_not_start_is_tried_once(jars: Path) -> None:
    starts = []

    def start(home: Path, _options: list[str]) -> ChildProcess:
        starts.append(home)
        raise StartError("no answer")

    make_class_archive(jars, start)
    make_class_archive(jars, start)
    assert len(starts) == 1
    assert java_options(jars) == []
    assert [each.suffix for each in jars.parent.glob("kafka-4.1.0-*")].count(".jsa") == 1


def test_who_comes_while_another_makes_it_does_not_wait(jars: Path) -> None:
    with class_archive(jars).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_class_archive(jars, lambda _home, _options: pytest.fail("another makes it"))
    assert java_options(jars) == []


def test_a_folder_that_takes_nothing_is_no_error(jars: Path) -> None:
    class_archive(jars).with_suffix(".lock").mkdir()
    make_class_archive(jars, lambda _home, _options: pytest.fail("there is no place for it"))
    assert java_options(jars) == []


def test_another_java_has_an_archive_of_its_own(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = class_archive(jars)
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert class_archive(jars) != before
    assert class_archive(jars) == class_archive(jars)
