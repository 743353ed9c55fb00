"""The network and the worker on a GPU, in one command: ``python -m benchmarks.gpu``.

Correctness comes first: what each way of running says about real frames in batches of every size
that is timed, and in those that are padded to them, compared with the CPU's maps of each frame
alone; a way that differs is not timed, and the exit code is 1. Then, for each way and size,
the network alone, network and clustering, bytes of maps that come back, and the whole worker from
JPEG to result (its real stages between memory and memory: no Kafka, no Redis). ``--provider cpu
--quick`` runs all of it in a minute where there is no GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import simplejpeg

from benchmarks.environment import RESULTS, ROOT, describe, result_file
from benchmarks.gpu_maps import Image, differences, is_right
from benchmarks.memory_line import run_line
from contract import artifact_files
from contract.errors import SeedstreamError
from media.videos import Video
from model.export.onnx_file import with_input_size
from segmentation.engines import GpuOptions, Provider, open_engine
from segmentation.engines.onnx import OnnxEngine
from segmentation.segmenter import Fitted, Segmenter
from workers.inference import host_threads

MODEL = ROOT / "artifacts" / "street" / "1"
CLIP = ROOT / "assets" / "vtest_clip.mp4"
SIZES = ((1024, 2048), (512, 1024))
BATCHES = (1, 4, 8)
THREADS = host_threads(len(os.sched_getaffinity(0)), on_gpu=True)
"""Of decoding and of describing, as a worker on a GPU has them here."""

_PACED = 0.7
"""Share of the saturated rate at which latency is measured."""


@dataclass(frozen=True)
class Way:
    """A way to run the network.

    Attributes:
        name: For the table.
        provider: That runs it.
        gpu: How it runs on a GPU.
    """

    name: str
    provider: Provider
    gpu: GpuOptions


def ways(provider: Provider, cache: Path) -> list[Way]:
    """Return the ways to compare: all parts on, and each of them off."""
    if provider not in ("cuda", "tensorrt"):
        return [Way(provider, provider, GpuOptions())]
    return [
        Way("session.run", "cuda", GpuOptions(binding=False)),
        Way("bound", "cuda", GpuOptions(foreground=False)),
        Way("bound, foreground, pageable", "cuda", GpuOptions(page_locked=False)),
        Way("bound, foreground", "cuda", GpuOptions()),
        Way("bound, foreground, graphs", "cuda", GpuOptions(cuda_graphs=True)),
        Way("TensorRT, bound, foreground", "tensorrt", GpuOptions(tensorrt_cache=cache)),
        Way(
            "TensorRT, bound, foreground, graphs",
            "tensorrt",
            GpuOptions(cuda_graphs=True, tensorrt_cache=cache),
        ),
    ]


def real_frames(size: tuple[int, int], count: int) -> list[Image]:
    """Return frames of the clip that ships, scaled to (height, width)."""
    with Video(CLIP) as frames:
        pictures = [each.image for each in islice(frames, count)]
    return [np.asarray(cv2.resize(each, size[::-1]), np.uint8) for each in pictures]


def model_of(size: tuple[int, int], folder: Path) -> Path:
    """Write the model that ships with another declared input size, and return its file."""
    path = folder / f"{size[1]}x{size[0]}.onnx"
    source = onnx.load(MODEL / artifact_files.MODEL_FILE)
    onnx.save(with_input_size(source, size[0], size[1]), path)
    return path


def rate(run: Callable[[], int], seconds: float) -> float:
    """Return how many frames per second ``run`` does, which returns how many it did."""
    run()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += run()
    return done / (time.perf_counter() - began)


def pipelined(segmenter: Segmenter, batch: Sequence[Fitted], seconds: float) -> float:
    """Return frames per second of network and clustering, one beside the other as in the worker."""
    began, done = time.perf_counter(), 0
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(1, "describe") as pool:
        while time.perf_counter() - began < seconds:
            for maps in segmenter.maps(batch):
                waiting.append(pool.submit(segmenter.describe, maps))
            while len(waiting) > 2:  # as the worker's bounded stages
                done += len(waiting.popleft().result())
        while waiting:
            done += len(waiting.popleft().result())
    return done / (time.perf_counter() - began)


def measure(way: Way, model: Path, frames: Sequence[Image], options: argparse.Namespace) -> Any:
    """Return the row of one way on one size: correctness, then figures."""
    began = time.perf_counter()
    engine = open_engine(
        model, way.provider, batch_sizes=options.batches, fixed_size=True, gpu=way.gpu
    )
    engine.warm_up()
    row: dict[str, Any] = {"way": way.name, "size": list(engine.input_size[::-1])}
    row["start_seconds"] = round(time.perf_counter() - began, 2)
    reference = open_engine(model, "cpu", fixed_size=True)
    row |= differences(engine, reference, frames)
    row["right"] = is_right(row)
    del reference
    if not row["right"]:
        return row
    row["batches"] = list(figures(engine, frames, options))
    jpegs = [simplejpeg.encode_jpeg(each, 90) for each in frames]
    best = max(row["batches"], key=lambda each: each["network_and_clustering_fps"])["batch"]
    segmenter = worker_segmenter(engine, best)
    size = engine.input_size
    run = partial(
        run_line,
        *(segmenter, jpegs, size, options.frames),
        batch_size=best,
        decode_threads=THREADS,
    )
    saturated = run()
    paced = run(per_second=_PACED * saturated.fps)
    row["worker"] = {"batch": best, "saturated": asdict(saturated), "paced": asdict(paced)}
    return row


def worker_segmenter(engine: OnnxEngine, batch_size: int) -> Segmenter:
    """Return the segmenter that a worker on a GPU would have."""
    return Segmenter(engine, batch_size=batch_size, threads=THREADS, new_batch=engine.new_batch)


def figures(
    engine: OnnxEngine, frames: Sequence[Image], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each batch size."""
    for size in options.batches:
        memory = engine.new_batch()
        for i in range(size):
            memory[i] = frames[i % len(frames)]
        batch = memory[:size]

        def run(batch: Image = batch) -> int:
            return len(engine.run(batch))

        segmenter = worker_segmenter(engine, size)
        segmenter.warm_up()
        fitted = [segmenter.fit(each) for each in batch]
        network = rate(run, options.seconds)
        both = pipelined(segmenter, [f for f in fitted if isinstance(f, Fitted)], options.seconds)
        said = engine.run(batch)
        maps = (said.offset, said.bandwidth, said.seed, said.class_index)
        dense = sum(each.nbytes for each in maps)
        yield {
            "batch": size,
            "page_locked": engine.page_locked,
            "network_fps": round(network, 2),
            "network_and_clustering_fps": round(both, 2),
            "returned_bytes_per_frame": (engine.returned_bytes or dense) // size,
            "dense_bytes_per_frame": dense // size,
        }


def print_row(row: dict[str, Any]) -> None:
    """Print one row for people."""
    size = "x".join(map(str, row["size"]))
    verdict = "right" if row["right"] else "WRONG, not timed"
    print(
        f"{size} {row['way']}: {verdict} (IoU {row['foreground_iou']}, {row['offset_pixels']} px, "
        f"margins {row['margin_share']:.1%}, classes {row['equal_classes']:.1%}), "
        f"start {row['start_seconds']} s"
    )
    for each in row.get("batches", ()):
        print(
            f"  batch {each['batch']}: network {each['network_fps']} fps, with clustering "
            f"{each['network_and_clustering_fps']} fps, {each['returned_bytes_per_frame']} bytes "
            f"a frame back of {each['dense_bytes_per_frame']}"
        )
    if "worker" in row:
        full, paced = row["worker"]["saturated"], row["worker"]["paced"]
        print(
            f"  worker from JPEG: {full['fps']:.1f} fps; at {_PACED:.0%} of it p95 "
            f"{paced['p95_ms']:.0f} ms"
        )


def gpu_name() -> str:
    """Return what the driver calls the GPU and itself."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write a result; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--provider", choices=["cuda", "cpu", "openvino"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="one small size, a second a figure")
    parser.add_argument(
        "--out", type=result_file, help="result file; default: under benchmarks/results"
    )
    options = parser.parse_args(arguments)
    about = describe() | {"onnxruntime_build": onnxruntime.__version__, "gpu": gpu_name()}
    stamp = str(about["measured_at"])[:19].replace(":", "")
    try:
        path = options.out or result_file(str(RESULTS / f"gpu-{stamp}.json"))
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    options.batches = (1, 2) if options.quick else BATCHES
    options.seconds, options.frames = (0.2, 8) if options.quick else (5.0, 2000)
    sizes = ((192, 256),) if options.quick else SIZES
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="seedstream-gpu-") as folder:
        for size in sizes:
            model = model_of(size, Path(folder))
            frames = real_frames(size, 2 if options.quick else 8)
            for way in ways(options.provider, Path(folder)):
                try:
                    row = measure(way, model, frames, options)
                except SeedstreamError as error:  # TensorRT may be absent; the others go on
                    row = {"way": way.name, "size": list(size[::-1]), "error": str(error)}
                    print(f"{way.name}: {error}", file=sys.stderr)
                else:
                    print_row(row)
                rows.append(row)
    path.write_text(json.dumps(about | {"rows": rows}, indent=2) + "\n")
    print(f"wrote {path}")
    measured = [row for row in rows if "error" not in row]
    return 0 if measured and all(row["right"] for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
