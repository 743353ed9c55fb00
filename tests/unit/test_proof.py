import subprocess
from pathlib import Path

import pytest

from tests.cluster import proof


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a manifest, a test of the cluster, and a page of the docs."""
    for name in ("deploy/k8s/worker.yaml", "tests/cluster/test_one.py", "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("name", ["deploy/k8s/worker.yaml", "tests/cluster/test_one.py"])
def test_a_changed_file_counts_though_it_is_not_committed(checkout: Path, name: str) -> None:
    before = proof.hash_of_what_is_read(checkout)
    (checkout / name).write_text("another")
    assert proof.hash_of_what_is_read(checkout) != before
    (checkout / name).write_text(name)
    assert proof.hash_of_what_is_read(checkout) == before


def test_a_new_a_deleted_and_a_newly_executable_file_count(checkout: Path) -> None:
    seen = {proof.hash_of_what_is_read(checkout)}
    (checkout / "deploy" / "new").write_text("")
    seen.add(proof.hash_of_what_is_read(checkout))
    (checkout / "deploy" / "new").chmod(0o755)
    seen.add(proof.hash_of_what_is_read(checkout))
    (checkout / "tests" / "cluster" / "test_one.py").unlink()
    seen.add(proof.hash_of_what_is_read(checkout))
    assert len(seen) == 4


def test_the_docs_do_not_count(checkout: Path) -> None:
    before = proof.hash_of_what_is_read(checkout)
    (checkout / "docs" / "page.md").write_text("another")
    assert proof.hash_of_what_is_read(checkout) == before is not None


def test_nothing_is_proved_outside_of_a_checkout(tmp_path: Path) -> None:
    assert proof.hash_of_what_is_read(tmp_path) is None


def test_what_was_proved_is_said_aloud_and_can_be_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "DIR", tmp_path)
    monkeypatch.setattr(proof, "hash_of_what_is_read", lambda: "key")
    monkeypatch.delenv(proof.FORCE, raising=False)
    assert (proof.main(), capsys.readouterr().out) == (1, "")
    proof.record("key", "on 2026-11-28, 26 passed")
    assert proof.main() == 0
    said = capsys.readouterr().out
    assert "NOT RUN" in said
    assert "on 2026-11-28, 26 passed" in said
    monkeypatch.setenv(proof.FORCE, "1")
    assert proof.main() == 1
