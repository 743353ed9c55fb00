"""Images per second of the trainer, and the share of the time that is not the network's.

- *training*: what `seedstream train` does, a number of steps: crops from the loading process, a
  full step each;
- *step*: the same step on batches that are there already: what waiting for crops costs;
- *network*: forward, backward and optimiser of another network of the kind under a sum instead of
  the loss, in turn with *step*: what the loss costs.

Run: ``python -m benchmarks.bench_train [--recipe nuclei --data ../shared/data/nuclei]``; without
the data it draws discs. It prints a table, writes a JSON file and adds a line to
``benchmarks/results/train.md``.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.environment import RESULTS, ROOT, describe
from model.augment.crops import Crops, batch_indices, load_batches
from model.recipes.recipe import load_recipe
from model.training.distributed import Processes
from model.training.learner import Learner, choose_arithmetic
from model.training.training_data import foreground_weights, open_training_data

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
    alone = Processes(0, 1, device)
    learner, other = (
        Learner(recipe, len(data.classes), weights, alone, arithmetic) for _ in range(2)
    )
    crops = Crops(data.composer(recipe, stage.crop), data.pictures, [0, 0])
    steps = arguments.steps + WARM_UP
    weight = torch.rand(1, 2 + recipe.n_sigma + len(data.classes), 1, 1, device=device)
    parts = batch_indices(0, steps, stage.batch, 0, 1)
    row = load_batches(crops, parts, arguments.data_workers, device)
    times: dict[str, list[float]] = {"training": [], "step": [], "network": []}
    stored: list[list[Tensor]] = []

    def train_one() -> None:
        stored.append(next(row))
        _step(learner, stored[-1], len(stored))

    for _ in range(steps):
        _timed(times["training"], device, train_one)
    for number, batch in enumerate(stored):
        _timed(times["step"], device, partial(_step, learner, batch, number))
        _timed(times["network"], device, partial(network_only, other, batch, weight))
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
        table.write_text(f"# `python -m benchmarks.bench_train`\n\n{head}" + "| --- " * 8 + "|\n")
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
