"""What tiles of variable size cost beside fixed ones, and what a variable input costs by itself.

``python -m benchmarks.bench_tile_sizes``: on the CPU, the same weights in two files: the input's
size fixed, and variable. Each pair is timed by turns, since other processes may share the cores:
the ratio is the median over the pairs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.bench_tiles import CLIP, DATA, NUCLEI, STREET, TEN, Row, by_size, table, untiled
from benchmarks.environment import RESULTS, describe
from contract import artifact_files
from media.videos import Video
from model.data.open import open_data_set
from model.export.onnx_file import with_variable_size
from segmentation.engines import open_engine
from segmentation.engines.onnx import OnnxEngine
from segmentation.letterbox import Resize
from segmentation.segmenter import Segmenter

PAIRS = 5
LETTERBOXED_PAIRS = 30
SIZES = ((384, 512), (520, 696), (768, 1024), (1024, 1024), (2160, 3840))


def variable(model: Path, folder: Path) -> OnnxEngine:
    """Return an engine of the same weights whose input is of any size."""
    path = folder / "variable.onnx"
    onnx.save(with_variable_size(onnx.load(model / artifact_files.MODEL_FILE)), path)
    return open_engine(path, "cpu")


def by_turns(
    one: Callable[[], object], other: Callable[[], object], pairs: int
) -> tuple[float, float, float]:
    """Return the least seconds of each, and the median of the other's by the one's."""
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        for k in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            (one, other)[k]()
            spent[k].append(time.perf_counter() - began)
    return min(spent[0]), min(spent[1]), float(np.median(np.divide(spent[1], spent[0])))


def compare(
    name: str,
    model: Path,
    image: NDArray[np.uint8],
    resize: Resize,
    pairs: int,
    folder: Path,
) -> Row:
    """Time one frame with both files."""
    artifact = open_engine(model, "cpu").artifact
    fixed = Segmenter(untiled(model, (artifact.height, artifact.width), folder), resize=resize)
    varied = Segmenter(variable(model, folder), resize=resize)
    for segmenter in (fixed, varied):
        segmenter.segment([image])
    a, b, ratio = by_turns(lambda: fixed.segment([image]), lambda: varied.segment([image]), pairs)
    return {
        "frame": name,
        "model": artifact.name,
        "resize": resize,
        "fixed tiles": fixed.tiles(image.shape[:2]),
        "variable tiles": varied.tiles(image.shape[:2]),
        "fixed seconds": round(a, 3),
        "variable seconds": round(b, 3),
        "ratio by turns": round(ratio, 3),
    }


def of_size(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a frame of a size, made of copies of a smaller one."""
    times = -(-size[0] // frame.shape[0]), -(-size[1] // frame.shape[1])
    return np.ascontiguousarray(np.tile(frame, (*times, 1))[: size[0], : size[1]])


def memory(model: Path, sizes: Sequence[tuple[int, int]]) -> list[Row]:
    """Return how much memory a process takes more for one run of a tile, each in its own."""
    rows = []
    for height, width in sizes:
        command = [sys.executable, "-m", "benchmarks.bench_tile_sizes", str(model)]
        done = subprocess.run(
            [*command, str(height), str(width)],
            env=os.environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        rows.append(
            {
                "tile": f"{width}x{height}",
                "megapixels": round(height * width / 1e6, 2),
                "MB more than before the run": round(float(done.stdout.split()[-1])),
            }
        )
    return rows


def run_once(model: Path, size: tuple[int, int]) -> float:
    """Return the MB by which the process grows with one run of a tile."""
    engine = open_engine(model, "cpu")
    picture = np.random.default_rng(0).integers(0, 255, (1, *size, 3), np.uint8)
    before = _peak()
    engine.run(picture)
    return _peak() - before


def _peak() -> float:
    """Most memory of this process so far in MB; getrusage also counts what it was forked from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Measure, print and keep."""
    if len(sys.argv) == 4:
        print(run_once(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3]))))
        return
    about = describe()
    with Video(CLIP) as video:
        frame = next(iter(video)).image
    nuclei = by_size(open_data_set(DATA, layout="label-maps", split="validation"))[TEN][0].image
    with tempfile.TemporaryDirectory(prefix="seedstream-bench-") as name:
        folder = Path(name)
        rows = [
            compare("768x576", STREET, frame, "letterbox", LETTERBOXED_PAIRS, folder),
            compare("696x520", NUCLEI, nuclei, "letterbox", LETTERBOXED_PAIRS, folder),
            compare("696x520", NUCLEI, nuclei, "tile", PAIRS, folder),
            compare("1920x1080", STREET, of_size(frame, (1080, 1920)), "tile", PAIRS, folder),
            compare("3840x2160", STREET, of_size(frame, (2160, 3840)), "tile", PAIRS, folder),
        ]
        variable(STREET, folder)
        grown = memory(folder / "variable.onnx", SIZES)
    text = f"## Cost of a frame\n\n{table(rows)}\n\n## Memory of one run\n\n{table(grown)}"
    print(text)
    moment = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"tile-sizes-{moment}.json").write_text(
        json.dumps({**about, "cost": rows, "memory": grown}, indent=1) + "\n"
    )
    (RESULTS / "tile-sizes.md").write_text(
        f"# Tiles of variable size\n\n{text}\n\ntile-sizes-{moment}.json has the machine and the "
        "versions. *ratio by turns*: variable by fixed, the median of pairs, while other processes "
        "shared the cores; seconds are the least.\n"
    )


if __name__ == "__main__":
    main()
