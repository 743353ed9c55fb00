"""Images per second of the trainer, and the share of the time that is not the network's.

Three things take turns in one run, on the same crops:

- *training*: what `seedstream train` does: crops from the loading process, a full step;
- *step*: the same step on a batch that is there already: what waiting for crops costs;
- *network*: forward, backward and optimiser under a sum instead of the loss: what the loss costs.

Run: ``python -m benchmarks.train [--recipe nuclei --data ../shared/data/nuclei]``; without the data
it draws discs. It prints a table, writes a JSON file and adds a line to
``benchmarks/results/train.md``.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.environment import RESULTS, ROOT, describe
from model.augment.crops import Crops, batch_indices, load_batches
from model.training.data import foreground_weights, open_training_data
from model.training.learner import Learner, choose_arithmetic
from model.training.processes import Processes
from model.training.recipe import load_recipe

WARM_UP = 3


def network_only(learner: Learner, batch: list[Tensor], weight: Tensor) -> None:
    """Forward, backward and optimiser without the loss."""
    learner.network.train()
    prediction = learner.run(batch[0])
    learner.descend((prediction * weight).mean())


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="nuclei")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "nuclei")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--data-workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data if arguments.data.exists() else _draw(Path(scratch))
        result = {**describe(), **_measure(arguments, data)}
    print(json.dumps(result, indent=2))
    _keep(result)


def _draw(folder: Path) -> Path:
    from tests.made_data import write_discs

    return write_discs(folder, count=40, side=256)


def _measure(arguments: argparse.Namespace, path: Path) -> dict[str, object]:
    recipe = load_recipe(arguments.recipe)
    cuda = torch.cuda.is_available() and arguments.device != "cpu"
    device = torch.device("cuda" if cuda else "cpu")
    data = open_training_data(recipe, path, 1 << 30)
    stage = recipe.stages[0]
    arithmetic = choose_arithmetic(arguments.precision, device)
    weights = foreground_weights(recipe, data)
    learner = Learner(recipe, len(data.classes), weights, Processes(0, 1, device), arithmetic)
    crops = Crops(data.composer(recipe, stage.crop), data.pictures, [0, 0])
    steps = arguments.steps + WARM_UP
    weight = torch.rand(1, 2 + recipe.n_sigma + len(data.classes), 1, 1, device=device)
    times: dict[str, list[float]] = {"training": [], "step": [], "network": []}
    parts = batch_indices(0, steps, stage.batch, 0, 1)
    row = load_batches(crops, parts, arguments.data_workers, device)
    for number in range(steps):
        began = time.monotonic()
        batch = next(row)
        _step(learner, batch, number)
        _wait(device)
        times["training"].append(time.monotonic() - began)
        _timed(times["step"], device, lambda: _step(learner, batch, number))  # noqa: B023
        _timed(times["network"], device, lambda: network_only(learner, batch, weight))  # noqa: B023
    seconds = {name: statistics.median(values[WARM_UP:]) for name, values in times.items()}
    return {
        "recipe": arguments.recipe,
        "data": path.name,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "precision": arithmetic,
        "batch": stage.batch,
        "crop": stage.crop,
        "torch": torch.__version__,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "images_per_second": round(stage.batch / seconds["training"], 2),
        "share_not_in_the_network": round(1 - seconds["network"] / seconds["training"], 3),
        "share_waiting_for_crops": round(1 - seconds["step"] / seconds["training"], 3),
    }


def _step(learner: Learner, batch: list[Tensor], number: int) -> None:
    learner.step(batch, 1e-4, seed=number, freeze_batch_norm=False)


def _timed(times: list[float], device: torch.device, work: Callable[[], None]) -> None:
    began = time.monotonic()
    work()
    _wait(device)
    times.append(time.monotonic() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _keep(result: dict[str, object]) -> None:
    stamp = str(result["measured_at"])[:19].replace(":", "")
    (RESULTS / f"train-{stamp}.json").write_text(json.dumps(result, indent=2) + "\n")
    table = RESULTS / "train.md"
    if not table.exists():
        head = (
            "| date | commit | processor, cores | recipe, crop, batch | precision "
            "| images a second | not in the network | waiting for crops |\n"
        )
        table.write_text(f"# `python -m benchmarks.train`\n\n{head}" + "| --- " * 8 + "|\n")
    cells = [
        str(result["measured_at"])[:10],
        result["commit"],
        f"{str(result['processor']).removesuffix(' Processor')}, {result['cores']}"
        if result["device"] == "cpu"
        else result["device"],
        f"{result['recipe']}, {result['crop']}, {result['batch']}",
        result["precision"],
        result["images_per_second"],
        f"{result['share_not_in_the_network']:.1%}",
        f"{result['share_waiting_for_crops']:.1%}",
    ]
    with table.open("a") as file:
        file.write("| " + " | ".join(map(str, cells)) + " |\n")


if __name__ == "__main__":
    main()
