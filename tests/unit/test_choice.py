"""Which provider runs which file, as a table."""

from pathlib import Path
from typing import get_args

import pytest

from contract.artifact import Precision
from contract.errors import ConfigurationError
from segmentation.engines.choice import (
    Device,
    PrecisionWanted,
    Provider,
    choose,
)
from segmentation.engines.processor import processor_features

CPU: dict[Device, str | None] = {"cpu": None}
OPENVINO: dict[Device, str | None] = {"cpu": None, "openvino": None}
GPU: dict[Device, str | None] = {"cpu": None, "cuda": None, "tensorrt": None}
BROKEN: dict[Device, str | None] = {**GPU, "cuda": "ONNX Runtime could not start CUDA (driver)"}
NO_TBB: dict[Device, str | None] = {"cpu": None, "openvino": "could not start OpenVINO: no libtbb"}
VNNI, ARM, OLD = {"avx2", "avx512_vnni"}, {"asimd", "asimddp"}, {"avx2", "avx512f"}
BOTH: tuple[Precision, ...] = ("float16", "int8")
ALL: tuple[Precision, ...] = ("float32", "int8", "float16")


def files(*names: Precision) -> dict[Precision, Path]:
    return {name: Path(f"model.{name}.onnx") for name in names}


@pytest.mark.parametrize(
    ("provider", "precision", "available", "features", "present", "device", "got", "words"),
    [
        # auto: CUDA, else OpenVINO, else the CPU; TensorRT never
        ("auto", "auto", GPU, VNNI, BOTH, "cuda", "float16", ["CUDA is available", "on a GPU"]),
        ("auto", "auto", OPENVINO, VNNI, BOTH, "openvino", "int8", ["OpenVINO is installed"]),
        ("auto", "auto", CPU, VNNI, BOTH, "cpu", "int8", ["no CUDA provider", "avx512_vnni"]),
        ("auto", "auto", BROKEN, VNNI, BOTH, "cpu", "int8", ["could not start CUDA (driver)"]),
        ("auto", "auto", NO_TBB, VNNI, BOTH, "cpu", "int8", ["start OpenVINO: no libtbb"]),
        # what was asked for
        ("cpu", "auto", GPU, OLD, BOTH, "cpu", "float16", ["CPU was asked for", "no fast int8"]),
        ("cuda", "auto", GPU, OLD, BOTH, "cuda", "float16", ["CUDA was asked for"]),
        ("tensorrt", "auto", GPU, VNNI, BOTH, "tensorrt", "float16", ["TensorRT was asked for"]),
        ("openvino", "auto", OPENVINO, OLD, BOTH, "openvino", "float16", ["no fast int8"]),
        # int8 where it is fast and there, and not where it is refused
        ("cpu", "auto", CPU, ARM, BOTH, "cpu", "int8", ["asimddp"]),
        ("cpu", "auto", CPU, {"avx_vnni"}, ALL, "cpu", "int8", ["avx_vnni"]),
        ("cpu", "auto", CPU, OLD, ALL, "cpu", "float16", ["no fast int8"]),
        ("cpu", "auto", CPU, VNNI, ("float32", "float16"), "cpu", "float16", ["has no int8"]),
        ("cpu", "auto", CPU, VNNI, ("float32",), "cpu", "float32", ["float32 alone"]),
        ("cpu", "auto", CPU, OLD, ("int8",), "cpu", "int8", ["int8 alone"]),
        ("cpu", "float16", CPU, VNNI, BOTH, "cpu", "float16", ["float16 was asked for"]),
        ("cpu", "int8", CPU, OLD, BOTH, "cpu", "int8", ["int8 was asked for"]),
        ("cuda", "int8", GPU, OLD, BOTH, "cuda", "int8", ["int8 was asked for"]),
        # a GPU does without int8
        ("cuda", "auto", GPU, VNNI, ("float32", "int8"), "cuda", "float32", ["on a GPU"]),
        ("cuda", "auto", GPU, VNNI, ALL, "cuda", "float16", ["on a GPU"]),
    ],
)
def test_the_provider_and_the_file_are_chosen(
    provider: Provider,
    precision: PrecisionWanted,
    available: dict[Device, str | None],
    features: set[str],
    present: tuple[Precision, ...],
    device: Device,
    got: Precision,
    words: list[str],
) -> None:
    choice = choose(provider, precision, available, features, files(*present))
    assert (choice.provider, choice.precision) == (device, got)
    assert choice.file == Path(f"model.{got}.onnx")
    for word in words:
        assert word in choice.reason
    assert choice.on_gpu == (device in ("cuda", "tensorrt"))


@pytest.mark.parametrize(
    ("provider", "available", "words"),
    [
        ("cuda", CPU, ["provider is 'cuda'", "no CUDA provider", "seedstream[gpu]"]),
        ("openvino", GPU, ["no OpenVINO provider", "seedstream[openvino]"]),
        ("tensorrt", OPENVINO, ["no TensorRT provider", "tensorrt"]),
        ("cuda", BROKEN, ["could not start CUDA (driver)", "'auto' or 'cpu'"]),
    ],
)
def test_a_provider_that_was_asked_for_and_is_unavailable_is_refused_with_advice(
    provider: Provider, available: dict[Device, str | None], words: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose(provider, "auto", available, VNNI, files(*BOTH))
    for word in words:
        assert word in str(caught.value)


def test_a_provider_that_is_installed_but_did_not_start_is_not_to_be_installed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose("cuda", "auto", BROKEN, VNNI, files(*BOTH))
    assert "install" not in str(caught.value)


def test_a_precision_that_the_artifact_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ConfigurationError, match=r"precision is 'float32', .* float16, int8 alone"):
        choose("cpu", "float32", CPU, VNNI, files(*BOTH))


@pytest.mark.parametrize(
    ("precision", "present", "why"),
    [("int8", BOTH, "int8 was asked for"), ("auto", ("int8",), "the artifact has int8 alone")],
)
def test_tensorrt_refuses_int8_before_it_builds_anything(
    precision: PrecisionWanted, present: tuple[Precision, ...], why: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose("tensorrt", precision, GPU, VNNI, files(*present))
    for word in (f"TensorRT shall run int8 ({why})", "symmetric about 0", "'float16' or 'auto'"):
        assert word in str(caught.value)
    assert choose("tensorrt", "float16", GPU, VNNI, files(*BOTH)).precision == "float16"


def test_each_device_can_be_asked_for() -> None:
    assert {*get_args(Provider)} == {"auto", *get_args(Device)}
    assert {*get_args(PrecisionWanted)} == {"auto", *get_args(Precision)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\nflags\t\t: fpu\n", {"avx512_vnni"}),
        ("processor\t: 0\nFeatures\t: fp asimddp i8mm\n", {"asimddp", "i8mm"}),
        ("", set()),
    ],
)
def test_features_of_the_processor_are_read_as_linux_tells_them(
    tmp_path: Path, text: str, expected: set[str]
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert expected <= processor_features(path)
    assert bool(processor_features(path)) == bool(text)


def test_a_machine_without_cpuinfo_has_no_known_features(tmp_path: Path) -> None:
    assert processor_features(tmp_path / "cpuinfo") == frozenset()
