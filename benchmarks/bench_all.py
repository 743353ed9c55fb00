"""All benchmarks, one after the other in one run, as one table: ``make bench``.

A figure is a ratio or a share, measured side by side by its benchmark, so that it can be compared
between machines. Each is held against its bar, where there is one, and against the last committed
result that has it: worse by more than `TOLERANCE` counts as a regression, and the command ends with
exit status 1. ``--quick`` runs less of everything and keeps no result files: to see that all work.

Run: ``python -m benchmarks.bench_all [--quick] [--only NAME ...]``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.environment import RESULTS, RESULTS_VARIABLE, ROOT, describe

TOLERANCE = 0.15
"""Part by which a figure may be worse than before: ratios of one run differ by as much."""

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A number out of a benchmark's result.

    Attributes:
        name: What people read.
        path: Keys that lead to it in the result file.
        better: Which way is better.
        bar: The bound that it shall keep, None for none.
        needs: Without it there is no such figure.
    """

    name: str
    path: tuple[str, ...]
    better: Literal["higher", "lower"] = "higher"
    bar: float | None = None
    needs: Path | None = None

    def of(self, result: Result) -> float | None:
        """Return it, None where the result does not have it."""
        value: Any = result
        for key in self.path:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return float(value)

    def meets_bar(self, value: float) -> bool | None:
        """Return whether the bar is kept, None without one."""
        if self.bar is None:
            return None
        return value >= self.bar if self.better == "higher" else value <= self.bar

    def is_regression(self, now: float, before: float) -> bool:
        """Return whether it is worse than before by more than the tolerance."""
        if self.better == "higher":
            return now < before * (1 - TOLERANCE)
        return now > before * (1 + TOLERANCE)


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: Its result files are ``NAME-TIME.json``.
        module: In this package.
        figures: What is taken out of the result.
        arguments: Of the command.
        quick: The same for a quick run.
        needs: Data without which it is left out.
        further: Arguments that are given as well where this folder is there.
    """

    name: str
    module: str
    figures: tuple[Figure, ...]
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs: Path | None = None
    further: tuple[Path, tuple[str, ...]] | None = None

    def command(self, quick: bool) -> list[str]:
        """Return the command that runs it."""
        arguments = self.quick if quick else self.arguments
        if self.further is not None and self.further[0].exists():
            arguments += self.further[1]
        return [sys.executable, "-m", f"benchmarks.{self.module}", *arguments]


OPENVINO = Path(sys.prefix) / "openvino"
"""Where `make setup` installs it: it is another build of the same module as ONNX Runtime."""

_PUBLISHED = "published, foreground"

BENCHMARKS = (
    Benchmark(
        "worker",
        "bench_worker",
        (
            Figure("whole worker / published way", ("ratios", "default / published way"), bar=3.5),
            Figure(
                "whole worker / float16, batch 1", ("ratios", "default / float16, batch 1"), bar=1.8
            ),
            Figure(
                "worker with OpenVINO / published way",
                ("ratios", "OpenVINO / published way"),
                bar=5,
                needs=OPENVINO,
            ),
            Figure(
                "worker with OpenVINO / float16, batch 1",
                ("ratios", "OpenVINO / float16, batch 1"),
                bar=2.8,
                needs=OPENVINO,
            ),
        ),
        quick=("--frames", "64", "--rounds", "1"),
        further=(OPENVINO, ("--openvino", str(OPENVINO))),
    ),
    Benchmark(
        "preview",
        "bench_preview",
        (Figure("worker, two cameras watched / none", ("ratios", "watched / nobody"), bar=0.97),),
        quick=("--frames", "48", "--rounds", "1"),
    ),
    Benchmark(
        "clustering",
        "bench_clustering",
        (
            Figure(
                "published clustering / ours, 30 objects",
                ("ratios", "30", f"{_PUBLISHED} / ours"),
                bar=25,
            ),
            Figure(
                "the same, both with tanh",
                ("ratios", "30", f"{_PUBLISHED} + tanh / ours + tanh"),
                bar=25,
            ),
            Figure("clustering, 300 / 10 objects", ("ours, 300 / 10 instances",), "lower", bar=1.3),
        ),
        quick=("--rounds", "1"),
    ),
    Benchmark(
        "stages",
        "bench_stages",
        (
            Figure(
                "network of 2 ms waits, share", ("saturated", "network_waits_share"), "lower", 0.1
            ),
            Figure("two workers / one", ("two against one",), bar=1.9),
            Figure("p95 at 70 % / its bar", ("latency", "p95_of_bar"), "lower", 1.0),
        ),
        quick=("--frames", "400", "--seconds", "0.005", "--slow", "0.1"),
    ),
    Benchmark(
        "producer",
        "bench_producer",
        (
            Figure("producer / decode and encode alone", ("h264_ratio",), bar=0.85),
            Figure("MJPEG passed on / re-encoded", ("pass_on_ratio",), "lower", 0.15),
        ),
        quick=("60", "1"),
    ),
    Benchmark(
        "masks",
        "bench_masks",
        (Figure("one mask of a 4K frame, box / whole", ("walker_box_share",), "lower"),),
    ),
    Benchmark(
        "loss",
        "bench_loss",
        (Figure("straightforward loss / ours", ("speed_up",)),),
        quick=("--side", "256", "--instances", "10", "--repeats", "1"),
    ),
    Benchmark(
        "tracking",
        "bench_tracking",
        (
            Figure(
                "tracking, last / first tenth of 100,000 frames",
                ("long", "last / first"),
                "lower",
                1.15,
            ),
        ),
        arguments=("--no-street",),
        quick=("--no-street", "--frames", "2000"),
    ),
    Benchmark(
        "train",
        "bench_train",
        (
            Figure(
                "training step outside the network, share", ("share_not_in_the_network",), "lower"
            ),
        ),
        quick=("--steps", "4"),
        needs=ROOT.parent / "shared" / "data" / "nuclei",
    ),
)


def committed_results(name: str) -> list[Result]:
    """Return the committed results of a benchmark, the newest first."""
    listed = subprocess.run(
        ["git", "ls-files", f"benchmarks/results/{name}-2*.json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [json.loads((ROOT / path).read_text()) for path in sorted(listed, reverse=True)]


def last_value(figure: Figure, results: Sequence[Result]) -> float | None:
    """Return a figure of the newest result that has it."""
    values = (figure.of(result) for result in results)
    return next((value for value in values if value is not None), None)


def run(benchmark: Benchmark, quick: bool, folder: Path) -> Result | None:
    """Run a benchmark and return the result that it wrote; None if it failed."""
    command = benchmark.command(quick)
    before = set(folder.glob(f"{benchmark.name}-2*.json"))
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {RESULTS_VARIABLE: str(folder)})
    written = set(folder.glob(f"{benchmark.name}-2*.json")) - before
    if done.returncode != 0 or not written:
        return None
    return dict(json.loads(max(written).read_text()))


def row(figure: Figure, now: float | None, before: float | None) -> tuple[str, ...]:
    """Return the cells of one figure: name, now, bar, before, now / before, what is to be said."""
    if now is None:
        return (figure.name, "-", _number(figure.bar), _number(before), "-", "failed")
    said = []
    if figure.meets_bar(now) is False:
        said.append("misses the bar")
    if before is not None and figure.is_regression(now, before):
        said.append("REGRESSION")
    change = "-" if not before else f"{now / before:.2f}"
    return (
        figure.name, _number(now), _number(figure.bar), _number(before), change, ", ".join(said),
    )  # fmt: skip


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table."""
    head = ("figure", "now", "bar", "last committed", "now / last", "")
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def main() -> None:
    """Run all, print the table, and say by the exit status whether anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="run less, keep no result files")
    names = [each.name for each in BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, help="these benchmarks alone")
    options = parser.parse_args()
    about = describe()
    rows, bad = [], False
    with tempfile.TemporaryDirectory(prefix="seedstream-bench-") as scratch:
        folder = Path(scratch) if options.quick else RESULTS
        for benchmark in BENCHMARKS:
            if options.only and benchmark.name not in options.only:
                continue
            if benchmark.needs is not None and not benchmark.needs.exists():
                print(f"{benchmark.name}: left out, {benchmark.needs} is not there", flush=True)
                continue
            print(f"== {benchmark.name}", flush=True)
            earlier = committed_results(benchmark.name)
            result = run(benchmark, options.quick, folder)
            for figure in benchmark.figures:
                if figure.needs is not None and not figure.needs.exists():
                    print(f"{figure.name}: left out, {figure.needs} is not there", flush=True)
                    continue
                now = None if result is None else figure.of(result)
                rows.append(row(figure, now, last_value(figure, earlier)))
                bad |= now is None or "REGRESSION" in rows[-1][-1]
    print(f"\n{about['processor']}, {about['cores']} cores, commit {about['commit']}, load before "
          f"{about['load_before']}{', quick' if options.quick else ''}\n")  # fmt: skip
    print(table(rows))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
