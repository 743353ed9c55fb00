"""What each provider is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.artifact import Artifact
from segmentation.engines.gpu_options import GpuOptions
from segmentation.engines.model_graph import ModelGraph
from segmentation.engines.sessions import (
    Tuning,
    available_devices,
    cuda_options,
    openvino_options,
    tensorrt_options,
)

GRAPH = ModelGraph(
    Artifact(
        name="street",
        version="1",
        classes=("person",),
        height=384,
        width=512,
        grid_step=(0.001, 0.001),
        n_sigma=1,
        weights_sha256="",
    ),
    sizes_vary=True,
)


def openvino(features: set[str], **tuning: Any) -> dict[str, str]:
    options = openvino_options(features, Tuning(**tuning))
    assert options["device_type"] == "CPU"
    settings: dict[str, str] = json.loads(options["load_config"])["CPU"]
    return settings


def test_openvino_keeps_to_the_threads_that_are_set() -> None:
    assert openvino(set(), threads=3)["INFERENCE_NUM_THREADS"] == "3"
    assert "INFERENCE_NUM_THREADS" not in openvino(set())


def test_openvino_gives_each_image_a_stream_where_they_run_side_by_side() -> None:
    beside = openvino(set(), threads=3, side_by_side=3)
    assert (beside["NUM_STREAMS"], beside["INFERENCE_NUM_THREADS"]) == ("3", "3")
    assert beside["PERFORMANCE_HINT"] == "THROUGHPUT"
    alone = openvino(set(), threads=3)
    assert (alone["NUM_STREAMS"], alone["PERFORMANCE_HINT"]) == ("1", "LATENCY")


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16"])
def test_openvino_computes_in_bfloat16_where_the_processor_does(feature: str) -> None:
    assert openvino({"avx2", feature})["INFERENCE_PRECISION_HINT"] == "bf16"
    assert "INFERENCE_PRECISION_HINT" not in openvino({"avx2"})


def test_tensorrt_prepares_for_every_batch_size_and_keeps_what_it_built() -> None:
    options = tensorrt_options(
        GRAPH, Tuning(largest_batch=8, gpu=GpuOptions(tensorrt_cache=Path("/cache")))
    )
    assert options["trt_profile_min_shapes"] == "images:1x384x512x3"
    assert options["trt_profile_max_shapes"] == "images:8x384x512x3"
    assert Path(options["trt_engine_cache_path"]).parent == Path("/cache")
    assert options["trt_engine_cache_enable"] == "1"
    assert "trt_engine_cache_enable" not in tensorrt_options(GRAPH, Tuning())


def test_engines_of_other_weights_or_another_size_lie_in_another_folder() -> None:
    tuning = Tuning(largest_batch=8, gpu=GpuOptions(tensorrt_cache=Path("/cache")))

    def folder(batch: int = 8, **changes: Any) -> str:
        graph = replace(GRAPH, artifact=msgspec.structs.replace(GRAPH.artifact, **changes))
        options = tensorrt_options(graph, replace(tuning, largest_batch=batch))
        return options["trt_engine_cache_path"]

    folders = [
        folder(weights_sha256="1" * 64),
        folder(weights_sha256="2" * 64),
        folder(weights_sha256="1" * 64, height=512),
        folder(weights_sha256="1" * 64, batch=4),
    ]
    assert len({*folders}) == len(folders)


def test_cuda_graphs_are_off_unless_asked_for() -> None:
    assert cuda_options(Tuning())["enable_cuda_graph"] == "0"
    assert cuda_options(Tuning(gpu=GpuOptions(cuda_graphs=True)))["enable_cuda_graph"] == "1"


def test_the_installed_runtime_runs_on_the_cpu() -> None:
    assert available_devices()["cpu"] is None
