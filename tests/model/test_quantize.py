"""An int8 file for the shipped street network, by NNCF, on few pictures."""

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")
if importlib.util.find_spec("nncf") is None:  # not imported here: with its telemetry it would be
    pytest.skip("the workshop's extra `train` is not installed", allow_module_level=True)

from contract.artifact_files import check_file  # noqa: E402  (after the skips)
from contract.errors import ConfigurationError  # noqa: E402
from model.export import int8_file  # noqa: E402
from model.export.calibration import read_pictures  # noqa: E402
from model.export.exporter import ExportError  # noqa: E402
from model.export.int8_file import add_int8, losses  # noqa: E402
from model.export.int8_graph import to_int8  # noqa: E402
from model.export.onnx_file import opset_faults, to_float32  # noqa: E402
from model.export.quantizer import quantize_artifact  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from tests.made_data import write_discs  # noqa: E402
from tests.street_network import ARTIFACT, CLIP  # noqa: E402


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return read_pictures(CLIP, 384, 512, 9)


@pytest.fixture(scope="module")
def quantised(pictures: np.ndarray) -> bytes:
    """The int8 graph, made once for all tests of this file."""
    model = to_int8(to_float32(onnx.load(ARTIFACT / "model.onnx")), pictures[:6])
    return bytes(model.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path, quantised: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped artifact's float16 file, alone."""
    monkeypatch.setattr(int8_file, "to_int8", lambda *_: onnx.load_from_string(quantised))
    folder = tmp_path / "street" / "1"
    folder.mkdir(parents=True)
    shutil.copyfile(ARTIFACT / "model.onnx", folder / "model.onnx")
    return folder


def test_float16_widened_to_float32_computes_the_same(tmp_path: Path, pictures: np.ndarray) -> None:
    source = onnx.load(ARTIFACT / "model.onnx")
    wide = to_float32(source)
    assert not [t for t in wide.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert [n.op_type for n in wide.graph.node].count("Cast") == 2, "pixels in, class index out"
    onnx.save(wide, tmp_path / "wide.onnx")
    one = OnnxEngine(ARTIFACT / "model.onnx", provider="cpu").run(pictures[:1])
    other = OnnxEngine(tmp_path / "wide.onnx", provider="cpu").run(pictures[:1])
    np.testing.assert_allclose(one.offset, other.offset, atol=1e-4)
    np.testing.assert_allclose(one.seed, other.seed, atol=1e-3)


def test_int8_reports_to_nobody_and_uses_standard_operators_alone(quantised: bytes) -> None:
    assert sys.modules["openvino_telemetry"] is None
    model = onnx.load_from_string(quantised)
    assert opset_faults(model) == []
    types = [node.op_type for node in model.graph.node]
    assert types.count("QuantizeLinear") > 100
    assert len(quantised) < 3_000_000


def test_processors_compute_all_of_an_int8_file_in_bytes(tmp_path: Path, quantised: bytes) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3  # that it is made for this processor
    onnxruntime.InferenceSession(quantised, options, providers=["CPUExecutionProvider"])
    types = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert types.count("QLinearConv") > 90
    assert types.count("ConvTranspose") == 2, "the decoders' last layers"
    assert not {"Conv", "BatchNormalization", "MaxPool"} & set(types)


def test_an_int8_file_is_proved_measured_and_listed_beside_the_first(
    folder: Path, pictures: np.ndarray
) -> None:
    main = (folder / "model.onnx").read_bytes()
    asked: list[str] = []

    def measure(file: Path) -> Mapping[str, float]:
        asked.append(file.name)
        return {"recall_at_iou_0.5": 0.9}

    comparison = add_int8(folder, pictures, measure)
    assert comparison.mean_iou > 0.9
    assert comparison.instances > 10
    assert sorted(asked) == ["model.int8.onnx", "model.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("model.int8.onnx", "model.json", "model.onnx")
    ]
    card = check_file(folder)
    [int8] = card.further
    assert card.precision == "float16"
    assert (folder / "model.onnx").read_bytes() == main
    assert int8.accuracy == {"recall_at_iou_0.5": 0.9}
    assert int8.comparison == comparison.figures()
    engine = OnnxEngine(folder / "model.int8.onnx", provider="cpu")
    assert engine.artifact.precision == "int8"
    assert engine.artifact.seed_threshold == card.seed_threshold
    again = add_int8(folder, pictures)
    assert again == comparison, "an int8 file that is there is replaced"


def test_an_int8_file_that_is_worse_is_left_out(folder: Path, pictures: np.ndarray) -> None:
    def measure(file: Path) -> Mapping[str, float]:
        return {"ap": 0.9 if file.name == "model.onnx" else 0.8}

    with pytest.raises(ExportError, match=r"ap is 0\.8000 with int8, 0\.9000 .* at most 0\.005"):
        add_int8(folder, pictures, measure)
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]


def test_of_a_data_set_the_pictures_to_learn_from_calibrate_and_no_label_map(
    tmp_path: Path,
) -> None:
    data = write_discs(tmp_path / "discs", count=12)
    read = read_pictures(data, 64, 64, 99)
    assert len(read) < 12, "those to validate on are left out"
    originals = [cv2.imread(str(path))[..., ::-1] for path in sorted((data / "images").iterdir())]
    assert all(any(np.array_equal(one, each) for each in originals) for one in read)


def test_too_few_pictures_or_an_int8_artifact_are_refused(
    folder: Path, tmp_path: Path, pictures: np.ndarray
) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), pictures[0])
    with pytest.raises(ConfigurationError, match="1 real pictures to calibrate on, expected at"):
        quantize_artifact(folder, [tmp_path / "one.png"], None)
    add_int8(folder, pictures)
    with pytest.raises(ConfigurationError, match="its weights are int8 already"):
        add_int8(folder / "model.int8.onnx", pictures)


def test_the_first_figure_recall_and_precision_may_lose_half_a_point() -> None:
    before = {"ap": 0.9, "recall_at": 0.8, "precision_at": 0.7, "ap_at_0.9": 0.5}
    assert losses(before, {"ap": 0.896, "recall_at": 0.9, "precision_at": 0.7}) == []
    worse = losses(before, {"ap": 0.894, "recall_at": 0.79, "ap_at_0.9": 0.1})
    assert [line.split()[0] for line in worse] == ["ap", "recall_at", "precision_at"]
