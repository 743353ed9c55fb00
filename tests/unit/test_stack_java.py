from pathlib import Path

import pytest

from contract.errors import UnavailableError
from stack import broker_choice, jars
from stack.kafka_server import start_kafka


def install_java(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A `java` of the test's own as the only program, beside no Maven and no jars."""
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


@pytest.mark.parametrize(
    "version", ['openjdk version "17.0.15" 2025-04-15', 'java version "21"', 'x version "26-ea"']
)
def test_java_17_and_newer_runs_kafka(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    install_java(monkeypatch, tmp_path, f"echo 'Picked up X' >&2; echo '{version}' >&2")
    assert jars.missing_java() is None


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16"])
def test_an_older_java_counts_as_missing_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    install_java(monkeypatch, tmp_path, f"echo 'openjdk version \"{version}\"' >&2")
    [missing] = jars.missing_programs()
    assert missing == f"Java 17 or newer (`java`); {tmp_path}/bin/java is {version}"
    with pytest.raises(UnavailableError, match=version.replace(".", r"\.")):
        start_kafka()


def test_a_java_that_fails_counts_as_missing_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_java(monkeypatch, tmp_path, "echo no home; exit 3")
    [missing] = jars.missing_programs()
    assert "said 'no home' and exited with 3" in missing


def test_a_java_that_hangs_counts_as_missing_after_the_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_java(monkeypatch, tmp_path, "while :; do :; done")
    monkeypatch.setattr(jars, "JAVA_SECONDS", 0.1)
    [missing] = jars.missing_programs()
    assert "did not say its version" in missing


def test_auto_takes_the_embedded_broker_where_java_is_too_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_java(monkeypatch, tmp_path, "echo 'openjdk version \"11.0.2\"' >&2")
    started = object()
    monkeypatch.setattr(broker_choice, "start_embedded", lambda *_, **__: started)
    notices: list[str] = []
    assert broker_choice.start_broker("auto", notices.append) is started
    [notice] = notices
    assert "is 11.0.2: using the embedded broker instead" in notice
