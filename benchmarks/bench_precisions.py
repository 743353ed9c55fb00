"""What each file of an artifact costs on the CPU: ONNX Runtime and OpenVINO, by turns.

``python -m benchmarks.bench_precisions MODEL --pictures P``: the network alone, one picture at a
time, in sessions of the providers that the environment has: ONNX Runtime's own, and OpenVINO where
``onnxruntime-openvino`` is installed (it has both). All are timed by turns, since other processes
may share the cores: the ratio to ``model.onnx`` on ONNX Runtime is the median over the rounds.
Foreground is where the seed score is above a half; its IoU is with that of ``model.onnx``.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.environment import RESULTS, describe
from contract import artifact as contract
from contract.artifact_files import find_files, read_card
from model.export.calibration import read_pictures
from segmentation.cluster import FOREGROUND_THRESHOLD

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"
HINTS = ("f32", "bf16")
"""What OpenVINO computes layers in that are not int8."""

Row = dict[str, object]


@dataclass(frozen=True)
class Candidate:
    """One file in one session.

    Attributes:
        file: Label of the file.
        engine: Label of the engine.
        session: An ``onnxruntime.InferenceSession``.
    """

    file: str
    engine: str
    session: Any

    def run(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return the foreground of one picture, uint8 (H, W, 3)."""
        [seed] = self.session.run([contract.SEED], {contract.INPUT: picture[None]})
        return np.asarray(seed[0] > FOREGROUND_THRESHOLD)


def candidates(files: dict[str, Path], size: tuple[int, int], threads: int) -> list[Candidate]:
    """Open every file with every engine of this environment; the reference comes first."""
    found = []
    for label, path in files.items():
        found.append(Candidate(label, "ONNX Runtime", _open(path, CPU, {}, threads)))
        if OPENVINO not in onnxruntime.get_available_providers():
            continue
        for hint in HINTS:
            settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": hint}
            if threads:
                settings["INFERENCE_NUM_THREADS"] = threads
            options = {
                "device_type": "CPU",
                "load_config": json.dumps({"CPU": settings}),
                "reshape_input": f"{contract.INPUT}[1,{size[0]},{size[1]},3]",
            }
            session = _open(path, OPENVINO, options, threads)
            found.append(Candidate(label, f"OpenVINO {hint}", session))
    return found


def _open(path: Path, provider: str, options: dict[str, str], threads: int) -> Any:
    session = onnxruntime.SessionOptions()
    session.log_severity_level = 3
    session.intra_op_num_threads = threads
    opened = onnxruntime.InferenceSession(str(path), session, providers=[(provider, options)])
    if opened.get_providers()[0] != provider:
        raise RuntimeError(f"{path}: {provider} did not start")
    return opened


def measure(those: list[Candidate], pictures: NDArray[np.uint8], rounds: int) -> list[Row]:
    """Run all candidates by turns; a row each."""
    reference = [those[0].run(picture) for picture in pictures]
    ious = []
    for each in those:
        found = [each.run(picture) for picture in pictures]
        both = sum(int((a & b).sum()) for a, b in zip(reference, found, strict=True))
        either = sum(int((a | b).sum()) for a, b in zip(reference, found, strict=True))
        ious.append(both / max(either, 1))
    spent = np.empty((rounds, len(those)))
    for number in range(rounds):
        order = range(len(those)) if number % 2 else reversed(range(len(those)))
        for k in order:
            began = time.perf_counter()
            those[k].run(pictures[number % len(pictures)])
            spent[number, k] = (time.perf_counter() - began) * 1e3
    ratios = np.median(spent / spent[:, :1], axis=0)
    return [
        {
            "file": each.file,
            "engine": each.engine,
            "least ms": round(float(spent[:, k].min()), 1),
            "median ms": round(float(np.median(spent[:, k])), 1),
            "ratio by turns": round(float(ratios[k]), 3),
            "foreground IoU": round(ious[k], 4),
        }
        for k, each in enumerate(those)
    ]


def table(rows: list[Row]) -> str:
    """Return rows as a table in Markdown."""
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(str(row[name]) for name in head)} |" for row in rows])


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder NAME/VERSION of an artifact")
    parser.add_argument("--pictures", type=Path, required=True, help="video, folder or data set")
    parser.add_argument("--count", type=int, default=16, help="pictures")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves it to the engine")
    parser.add_argument("--other", action="append", default=[], metavar="LABEL=FILE")
    arguments = parser.parse_args()
    about = describe()
    card = read_card(arguments.model)
    files = {str(precision): path for precision, path in find_files(arguments.model).items()}
    files |= {label: Path(file) for label, _, file in (o.partition("=") for o in arguments.other)}
    size = card.height, card.width
    pictures = read_pictures(arguments.pictures, *size, arguments.count)
    rows = measure(candidates(files, size, arguments.threads), pictures, arguments.rounds)
    print(f"{card.name}/{card.version}, {size[0]}x{size[1]}\n\n{table(rows)}")
    figures = {card.precision: card.accuracy, **{f.precision: f.accuracy for f in card.further}}
    moment = str(about["measured_at"])[:19].replace(":", "")
    name = f"precisions-{card.name}-{moment}.json"
    document = {
        **about,
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "vnni": "avx512_vnni" in Path("/proc/cpuinfo").read_text(),
        "load_after": round(os.getloadavg()[0], 2),
        "model": f"{card.name}/{card.version}",
        "bytes": {label: path.stat().st_size for label, path in files.items()},
        "accuracy": figures,
        "rows": rows,
    }
    (RESULTS / name).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
