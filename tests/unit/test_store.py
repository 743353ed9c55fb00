"""A store of releases, with made artifacts; needs onnx, not torch."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from contract import artifact as contract  # noqa: E402  (after the skip)
from contract import artifact_files  # noqa: E402  (after the skip)
from contract.artifact_files import find_model, read_card  # noqa: E402
from contract.errors import ConfigurationError  # noqa: E402
from model.registry.listing import describe, table  # noqa: E402
from model.registry.store import Store  # noqa: E402
from seedstream.cli import build  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.tiny_model import CARD, add_int8_copy, tiny_model, write_artifact  # noqa: E402

REPOSITORY = Path(__file__).parents[2]


def put(store: Store, name: str = "street", *, promote: bool = True, int8: bool = False) -> str:
    """Release a small model as `model.export.releaser` does."""
    with store.stage(name) as stage:
        write_artifact(stage.folder / "x", tiny_model(), None)
        (stage.folder / "x" / "model.onnx").rename(stage.folder / "model.onnx")
        (stage.folder / "x").rmdir()

        def mark(version: str) -> None:
            card = msgspec.structs.replace(
                CARD, name=name, version=version, accuracy={"recall": 0.9}
            )
            path = stage.folder / "model.onnx"
            model = onnx.load(path)
            onnx.helper.set_model_props(model, contract.to_metadata(card))
            onnx.save(model, path)
            artifact_files.write_card(card, stage.folder)
            if int8:
                add_int8_copy(stage.folder, accuracy={"recall": 0.8})

        version = stage.publish(mark)
    if promote:
        store.promote(name, version)
    return version


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "store")
    for folder in tmp_path.rglob("*"):  # so that pytest may remove it
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)


def test_releases_count_up_and_never_change(store: Store) -> None:
    assert [put(store), put(store), put(store, "other")] == ["1", "2", "1"]
    home = store.root / "street"
    assert oct((home / "2").stat().st_mode)[-3:] == "555"
    assert {oct(file.stat().st_mode)[-3:] for file in (home / "2").iterdir()} == {"444"}
    assert sorted(entry.name for entry in home.iterdir()) == [
        ".lock",
        "1",
        "2",
        "current",
        "release.json",
    ]
    assert (home / "current").readlink() == Path("2")


def test_a_removed_version_s_number_is_not_given_again(store: Store) -> None:
    put(store)
    put(store)
    (store.root / "street" / "2").rename(store.root / "gone")
    assert put(store) == "3"


def test_a_release_of_two_files_is_checked_listed_and_shown_whole(store: Store) -> None:
    put(store, int8=True)
    folder = store.root / "street" / "1"
    assert {oct(file.stat().st_mode)[-3:] for file in folder.iterdir()} == {"444"}
    row = table(store).splitlines()[1]
    assert "float32 + int8" in row
    assert "0.0 + 0.0 MB" in row
    shown = describe(store.card("street"))
    assert "model.int8.onnx" in shown
    assert "recall 0.8" in shown
    file = folder / "model.int8.onnx"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match=r"model\.int8\.onnx: sha256 is \w+"):
        store.promote("street", "1")


@pytest.mark.parametrize("way", ["", "current", "2"])
def test_a_worker_s_engine_loads_every_way_to_name_a_model(store: Store, way: str) -> None:
    put(store)
    put(store)
    engine = OnnxEngine(store.root / "street" / way, provider="cpu")
    assert (engine.artifact.name, engine.artifact.version) == ("street", "2")


def test_rollback_goes_back_through_what_was_current(store: Store) -> None:
    for _ in range(3):
        put(store)
    store.promote("street", "1")  # 1, 2, 3, 1
    assert [store.rollback("street") for _ in range(3)] == ["3", "2", "1"]
    assert find_model(store.root / "street").resolve().parent.name == "1"
    with pytest.raises(ConfigurationError, match=r"no version was current before 1; promote one"):
        store.rollback("street")


def test_a_promotion_stopped_between_link_and_history_can_be_rolled_back(store: Store) -> None:
    put(store)
    put(store, promote=False)
    link = store.root / "street" / "current"
    link.unlink()
    link.symlink_to("2")
    assert store.rollback("street") == "1"


def test_a_rollback_stopped_between_history_and_link_is_done_again(store: Store) -> None:
    for _ in range(3):
        put(store)
    file = store.root / "street" / "release.json"
    history = json.loads(file.read_text())
    assert history["promoted"] == ["1", "2", "3"]
    file.write_text(json.dumps(history | {"promoted": ["1", "2"]}))
    assert store.rollback("street") == "2"


def test_broken_files_are_neither_promoted_nor_shown(store: Store) -> None:
    put(store)
    put(store, promote=False)
    file = store.root / "street" / "2" / "model.onnx"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    for ask in (lambda: store.promote("street", "2"), lambda: store.card("street", "2")):
        with pytest.raises(ConfigurationError, match=r"sha256 is \w+, the card beside it says"):
            ask()
    assert store.model("street").current == "1"


def test_a_copied_release_is_not_taken_for_another_version(store: Store) -> None:
    put(store)
    home = store.root / "street"
    (home / "7").mkdir()
    for file in (home / "1").iterdir():
        (home / "7" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ConfigurationError, match=r"its card says street/1, expected street/7"):
        store.promote("street", "7")


def test_exported_versions_are_listed_but_are_no_releases(store: Store) -> None:
    put(store)
    draft = msgspec.structs.replace(CARD, name="street", version="draft")
    write_artifact(store.root / "street" / "draft", tiny_model(), draft)
    assert store.model("street").foreign == ("draft",)
    assert store.card("street", "draft").version == "draft"
    with pytest.raises(ConfigurationError, match=r"expected the whole number.*seedstream release"):
        store.promote("street", "draft")
    assert put(store) == "2"


def test_a_version_whose_weights_are_gone_is_listed_as_broken_and_shown_so(store: Store) -> None:
    put(store)
    folder = store.root / "street" / "1"
    folder.chmod(0o755)
    (folder / "model.onnx").unlink()

    (row,) = table(store).splitlines()[1:]
    assert row.startswith("street  1 *")
    assert f"{folder / 'model.onnx'}: missing; copy the folder again, or release anew" in row
    with pytest.raises(ConfigurationError, match=r"model\.onnx: missing, but the model\.json"):
        store.card("street")

    (folder / "model.json").unlink()
    assert store.model("street").broken == ("1",)
    assert "street  1 *" in table(store)
    assert put(store) == "2"


def test_further_weights_that_are_gone_are_listed_as_broken(store: Store) -> None:
    put(store, int8=True)
    folder = store.root / "street" / "1"
    folder.chmod(0o755)
    (folder / "model.int8.onnx").unlink()
    assert f"{folder / 'model.int8.onnx'}: missing" in table(store)


def test_a_model_without_a_version_to_promote_says_what_there_is(store: Store) -> None:
    put(store, promote=False)
    folder = store.root / "street" / "1"
    folder.chmod(0o755)
    (folder / "model.onnx").unlink()
    with pytest.raises(ConfigurationError, match=r"no current version; name one of \['1'\]"):
        store.card("street")


def test_a_current_that_leads_to_nothing_is_listed_and_told(store: Store) -> None:
    put(store)
    put(store)
    (store.root / "street" / "2").rename(store.root / "gone")

    rows = [row for row in table(store).splitlines() if row.startswith("street")]
    assert [row.split()[1] for row in rows] == ["1", "2"]
    assert rows[1].endswith(
        f"{store.root / 'street' / 'current'}: leads to nothing; promote a version"
    )
    with pytest.raises(ConfigurationError, match=r"current leads to '2', which is not there, exp"):
        store.card("street")
    store.promote("street", "1")
    assert "leads to nothing" not in table(store)


def test_unknown_names_and_versions_are_told_with_those_that_are_there(store: Store) -> None:
    put(store)
    with pytest.raises(ConfigurationError, match=r"no model 'x', expected one of \['street'\]"):
        store.card("x")
    with pytest.raises(ConfigurationError, match=r"no version '9', expected one of \['1'\]"):
        store.promote("street", "9")
    with (
        pytest.raises(ConfigurationError, match="expected the name of one folder"),
        store.stage("../x"),
    ):
        pass


def test_what_is_no_store_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a folder, found nothing"):
        store.models()
    (tmp_path / "photos" / "2026").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"not a store: expected NAME.*\['2026'\]"):
        Store(tmp_path / "photos").models()
    put(store)
    with pytest.raises(ConfigurationError, match="give the folder above"):
        Store(store.root / "street").models()


def test_a_folder_called_current_is_not_overwritten(store: Store) -> None:
    put(store, promote=False)
    (store.root / "street" / "current").mkdir()
    with pytest.raises(ConfigurationError, match="is a folder, expected a link"):
        store.promote("street", "1")


def test_a_failed_release_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.stage("street") as stage:
            (stage.folder / "model.onnx").write_bytes(b"half")
            stage.publish(lambda version: print(1 / 0))

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [entry.name for entry in (store.root / "street").iterdir()] == [".lock"]
    assert put(store) == "1"


_KILLED = """
import os, signal, sys
from pathlib import Path
from model.registry.store import Store
with Store(Path(sys.argv[1])).stage("street") as stage:
    (stage.folder / "model.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_release_leaves_no_version_and_the_next_one_sweeps(store: Store) -> None:
    put(store)
    done = subprocess.run([sys.executable, "-c", _KILLED, store.root], cwd=REPOSITORY, timeout=60)
    assert done.returncode == -9
    home = store.root / "street"
    assert len(list(home.glob(".release-*"))) == 2  # its folder and its lock
    assert store.model("street").versions == ("1",)
    assert put(store) == "2"
    assert list(home.glob(".release-*")) == []


def test_a_release_under_way_is_not_swept_by_another(store: Store) -> None:
    with store.stage("street") as stage:
        assert put(store) == "1"
        assert stage.folder.is_dir()
    assert list((store.root / "street").glob(".release-*")) == []


@contextmanager
def not_as_root() -> Iterator[None]:
    """Root may write everywhere: be somebody else where the tests run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_store_that_cannot_be_written_can_be_read_and_says_so() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        store = Store(Path(scratch) / "store")
        put(store)
        put(store)
        for folder in (store.root / "street", store.root):
            folder.chmod(0o555)
        with not_as_root():
            assert store.card("street").version == "2"
            for change in (
                lambda: store.promote("street", "1"),
                lambda: store.rollback("street"),
                lambda: store.stage("street").__enter__(),
                lambda: store.stage("new").__enter__(),
            ):
                with pytest.raises(ConfigurationError, match="cannot write to the store: Perm"):
                    change()
        for folder in (store.root, *store.root.rglob("*")):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o755)


def models(*words: str) -> str:
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(build(["models"]), ["models", *words])
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    return outcome.output


def test_the_command_lists_shows_promotes_and_rolls_back(store: Store) -> None:
    put(store)
    put(store)
    where = ("--store", str(store.root))
    first, one, two = models("list", *where).splitlines()
    assert first.split()[:3] == ["model", "version", "released"]
    assert one.split()[:2] == ["street", "1"]
    assert two.split()[:3] == ["street", "2", "*"]
    assert two.endswith("person   recall 0.9")
    shown = dict(line.split(None, 1) for line in models("show", "street", *where).splitlines())
    assert shown["file_sha256"] == read_card(store.root / "street" / "2").file_sha256
    assert shown["version"] == "2"
    assert "version          1\n" in models("show", "street/1", *where)
    assert models("promote", "street", "1", *where) == "street: current is 1\n"
    assert models("rollback", "street", *where) == "street: current is 2\n"


def test_the_command_runs_where_there_is_no_torch_and_no_onnx(store: Store) -> None:
    put(store)
    put(store)
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxruntime', 'cv2', 'av'): sys.modules[name] = None\n"
        "from seedstream.cli import main\n"
        "sys.argv = ['seedstream', *sys.argv[1:]]\n"
        "main()\n"
    )
    for words in (["list"], ["show", "street"], ["promote", "street", "1"], ["rollback", "street"]):
        command = [sys.executable, "-c", program, "models", *words, "--store", str(store.root)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "street" in done.stdout


def test_when_a_version_without_a_history_came_is_unknown(store: Store) -> None:
    put(store)
    (store.root / "street" / "release.json").unlink()

    assert store.released_at("street", "1") is None
    assert models("list", "--store", str(store.root)).splitlines()[1].split()[3] == "unknown"
