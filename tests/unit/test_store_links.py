"""Nothing leads out of a store of models: no link, no external data, no name; needs onnx."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from contract import artifact as contract  # noqa: E402  (after the skip)
from contract import artifact_files, plain_files  # noqa: E402
from contract.artifact_files import find_model  # noqa: E402
from contract.errors import ConfigurationError  # noqa: E402
from model.registry.store import Store  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.tiny_model import CARD, tiny_model, write_artifact  # noqa: E402
from tests.unit.test_store import put  # noqa: E402

WEIGHTS = np.ones(64, np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "store")
    for folder in tmp_path.rglob("*"):  # so that pytest may remove it
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """An artifact that is not of the store."""
    return write_artifact(tmp_path / "outside" / "2", tiny_model(), CARD)


def loosen(folder: Path) -> Path:
    """Let a released version be changed, as root can."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


def with_external_data(model: "onnx.ModelProto", location: str, place: str) -> "onnx.ModelProto":
    """Return a model that has weights in another file."""
    tensor = onnx.numpy_helper.from_array(WEIGHTS, "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=tensor))
    elif place == "branch":
        inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
        node = onnx.helper.make_node("If", ["axis"], ["unused"])
        node.attribute.append(onnx.helper.make_attribute("then_branch", inner))
        model.graph.node.append(node)
    elif place == "function":
        node = onnx.helper.make_node("Constant", [], ["y"], value=tensor)
        opset = onnx.helper.make_opsetid("", 17)
        model.functions.append(onnx.helper.make_function("own", "f", [], ["y"], [node], [opset]))
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


def link_model(home: Path, outside: Path) -> None:
    loosen(home / "1")
    (home / "1" / "model.onnx").unlink()
    (home / "1" / "model.onnx").symlink_to(outside / "model.onnx")
    (home / "1" / "model.json").unlink()


def link_card(home: Path, outside: Path) -> None:
    loosen(home / "1")
    (home / "1" / "model.json").unlink()
    (home / "1" / "model.json").symlink_to(outside / "model.json")


def link_version(home: Path, outside: Path) -> None:
    (home / "1").rename(home / "old")
    (home / "1").symlink_to(outside)


def link_current(home: Path, outside: Path) -> None:
    (home / "current").unlink()
    (home / "current").symlink_to(os.path.relpath(outside, home))


def link_current_absolutely(home: Path, outside: Path) -> None:
    (home / "current").unlink()
    (home / "current").symlink_to(outside)


@pytest.mark.parametrize(
    "change", [link_model, link_card, link_version, link_current, link_current_absolutely]
)
def test_a_worker_loads_nothing_through_a_link_that_leads_out_of_the_model_s_folder(
    store: Store, outside: Path, change: Callable[[Path, Path], None]
) -> None:
    put(store)
    home = store.root / "street"
    assert find_model(home).is_file()
    change(home, outside)
    with pytest.raises(ConfigurationError, match=r"a link that leads out of .*, to .*outside/2"):
        find_model(home)


@pytest.mark.parametrize("change", [link_model, link_card, link_version])
def test_a_version_that_is_or_holds_a_link_is_not_promoted_nor_rolled_back_to(
    store: Store, outside: Path, change: Callable[[Path, Path], None]
) -> None:
    put(store)
    put(store)
    change(store.root / "street", outside)
    for act in (
        lambda: store.promote("street", "1"),
        lambda: store.rollback("street"),
        lambda: store.card("street", "1"),
    ):
        with pytest.raises(ConfigurationError, match=r"a link|cannot read the model card"):
            act()
    assert (store.root / "street" / "current").readlink() == Path("2")


@pytest.mark.parametrize("change", [link_current, link_current_absolutely])
def test_a_current_that_leads_out_of_the_store_is_not_taken_for_the_version_of_its_last_part(
    store: Store, outside: Path, change: Callable[[Path, Path], None]
) -> None:
    put(store)
    put(store)
    change(store.root / "street", outside)
    assert store.model("street").current is None
    with pytest.raises(ConfigurationError, match="expected a version beside it; promote one"):
        store.card("street")
    store.promote("street", "1")
    assert store.card("street").version == "1"


def test_a_model_that_is_a_link_is_not_written_to(store: Store, tmp_path: Path) -> None:
    put(store, "other")
    elsewhere = Store(tmp_path / "elsewhere")
    put(elsewhere, "street")
    before = sorted(elsewhere.root.rglob("*"))
    (store.root / "street").symlink_to(elsewhere.root / "street")
    assert [model.name for model in store.models()] == ["other"]
    for act in (
        lambda: store.promote("street", "1"),
        lambda: store.rollback("street"),
        lambda: put(store, "street"),
    ):
        with pytest.raises(ConfigurationError, match=r"a link to .*elsewhere/street, expected a"):
            act()
    assert sorted(elsewhere.root.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/b", "/etc", "a/", ".hidden", " x", "x ", "a\nb", "a\x1b[2Jb",
        "street\u200b", "teerts\u202e", "-x", "u\u0308ber", "x" * 129,
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_cannot_be_seen_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        put(store, name)
    assert "expected the name of one folder" in str(refused.value)
    assert str(refused.value).isprintable()
    assert not store.root.exists()


@pytest.mark.parametrize("version", ["../1", "1/../1", "/1", "\u0661", "\uff11", "01", "", "1 "])
def test_a_version_that_only_looks_like_one_is_not_promoted(store: Store, version: str) -> None:
    put(store)
    with pytest.raises(ConfigurationError, match="expected the whole number of a release"):
        store.promote("street", version)


def test_a_folder_whose_name_is_a_digit_of_another_script_is_no_release(store: Store) -> None:
    put(store)
    home = store.root / "street"
    write_artifact(home / "\u0669", tiny_model(), CARD)  # a nine: the next would be 10
    assert store.model("street").versions == ("1",)
    assert put(store) == "2"


@pytest.mark.parametrize("file", [".lock", ".release.json.partial", "release.json"])
def test_what_the_store_writes_goes_through_no_link(
    store: Store, tmp_path: Path, file: str
) -> None:
    put(store)
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    path = store.root / "street" / file
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    if file == ".release.json.partial":
        put(store)
    else:
        with pytest.raises(ConfigurationError, match=r"link"):
            put(store)
    assert victim.read_text() == "as it was"
    path.unlink(missing_ok=True)
    if file == ".lock":
        path.symlink_to(tmp_path / "new")
        with pytest.raises(ConfigurationError, match=r"symbolic link"):
            put(store)
        assert not (tmp_path / "new").exists()


def test_a_left_over_stage_that_is_a_link_is_removed_and_what_it_leads_to_stays(
    store: Store, tmp_path: Path
) -> None:
    put(store)
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    (kept / "file").write_text("x")
    left = store.root / "street" / ".release-left"
    left.symlink_to(kept)
    left.with_name(".release-left.alive").touch()
    assert put(store) == "2"
    assert not left.is_symlink()
    assert (kept.stat().st_mode & 0o777, (kept / "file").read_text()) == (0o700, "x")


@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "function", "sparse"])
@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "weights.bin", ""])
def test_weights_in_another_file_are_refused_before_anything_opens_it(
    tmp_path: Path, place: str, location: str
) -> None:
    model = with_external_data(tiny_model(), location, place)
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ConfigurationError, match="tensor 'weights' has its data in another file"):
        plain_files.check_self_contained(file)


def test_a_worker_loads_no_weights_that_the_sha256_does_not_cover(tmp_path: Path) -> None:
    model = with_external_data(tiny_model(), "weights.bin", "initializer")
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD)
    onnx.helper.set_model_props(model, contract.to_metadata(CARD))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "weights.bin").write_bytes(WEIGHTS.tobytes())
    artifact_files.write_card(CARD, folder)
    with pytest.raises(ConfigurationError, match="in another file"):
        OnnxEngine(folder, provider="cpu")


def test_a_version_with_weights_in_another_file_is_not_promoted(store: Store) -> None:
    put(store)
    put(store)
    folder = loosen(store.root / "street" / "1")
    model = onnx.load(folder / "model.onnx")
    with_external_data(model, "../../../secret", "initializer")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    card = msgspec.structs.replace(CARD, name="street", version="1")
    artifact_files.write_card(card, folder)
    with pytest.raises(ConfigurationError, match="in another file"):
        store.promote("street", "1")
    with pytest.raises(ConfigurationError, match="in another file"):
        store.rollback("street")


def test_a_version_whose_int8_file_has_weights_elsewhere_is_not_promoted(store: Store) -> None:
    put(store, int8=True)
    folder = loosen(store.root / "street" / "1")
    int8 = onnx.load(folder / "model.int8.onnx")
    with_external_data(int8, "../../../secret", "initializer")
    (folder / "model.int8.onnx").write_bytes(int8.SerializeToString())
    card = artifact_files.read_card(folder)
    further = [msgspec.structs.replace(card.further[0], file_sha256="")]
    card = msgspec.structs.replace(card, further=tuple(further))
    (folder / "model.json").write_bytes(artifact_files.encode_card(card))
    with pytest.raises(ConfigurationError, match="in another file"):
        store.promote("street", "1")


def test_a_file_that_no_model_can_be_as_large_as_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD)
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(2 * 1024**3 + 1)  # a hole: takes no room
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read"))
    with pytest.raises(ConfigurationError, match=r"2147483649 bytes, expected at most 2147483648"):
        find_model(folder)


def test_a_card_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD)
    with (folder / "model.json").open("r+b") as file:
        file.truncate(1024**3)
    with pytest.raises(ConfigurationError, match=r"1073741824 bytes, expected at most 1048576"):
        find_model(folder)


def test_a_pipe_in_the_place_of_a_card_does_not_hang_the_reader(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD)
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    with pytest.raises(ConfigurationError, match="expected a plain file"):
        artifact_files.check_file(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x3a", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 11, b"\x3b", b"\x3a\x02\x0a\x7f"],
)
def test_what_is_no_protobuf_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match="not a model that ONNX Runtime can load"):
        plain_files.check_self_contained(file)


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    def message(number: int, body: bytes) -> bytes:
        length, size = b"", len(body)
        while size > 0x7F:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + body

    graph = b""
    for _ in range(200):
        graph = message(1, message(5, message(6, graph)))  # node, attribute, graph
    (tmp_path / "model.onnx").write_bytes(message(7, graph))
    with pytest.raises(ConfigurationError, match="nested more than"):
        plain_files.check_self_contained(tmp_path / "model.onnx")


def test_links_inside_the_folder_and_a_folder_named_through_a_link_are_fine(
    store: Store, tmp_path: Path
) -> None:
    put(store)
    (tmp_path / "mounted").symlink_to(store.root)
    for path in ("street", "street/current", "street/1", "street/1/model.onnx"):
        assert find_model(tmp_path / "mounted" / path).is_file()
    assert Store(tmp_path / "mounted").card("street").version == "1"
    assert put(Store(tmp_path / "mounted")) == "2"
