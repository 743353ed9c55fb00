"""From a file of the published layout to an artifact that gives the golden values."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")
pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError  # noqa: E402  (after the skips)
from model.net.erfnet import BranchedERFNet  # noqa: E402
from model.net.published import as_checkpoint  # noqa: E402
from seedstream.cli import build  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.golden import golden_file, golden_state  # noqa: E402


def published_file(path: Path, number: int) -> Path:
    """Write a data-parallel training's file with the golden weights."""
    golden = dict(np.load(golden_file(f"erfnet_{number}.npz")))
    state = {f"module.{name}": value for name, value in golden_state(golden).items()}
    torch.save({"epoch": 3, "best_iou": np.float64(0.5), "model_state_dict": state}, path)
    return path


def run(*words: str) -> str:
    outcome = CliRunner(env={"COLUMNS": "200"}).invoke(
        build(["import-checkpoint"]), ["import-checkpoint", *words]
    )
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


@pytest.mark.parametrize("number", [0, 1])
def test_the_artifact_gives_the_golden_output(tmp_path: Path, number: int) -> None:
    """The golden inputs are no 8-bit images, so they enter below the scaling of the graph."""
    onnx = pytest.importorskip("onnx")
    import onnxruntime

    golden = np.load(golden_file(f"erfnet_{number}.npz"))
    first, n_classes = golden["heads"].tolist()
    height, width = golden["input"].shape[2:]
    names = ",".join(f"class{k}" for k in range(n_classes))
    output = run(
        *(str(published_file(tmp_path / "published.pth", number)), "--classes", names),
        *("--out", str(tmp_path / "out"), "--input-size", f"{height}x{width}"),
        *("--precision", "float32", "--seed-threshold", "0.8"),
    )
    assert "licence" in output
    folder = tmp_path / "out" / "published" / "1"
    artifact = OnnxEngine(folder, provider="cpu").artifact
    assert (artifact.n_sigma, len(artifact.classes)) == (first - 2, n_classes)
    assert artifact.seed_threshold == 0.8

    model = onnx.load(folder / "model.onnx")
    scaled = next(node for node in model.graph.node if node.op_type == "Mul").output[0]
    inner = onnx.helper.make_tensor_value_info(scaled, onnx.TensorProto.FLOAT, None)
    kept = [node for node in model.graph.node if scaled not in node.output]
    dropped = {"Transpose", "Cast"}
    kept = [node for node in kept if not (node.op_type in dropped and not _ends(node, model))]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(kept)
    model.graph.input.append(inner)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    offset, bandwidth, seed, index = session.run(None, {scaled: golden["input"]})
    expected = golden["output"].astype(np.float64)
    seeds = 1 / (1 + np.exp(-expected[:, first:]))
    np.testing.assert_allclose(offset, np.tanh(expected[:, :2]), atol=1e-4)
    np.testing.assert_allclose(bandwidth, expected[:, 2:first], atol=1e-4)
    np.testing.assert_allclose(seed, seeds.max(axis=1), atol=1e-4)
    assert (index == seeds.argmax(axis=1)).mean() > 0.999


def _ends(node: object, model: object) -> bool:
    """Whether a node makes an output of the graph."""
    outputs = {each.name for each in model.graph.output}  # type: ignore[attr-defined]
    return bool(outputs & set(node.output))  # type: ignore[attr-defined]


def test_the_number_of_class_names_has_to_fit(tmp_path: Path) -> None:
    network = BranchedERFNet([3, 2])
    torch.save({"model_state_dict": network.state_dict()}, tmp_path / "net.pth")
    with pytest.raises(ConfigurationError, match=r"has 2 classes, expected as many names.*'car'"):
        as_checkpoint(tmp_path / "net.pth", ["car"], input_size=[32, 64])
    with pytest.raises(ConfigurationError, match="expected HEIGHTxWIDTH"):
        run(str(tmp_path / "net.pth"), "--classes", "a,b", "--input-size", "32")


def test_multi_class_heads_are_imported_with_their_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BranchedERFNet([3, 8])
    torch.save({"model_state_dict": network.state_dict()}, tmp_path / "net.pth")
    run(
        *(str(tmp_path / "net.pth"), "--classes", "a, b,c,d,e,f,g,h", "--name", "cityscapes"),
        *("--version", "2", "--out", str(tmp_path / "out"), "--input-size", "32x64"),
    )
    artifact = OnnxEngine(tmp_path / "out" / "cityscapes" / "2", provider="cpu").artifact
    assert artifact.classes == tuple("abcdefgh")
    assert artifact.n_sigma == 1
    assert artifact.training_data == "imported from net.pth, origin not stated"
