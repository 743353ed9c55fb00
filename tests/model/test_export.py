"""Export with random weights through PyTorch, onnx and ONNX Runtime."""

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")
onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract.artifact import Artifact, from_metadata  # noqa: E402  (after the skips)
from contract.errors import ConfigurationError  # noqa: E402
from model.export import exporter as export_module  # noqa: E402
from model.export.calibration import make_pictures, read_pictures  # noqa: E402
from model.export.deployed_network import DeployedNetwork, fuse_batch_norm  # noqa: E402
from model.export.exporter import (  # noqa: E402
    ExportError,
    ExportOptions,
    export,
    export_checkpoint,
)
from model.export.onnx_file import opset_faults, weights_sha256  # noqa: E402
from model.export.verify import (  # noqa: E402
    Comparison,
    apart,
    best_ious,
    compare_with_pytorch,
    faults_at_another_size,
    matched_ious,
)
from model.net.checkpoint import load_checkpoint  # noqa: E402
from model.net.erfnet import BranchedERFNet  # noqa: E402
from segmentation.cluster import Clusters  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.street_network import CLIP, street_checkpoint  # noqa: E402

HEIGHT, WIDTH = 96, 160

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None,
    reason="the workshop's extra `train` is not installed",
)


def random_network(n_sigma: int, n_classes: int, seed: int = 0) -> BranchedERFNet:
    """A network whose batch norms have seen something, so that fusing them has to be right."""
    torch.manual_seed(seed)
    network = BranchedERFNet([2 + n_sigma, n_classes])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.normal_(module.weight, 1, 0.1)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


def card(**changes: Any) -> Artifact:
    artifact = Artifact(
        name="random",
        version="1",
        classes=("person", "vehicle"),
        height=HEIGHT,
        width=WIDTH,
        grid_step=(2 / 2047, 1 / 1023),
        n_sigma=2,
        weights_sha256="",
    )
    return msgspec.structs.replace(artifact, **changes)


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(("n_sigma", "classes"), [(1, ("person",)), (2, ("person", "vehicle"))])
def test_the_file_gives_what_the_network_gives(
    tmp_path: Path, precision: str, n_sigma: int, classes: tuple[str, ...]
) -> None:
    network = random_network(n_sigma, len(classes))
    done = export(network, card(precision=precision, n_sigma=n_sigma, classes=classes), tmp_path)
    assert done.folder == tmp_path / "random" / "1"
    assert sorted(path.name for path in done.folder.iterdir()) == ["model.json", "model.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["random"]
    pictures = make_pictures(HEIGHT, WIDTH, 3)
    maps = OnnxEngine(done.folder, provider="cpu", batch_sizes=(3,)).run(pictures)
    with torch.inference_mode():
        offset, bandwidth, seed, _ = DeployedNetwork(network, n_sigma)(torch.from_numpy(pictures))
    tolerance = 1e-5 if precision == "float32" else 2e-3
    assert offset.abs().max() > 0.01  # there is something to compare
    np.testing.assert_allclose(maps.offset, offset, atol=tolerance)
    np.testing.assert_allclose(maps.bandwidth, bandwidth, atol=tolerance)
    np.testing.assert_allclose(maps.seed, seed, atol=tolerance)
    assert maps.class_index.max() < len(classes)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_an_exported_file_takes_images_of_any_multiple_of_8(tmp_path: Path, precision: str) -> None:
    network = random_network(2, 2)
    done = export(network, card(precision=precision), tmp_path)
    engine = OnnxEngine(done.folder, provider="cpu")
    assert engine.variable_size
    assert engine.input_size == (HEIGHT, WIDTH)
    for size in [(HEIGHT, WIDTH), (40, 232), (200, 64)]:
        pictures = make_pictures(*size, 1)
        maps = engine.run(pictures)
        with torch.inference_mode():
            offset, _, seed, _ = DeployedNetwork(network, 2)(torch.from_numpy(pictures))
        tolerance = 1e-5 if precision == "float32" else 2e-3
        np.testing.assert_allclose(maps.offset, offset, atol=tolerance)
        np.testing.assert_allclose(maps.seed, seed, atol=tolerance)


def test_a_file_that_differs_at_another_size_is_a_fault(tmp_path: Path) -> None:
    network = random_network(2, 2)
    engine = OnnxEngine(export(network, card(precision="float32"), tmp_path).folder, "cpu")
    pictures = make_pictures(HEIGHT, WIDTH, 1)
    assert faults_at_another_size(engine, DeployedNetwork(network, 2), pictures) == []
    other = DeployedNetwork(random_network(2, 2, seed=1), 2)
    faults = faults_at_another_size(engine, other, pictures)
    assert len(faults) == 3
    assert "at another input size, 104x168, expected at most 0.0002" in faults[0]


def test_float16_weights_halve_the_file(tmp_path: Path) -> None:
    network = random_network(2, 2)
    sizes = [
        (export(network, card(precision=p, version=p), tmp_path).folder / "model.onnx").stat()
        for p in ("float32", "float16")
    ]
    assert sizes[1].st_size < 0.55 * sizes[0].st_size
    assert sizes[1].st_size < 5_000_000


def test_float16_computes_in_float16_but_for_the_decoders_last_layers(tmp_path: Path) -> None:
    folder = export(random_network(2, 2), card(precision="float16"), tmp_path).folder
    model = onnx.load(folder / "model.onnx")
    wide = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert wide == {
        f"network.decoders.{k}.output_conv.{part}" for k in (0, 1) for part in ("weight", "bias")
    }
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    types = {each.name: each.type.tensor_type.elem_type for each in inferred.graph.value_info}
    body = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(body) > 50
    assert {types[node.output[0]] for node in body} == {onnx.TensorProto.FLOAT16}
    last = [node for node in model.graph.node if node.input[1:2] and node.input[1] in wide]
    assert {types[node.output[0]] for node in last} == {onnx.TensorProto.FLOAT}


def test_the_metadata_and_the_card_say_the_same_and_the_checksum_is_of_the_weights(
    tmp_path: Path,
) -> None:
    done = export(random_network(2, 2), card(accuracy={"recall": 0.9}), tmp_path)
    model = onnx.load(done.folder / "model.onnx")
    properties = {each.key: each.value for each in model.metadata_props}
    artifact = from_metadata(properties, "model.onnx")
    assert artifact == done.artifact
    assert artifact.comparison == done.comparison.figures()
    assert artifact.comparison["offset"] < 2e-4
    assert opset_faults(model) == []
    assert artifact.weights_sha256 == weights_sha256(model)
    written = json.loads((done.folder / "model.json").read_text())
    assert written.pop("file_sha256")
    assert written.pop("further") == []
    assert written == json.loads(msgspec.json.encode(artifact))
    other = export(random_network(2, 2, seed=1), card(version="2"), tmp_path)
    assert other.artifact.weights_sha256 != artifact.weights_sha256


def test_fusing_batch_norm_changes_no_output_and_not_the_network() -> None:
    network = random_network(2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(
            fuse_batch_norm(network)(images), network(images), atol=1e-5, rtol=1e-5
        )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_file_that_differs_is_not_exported_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the exporter had mistaken one weight."""
    honest = export_module.to_onnx

    def mistaken(network: DeployedNetwork, artifact: Artifact) -> Any:
        model = honest(network, artifact)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("decoders.0.output_conv.bias"):
                values = onnx.numpy_helper.to_array(tensor) + np.float32(0.05)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
                return model
        raise AssertionError("no such weight")

    monkeypatch.setattr(export_module, "to_onnx", mistaken)
    with pytest.raises(
        ExportError, match=r"offset differs from PyTorch by up to 0\.0\d+, expected"
    ):
        export(random_network(2, 2), card(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_artifact_is_only_replaced_when_told_so(tmp_path: Path) -> None:
    first = export(random_network(2, 2), card(), tmp_path)
    with pytest.raises(ConfigurationError, match="exists: choose another version"):
        export(random_network(2, 2, seed=1), card(), tmp_path)
    second = export(random_network(2, 2, seed=1), card(), tmp_path, overwrite=True)
    assert second.folder == first.folder
    assert OnnxEngine(second.folder, provider="cpu").artifact == second.artifact
    assert [path.name for path in tmp_path.rglob("*")].count("model.onnx") == 1


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "v.avi").touch()
    with pytest.raises(ConfigurationError, match=r"--out: .*v\.avi is a file, expected a folder"):
        export(random_network(2, 2), card(), tmp_path / "v.avi")


def test_all_misfits_are_named_at_once(tmp_path: Path) -> None:
    artifact = card(n_sigma=1, width=150, precision="int4", name="a/b")
    with pytest.raises(ConfigurationError) as caught:
        export(random_network(2, 2), artifact, tmp_path)
    text = "\n".join(caught.value.faults)
    for words in ("heads (4, 2), expected (3, 2)", "96x150", "'int4'", "'a/b'"):
        assert words in text
    assert len(caught.value.faults) == 4


def test_weights_too_large_for_float16_are_refused_by_name(tmp_path: Path) -> None:
    network = random_network(2, 2)
    with torch.no_grad():
        network.decoders[1].output_conv.bias[0] = 1e6
    with pytest.raises(ConfigurationError, match=r"decoders\.1\.output_conv\.bias holds 1e\+06"):
        export(network, card(precision="float16"), tmp_path)


def checkpoint(path: Path, **changes: Any) -> Path:
    state = {
        "model_state_dict": random_network(2, 2).state_dict(),
        "classes": ["person", "vehicle"],
        "n_sigma": 2,
        "input_size": [HEIGHT, WIDTH],
        "training_data": "none",
        "accuracy": {"recall": 0.5},
        "score_threshold": 0.7,
        "optimizer_state_dict": {"step": 3},
    }
    torch.save({k: v for k, v in (state | changes).items() if v is not None}, path)
    return path


def test_a_checkpoint_becomes_an_artifact_with_its_settings(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "checkpoint.pt", object_pixels=400.0, label_warnings=["dark"])
    done = export_checkpoint(
        path, tmp_path / "out", "street", "7", ExportOptions(accuracy={"recall": 0.9})
    )
    artifact = OnnxEngine(done.folder, provider="cpu").artifact
    assert (artifact.name, artifact.version, artifact.precision) == ("street", "7", "float16")
    assert (artifact.height, artifact.width) == (HEIGHT, WIDTH)
    assert artifact.score_threshold == 0.7
    assert artifact.accuracy == {"recall": 0.9}
    assert artifact.training_data == "none"
    assert artifact.label_warnings == ("dark",)
    assert artifact.object_pixels == 400
    halved = ExportOptions(input_size=(HEIGHT // 2, WIDTH // 2))
    smaller = export_checkpoint(path, tmp_path / "out", "street", "8", halved).artifact
    assert smaller.object_pixels == 100, "letterboxed into half the sides"
    assert len(artifact.source_commit) == 40 or artifact.source_commit == "unknown"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": None}, "missing 1 required"),
        ({"n_sigma": 1}, "do not fit heads \\(3, 2\\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = checkpoint(tmp_path / "checkpoint.pt", **changes)
    with pytest.raises(ConfigurationError, match=words):
        load_checkpoint(path).network()


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "checkpoint.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"no such|not a PyTorch"):
        load_checkpoint(path)


def clusters(*boxes: tuple[int, int, int, int], classes: tuple[int, ...] = (0, 0)) -> Clusters:
    instance_map = np.zeros((20, 20), np.int32)
    for number, (top, bottom, left, right) in enumerate(boxes, start=1):
        instance_map[top:bottom, left:right] = number
    n = len(boxes)
    seeds = np.array([top * 20 + left for top, _, left, _ in boxes], np.int32)
    return Clusters(instance_map, np.ones(n, np.float32), np.array(classes[:n], np.int32), seeds)


def test_instances_are_matched_by_overlap_and_class() -> None:
    two = clusters((0, 10, 0, 10), (10, 20, 10, 20))
    assert matched_ious(two, two) == [1, 1, 1, 1]
    assert matched_ious(two, clusters((0, 10, 0, 5))) == [0.5, 0, 0.5]
    assert matched_ious(two, clusters((0, 10, 0, 10), classes=(1,))) == [0, 0, 0]
    assert matched_ious(clusters(), clusters()) == []


def test_real_pictures_come_fitted_from_images_and_videos(tmp_path: Path) -> None:
    clip = Path(__file__).parents[2] / "assets" / "vtest_clip.mp4"
    assert read_pictures(clip, HEIGHT, WIDTH).shape == (4, HEIGHT, WIDTH, 3)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_pictures(tmp_path / "none.mp4", HEIGHT, WIDTH)


def test_of_many_files_a_sample_is_spread_over_all_of_them(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / ("a" if number < 10 else "b")
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{number:02}.png"), np.full((30, 40, 3), number, np.uint8))
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    spread = read_pictures(tmp_path, 24, 32, 4)
    assert spread[:, 0, 0, 0].tolist() == [0, 5, 10, 15]
    both = read_pictures([tmp_path / "b", tmp_path / "a" / "03.png"], 24, 32, 99)
    assert len(both) == 11
    (tmp_path / "a" / "00.png").write_bytes(b"broken")
    (tmp_path / "b" / "10.png").write_bytes(b"broken")
    with pytest.raises(ConfigurationError) as caught:
        read_pictures(tmp_path, 24, 32, 99)
    assert len(caught.value.faults) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no picture: expected images"):
        read_pictures(tmp_path / "empty", 24, 32)


def test_foreign_operators_and_another_opset_are_faults(tmp_path: Path) -> None:
    folder = export(random_network(2, 2), card(), tmp_path).folder
    model = onnx.load(folder / "model.onnx")
    model.opset_import[0].version = 19
    model.graph.node[0].domain = "com.microsoft"
    assert len(opset_faults(model)) == 2


def test_what_is_seen_in_made_up_pictures_has_a_lower_bound() -> None:
    found = Comparison(
        offset=1e-4, bandwidth=1e-3, seed=1e-3, weights=1e-3,
        offset_pixels=0.03, mean_iou=0.783, instances=85, pictures=2,
    )  # fmt: skip
    assert found.faults("float16", made_up=True) == []
    (fault,) = found.faults("float16")
    assert "is 0.783, expected at least 0.8 with float16 weights" in fault
    broken = replace(found, mean_iou=0.3)
    assert "expected at least 0.5" in "; ".join(broken.faults("float16", made_up=True))


def test_an_instance_counts_with_what_the_other_side_has_below_a_threshold() -> None:
    one, below = clusters((0, 10, 0, 10)), clusters((0, 10, 0, 10), (10, 20, 10, 20))
    assert best_ious(below, one) == [1, 0]
    assert best_ious(below, one, below) == [1, 1]
    assert best_ious(clusters(), one) == []
    assert best_ious(one) == [0]


def shifted(network: BranchedERFNet, by: float) -> BranchedERFNet:
    """The network with all its seed scores a little higher."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        dict(other.named_parameters())["decoders.1.output_conv.bias"] += by
    return other


@pytest.mark.parametrize(("by", "agreed"), [(0.02, True), (1.0, False)])
def test_scores_on_both_sides_of_a_threshold_agree_if_they_are_close(
    tmp_path: Path, by: float, agreed: bool
) -> None:
    network = random_network(2, 1)
    pictures = make_pictures(HEIGHT, WIDTH, 2)
    plain = DeployedNetwork(network, 2).eval()
    with torch.inference_mode():
        seed = plain(torch.from_numpy(pictures))[2].numpy()
    # The threshold lies right above all scores of the one, and below the highest of the other.
    artifact = card(classes=("a",), seed_threshold=float(seed.max()) + 1e-4, min_pixels=1)
    exported = export(network, artifact, tmp_path, pictures=pictures)
    engine = OnnxEngine(exported.folder, provider="cpu", batch_sizes=(2,))
    other = DeployedNetwork(shifted(network, by), 2).eval()
    compared = compare_with_pytorch(engine, plain, other, pictures)
    assert compared.instances > 0
    assert (compared.mean_iou > 0.5) == agreed


def test_each_bound_has_its_own_sentence() -> None:
    bad = Comparison(
        offset=1.0,
        bandwidth=float("nan"),
        seed=1.0,
        weights=1.0,
        offset_pixels=9.0,
        mean_iou=0.1,
        instances=0,
        pictures=3,
    )
    assert len(bad.faults("float32")) == len(bad.faults("float16")) == 5
    text = "; ".join(bad.faults("int8"))
    assert "offset differs from PyTorch by 9 pixels in the mean, expected at most 1.5" in text
    assert "mean IoU of 0 instances" in text
    assert "no instance in the 3 pictures" in text


def test_int8_without_real_pictures_or_with_too_few_is_refused(tmp_path: Path) -> None:
    network, artifact = random_network(2, 2), card(precision="int8")
    for pictures in (None, make_pictures(HEIGHT, WIDTH, 5)):
        with pytest.raises(ConfigurationError, match=r"real pictures .* expected at least 6"):
            export(network, artifact, tmp_path, pictures=pictures)


def few_pictures(folder: Path) -> Path:
    """Nine frames of the clip: six to calibrate on, three to prove with."""
    folder.mkdir()
    for number, picture in enumerate(read_pictures(CLIP, 384, 512, 9)):
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    return folder


@needs_nncf
def test_int8_that_is_proved_on_nothing_is_not_exported(tmp_path: Path) -> None:
    """Random weights find no instances."""
    artifact = card(precision="int8", seed_threshold=1.0)
    pictures = make_pictures(HEIGHT, WIDTH, 6)
    with pytest.raises(ExportError, match="PyTorch finds no instance in the 2 pictures"):
        export(random_network(2, 2), artifact, tmp_path, pictures=pictures)
    assert list(tmp_path.iterdir()) == []


@needs_nncf
def test_int8_of_the_street_network_finds_the_same_people_in_real_pictures(tmp_path: Path) -> None:
    run = street_checkpoint(tmp_path / "run" / "checkpoints" / "best.pt").parents[1]
    options = ExportOptions(precision="int8", pictures=[few_pictures(tmp_path / "few")])
    done = export_checkpoint(run, tmp_path / "out", "street", "1", options)
    assert done.comparison.instances >= 10
    assert done.comparison.mean_iou > 0.95
    assert done.comparison.offset_pixels < 1.5
    assert (done.folder / "model.onnx").stat().st_size < 3_000_000
    model = onnx.load(done.folder / "model.onnx")
    quantised = [tensor for tensor in model.graph.initializer if tensor.data_type == 3]
    assert len(quantised) > 50
    engine = OnnxEngine(done.folder, provider="cpu", batch_sizes=(2,))
    assert engine.artifact.precision == "int8"
    assert engine.run(read_pictures(CLIP, 384, 512, 2)).seed.max() > 0.9
    assert engine.run(read_pictures(CLIP, 576, 768, 2)).seed.max() > 0.9, "at another size"


@pytest.mark.parametrize(
    ("seen", "bound", "text"),
    [(1.5004, 1.5, "1.5004"), (1.53, 1.5, "1.53"), (9.0, 1.5, "9"), (0.94996, 0.95, "0.94996")],
)
def test_a_number_that_misses_its_bound_is_told_from_it(seen: float, bound: float, text: str):
    assert apart(seen, bound) == text


@pytest.mark.parametrize(
    ("height", "width"),
    [(0, 0), (-8, -8), (96, -160), (100, 160), (16_392, 8), (8192, 4096)],
    ids=["none", "negative", "one negative", "no multiple", "a side", "pixels"],
)
def test_an_input_that_no_network_could_have_is_refused_before_pictures_are_read(
    tmp_path: Path, height: int, width: int
) -> None:
    checkpoint = street_checkpoint(tmp_path / "last.pt")
    options = ExportOptions(input_size=(height, width), pictures=[tmp_path / "not there"])
    match = f"the input is {height}x{width}, expected multiples of 8 from 8 on"
    with pytest.raises(ConfigurationError, match=match):
        export_checkpoint(checkpoint, tmp_path, "a", "1", options)
    with pytest.raises(ConfigurationError, match=match):
        export(random_network(2, 2), card(height=height, width=width), tmp_path)
    assert list(tmp_path.iterdir()) == [checkpoint]
