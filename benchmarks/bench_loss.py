"""The loss against a straightforward loop over the instances, written from the paper.

Both take the same batch (40 instances of a picture at 512x512, batch 4), forward and backward, in
turn in one process; peak memory is measured in a process of its own for each, above what the
batch itself takes. Both must give the same loss and gradient.

Run: ``python -m benchmarks.bench_loss``; it prints a table, writes a JSON file and adds a line to
``benchmarks/results/loss.md``.

Letters: B batch, H, W, I instances of a picture, P pixels.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.environment import RESULTS, describe
from model.net.loss import SpatialEmbeddingLoss
from model.net.plain_loss import plain_loss

N_SIGMA = 2
Batch = tuple[Tensor, Tensor, Tensor]
Method = Callable[[Tensor, Tensor, Tensor], Tensor]


def make_batch(batch: int, side: int, instances: int, seed: int = 0) -> Batch:
    """Return a prediction as in mid-training, instances (ellipses) and labels, one class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    maps = np.zeros((batch, side, side), np.int64)
    for picture in maps:
        for number in range(1, instances + 1):
            cx, cy = rng.uniform(0, side, 2)
            a, b = rng.uniform(side / 28, side / 11, 2)
            picture[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = number
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(batch, 2 + N_SIGMA + 1, side, side, generator=generator)
    prediction[:, :2] *= 0.01
    prediction[:, 2 : 2 + N_SIGMA] = 0.75 + 0.03 * prediction[:, 2 : 2 + N_SIGMA]
    found = torch.from_numpy(maps)
    return prediction, found, (found > 0).long()


def straightforward(prediction: Tensor, instances: Tensor, labels: Tensor) -> Tensor:
    """Return the loss as the paper writes it."""
    terms = plain_loss(prediction, instances, labels, n_sigma=N_SIGMA, to_center=False)
    return terms.instance + 10 * terms.variance + terms.seed


def run(method: Method, batch: Batch) -> tuple[float, Tensor, float]:
    """Return loss, gradient and seconds of forward and backward."""
    prediction = batch[0].clone().requires_grad_()
    began = time.monotonic()
    loss = method(prediction, *batch[1:])
    loss.backward()  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - began
    assert prediction.grad is not None
    return loss.item(), prediction.grad, seconds


def peak_megabytes(name: str, arguments: argparse.Namespace) -> float:
    """Return the growth of a fresh process's peak memory by one forward and backward."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure_peak, args=(name, vars(arguments), theirs))
    process.start()
    peak = float(ours.recv())
    process.join()
    return peak


def _measure_peak(name: str, arguments: dict[str, int], pipe: Connection) -> None:
    torch.set_num_threads(arguments["threads"])
    method = METHODS[name]
    run(method, make_batch(1, 64, 3))  # what the first call loads
    batch = make_batch(arguments["batch"], arguments["side"], arguments["instances"])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (proc(5))
    before = _status_kilobytes("VmRSS")
    run(method, batch)
    pipe.send((_status_kilobytes("VmHWM") - before) / 1024)


def _status_kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


METHODS: dict[str, Method] = {
    "straightforward": straightforward,
    "seedstream": SpatialEmbeddingLoss(n_sigma=N_SIGMA, to_center=False),
}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--instances", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch = make_batch(arguments.batch, arguments.side, arguments.instances)
    losses, gradients = {}, {}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(arguments.repeats + 1):
        for name, method in METHODS.items():  # in turn: a busy machine slows both alike
            losses[name], gradients[name], took = run(method, batch)
            seconds[name].append(took)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    slow, fast = METHODS
    difference = (gradients[slow] - gradients[fast]).norm() / gradients[slow].norm()
    result = {
        **describe(),
        "torch": torch.__version__,
        **vars(arguments),
        "loss": losses,
        "relative_gradient_difference": float(difference),
        "seconds": {name: round(value, 4) for name, value in medians.items()},
        "speed_up": round(medians[slow] / medians[fast], 2),
        "peak_megabytes": {name: round(peak_megabytes(name, arguments), 1) for name in METHODS},
    }
    print(json.dumps(result, indent=2))
    _keep(result)


def _keep(result: dict[str, object]) -> None:
    stamp = str(result["measured_at"])[:19].replace(":", "")
    (RESULTS / f"loss-{stamp}.json").write_text(json.dumps(result, indent=2) + "\n")
    table = RESULTS / "loss.md"
    if not table.exists():
        table.write_text(
            "# `python -m benchmarks.bench_loss`\n\nForward and backward, seconds (median), and "
            "the growth of peak memory.\n\n"
            "| date | commit | processor, cores | batch, side, instances | loop s | ours s "
            "| faster | loop MB | ours MB |\n" + "| --- " * 9 + "|\n"
        )
    seconds, memory = result["seconds"], result["peak_megabytes"]
    assert isinstance(seconds, dict)
    assert isinstance(memory, dict)
    cells = [
        str(result["measured_at"])[:10],
        result["commit"],
        f"{str(result['processor']).removesuffix(' Processor')}, {result['cores']}",
        f"{result['batch']}, {result['side']}, {result['instances']}",
        *(seconds[name] for name in METHODS),
        f"{result['speed_up']}x",
        *(memory[name] for name in METHODS),
    ]
    with table.open("a") as file:
        file.write("| " + " | ".join(map(str, cells)) + " |\n")


if __name__ == "__main__":
    main()
