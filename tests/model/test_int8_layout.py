"""A network rewritten for int8 gives the same maps; what does not look as expected stays."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

import onnxruntime  # noqa: E402  (after the skips)
from onnx.parser import parse_model  # noqa: E402

from model.export.calibration import read_pictures  # noqa: E402
from model.export.int8_layout import in_bytes, with_plain_convolutions  # noqa: E402
from model.export.onnx_file import to_float32  # noqa: E402
from tests.street_network import ARTIFACT, CLIP  # noqa: E402

DOUBLING = "strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1], kernel_shape = [3, 3]"


def graph(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    """Return a model of one image (N, C, H, W) with random weights where none are given."""
    model = parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> made (float[N,3,H,W] x) => (float[A,B,C,D] '
        f"y) {{ {text.replace(';', chr(10))} }}"
    )
    made = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    model.graph.initializer.extend(made)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}.{number}"
    onnx.checker.check_model(model, full_check=True)
    return model


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def run(model: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    """Run a model as it stands, without any rewriting by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {session.get_inputs()[0].name: images}))


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
@pytest.mark.parametrize("relu", [False, True])
def test_a_transposed_convolution_becomes_one_of_four_times_the_channels(
    size: tuple[int, int], relu: bool
) -> None:
    last = "u = {}; y = Relu (u)".format if relu else "y = {}".format
    model = graph(last(f"ConvTranspose <{DOUBLING}> (x, w, b)"), w=random(3, 4, 3, 3), b=random(4))
    plain = with_plain_convolutions(model)
    assert kinds(plain) == ["Conv", *(["Relu"] if relu else []), "DepthToSpace"]
    image = random(2, 3, *size)
    (before,), (after,) = run(model, image), run(plain, image)
    assert before.shape == (2, 4, 2 * size[0], 2 * size[1])
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert kinds(model)[0] == "ConvTranspose", "the model that was given is left as it is"


@pytest.mark.parametrize(
    "layer",
    [
        "strides = [2, 2], kernel_shape = [2, 2]",
        "strides = [1, 1], pads = [1, 1, 1, 1], kernel_shape = [3, 3]",
        DOUBLING.replace("output_padding = [1, 1]", "output_padding = [0, 0]"),
        f"{DOUBLING}, group = 3",
        f"{DOUBLING}, dilations = [2, 2]",
    ],
)
def test_other_transposed_convolutions_stay(layer: str) -> None:
    side = 2 if "[2, 2], kernel" in layer else 3
    model = graph(
        f"y = ConvTranspose <{layer}> (x, w, b)",
        w=random(3, 1, side, side),
        b=random(1 + 2 * ("group" in layer)),
    )
    assert with_plain_convolutions(model) == model


def test_a_relu_that_is_not_alone_stays_where_it_is() -> None:
    model = graph(
        f"u = ConvTranspose <{DOUBLING}> (x, w, b); r = Relu (u); y = Add (u, r)",
        w=random(3, 4, 3, 3),
        b=random(4),
    )
    plain = with_plain_convolutions(model)
    assert kinds(plain) == ["Conv", "DepthToSpace", "Relu", "Add"]
    image = random(1, 3, 4, 6)
    np.testing.assert_allclose(run(plain, image)[0], run(model, image)[0], atol=1e-5)


NORMALISED = (
    "c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w, b);"
    "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x);"
    "j = Concat <axis = 1> (c, p);"
    "n = BatchNormalization <epsilon = 0.001> (j, s, o, m, v);"
)
VALUES = {
    "w": random(5, 3, 3, 3),
    "b": random(5),
    # Of some channels the factor is negative: the largest one before is not the largest after.
    **{name: random(8) for name in "som"},
    "v": random(8) ** 2,
}


def test_normalisation_behind_a_concatenation_becomes_part_of_its_convolutions() -> None:
    model = graph(NORMALISED + "y = Relu (n)", **VALUES)
    plain = with_plain_convolutions(model)
    assert sorted(kinds(plain)) == ["Concat", "Conv", "Conv", "MaxPool", "Relu"]
    image = random(2, 3, 6, 8)
    np.testing.assert_allclose(run(plain, image)[0], run(model, image)[0], atol=1e-5)


def test_normalisation_behind_a_concatenation_along_an_axis_of_another_name_stays() -> None:
    text = NORMALISED.replace("axis = 1", "axis = -3") + "y = Relu (n)"
    model = graph(text, **VALUES)
    assert with_plain_convolutions(model) == model


@pytest.mark.parametrize("other", ["c", "p", "j"])
def test_normalisation_of_what_others_take_as_well_stays_or_is_right(other: str) -> None:
    model = graph(NORMALISED + f"r = Relu (n); t = ReduceSum ({other}); y = Add (r, t)", **VALUES)
    plain = with_plain_convolutions(model)
    assert ("BatchNormalization" in kinds(plain)) == (other != "p")
    image = random(2, 3, 6, 8)
    np.testing.assert_allclose(run(plain, image)[0], run(model, image)[0], atol=1e-4)


BYTES = {"s": np.float32(0.02), "z": np.uint8(0)}


def test_values_are_moved_compared_and_joined_as_bytes() -> None:
    model = graph(
        "q = QuantizeLinear (x, s, z); d = DequantizeLinear (q, s, z);"
        "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d);"
        "c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (d, w);"
        "j = Concat <axis = 1> (c, p); r = Relu (j);"
        "k = QuantizeLinear (r, t, z); y = DequantizeLinear (k, t, z)",
        w=random(5, 3, 3, 3),
        t=np.float32(0.03),
        **BYTES,
    )
    moved = in_bytes(model)
    assert "Relu" not in kinds(moved)
    gives = {name: node.op_type for node in moved.graph.node for name in node.output}
    for node in moved.graph.node:
        if node.op_type in ("MaxPool", "Concat"):
            assert {gives[name] for name in node.input} == {"QuantizeLinear"}, node.op_type
    image = random(2, 3, 6, 8)
    np.testing.assert_array_equal(run(moved, image)[0], run(model, image)[0])


@pytest.mark.parametrize("zero", [np.uint8(3), np.int8(0)])
def test_a_relu_that_quantising_does_not_do_stays(zero: np.generic) -> None:
    model = graph(
        "j = Concat <axis = 1> (x, x); r = Relu (j);"
        "k = QuantizeLinear (r, s, z); y = DequantizeLinear (k, s, z)",
        s=np.float32(0.02),
        z=np.asarray(zero),
    )
    assert in_bytes(model) == model


def test_one_value_that_is_joined_with_itself_is_quantised() -> None:
    model = graph(
        "j = Concat <axis = 1> (x, x); r = Relu (j);"
        "k = QuantizeLinear (r, s, z); y = DequantizeLinear (k, s, z)",
        **BYTES,
    )
    moved = in_bytes(model)
    assert kinds(moved) == ["QuantizeLinear", "QuantizeLinear", "Concat", "DequantizeLinear"]
    image = random(1, 3, 4, 4)
    np.testing.assert_array_equal(run(moved, image)[0], run(model, image)[0])


def test_what_dequantised_values_go_to_besides_is_served() -> None:
    model = graph(
        "q = QuantizeLinear (x, s, z); d = DequantizeLinear (q, s, z);"
        "p = MaxPool <kernel_shape = [1, 1]> (d); y = Add (p, d)",
        **BYTES,
    )
    moved = in_bytes(model)
    assert kinds(moved).count("DequantizeLinear") == 2
    image = random(1, 3, 4, 4)
    np.testing.assert_array_equal(run(moved, image)[0], run(model, image)[0])


def test_the_shipped_network_gives_the_same_maps() -> None:
    wide = to_float32(onnx.load(ARTIFACT / "model.onnx"))
    plain = with_plain_convolutions(wide)
    assert "BatchNormalization" not in kinds(plain)
    assert kinds(plain).count("ConvTranspose") == 2, "the decoders' last layers"
    assert kinds(plain).count("DepthToSpace") == 4
    pictures = read_pictures(CLIP, 384, 512, 1)
    for name, before, after in zip(
        ("offset", "bandwidth", "seed"), run(wide, pictures), run(plain, pictures), strict=False
    ):
        np.testing.assert_allclose(after, before, atol=2e-5, err_msg=name)
