"""The training loop: crops in, checkpoint out.

One process composes crops while the network learns from the last ones. A run is a function of its
seed; a checkpoint carries everything needed to go on after a stop, and to export.

Letters: B crops, S pixels of a side, K classes.
"""

import itertools
import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from contract.errors import ConfigurationError
from model.augment.compose import Composer
from model.data.old_datasets import Crops
from model.erfnet import BranchedERFNet
from model.loss import LossTerms, SpatialEmbeddingLoss
from model.recipes import Recipe, load_recipe
from model.training.settings import TrainSettings

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
W_INSTANCE, W_VARIANCE, W_SEED = 1.0, 10.0, 1.0  # the paper's weights

log = logging.getLogger(__name__)


class NonFiniteLossError(ArithmeticError):
    """The loss is no number any more; the last checkpoint is from before."""


def train(settings: TrainSettings) -> Path:
    """Run a recipe from its data to a checkpoint; an unfinished run in ``out`` goes on.

    Args:
        settings: What to run, on what, where.

    Returns:
        The checkpoint's path, ready for `model.deploy.export.export_checkpoint`.

    Raises:
        ConfigurationError: Data are missing, or ``out`` holds a run of another recipe.
        NonFiniteLossError: Training diverged.
    """
    recipe = load_recipe(settings.recipe)
    steps = settings.steps or recipe.steps
    device = _device(settings)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    settings.out.mkdir(parents=True, exist_ok=True)

    run = _Run(recipe, steps, device)
    done = run.resume(settings.out / CHECKPOINT)
    if done < steps:
        composer = load_data(recipe, settings.data)
        for step, batch in enumerate(_batches(composer, recipe, settings, done, steps), done):
            started = time.monotonic()
            terms = run.step(batch, settings.bfloat16)
            if step % settings.log_every == 0 or step + 1 == steps:
                _log(settings.out / LOG, step, terms, time.monotonic() - started)
            if (step + 1) % settings.checkpoint_every == 0 or step + 1 == steps:
                run.save(settings.out / CHECKPOINT, step + 1)
    return settings.out / CHECKPOINT


def load_data(recipe: Recipe, data: Path) -> Composer:
    """Label the recipe's videos and read its photographs (about half a minute for `street`)."""
    scenes, cut_outs = [], []
    for source in recipe.sources:
        scene, cut = source.load(data)
        log.info("%s: %d pictures, %d cut-outs", _name(source), len(scene.pictures), len(cut))
        scenes.append(scene)
        cut_outs += cut
    return Composer(scenes, cut_outs, crop=recipe.crop)


class _Run:
    """Network, optimiser and schedule: what a checkpoint holds."""

    def __init__(self, recipe: Recipe, steps: int, device: torch.device) -> None:
        self._recipe, self._steps, self._device = recipe, steps, device
        network = BranchedERFNet([2 + recipe.n_sigma, len(recipe.classes)])
        network.init_instance_head(recipe.n_sigma)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss = SpatialEmbeddingLoss(
            n_sigma=recipe.n_sigma, to_center=False, foreground_weight=recipe.foreground_weight
        )
        self._optimizer = torch.optim.Adam(
            self._network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.PolynomialLR(
            self._optimizer, total_iters=steps, power=0.9
        )

    def step(self, batch: list[Tensor], bfloat16: bool) -> LossTerms:
        """Learn from images (B, 3, S, S), instances and labels (B, S, S)."""
        images, instances, labels = (tensor.to(self._device) for tensor in batch)
        images = images.contiguous(memory_format=torch.channels_last)
        self._network.train()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bfloat16):
            prediction = self._network(images)
        terms = self._loss.terms(prediction.float(), instances, labels)
        loss = W_INSTANCE * terms.instance + W_VARIANCE * terms.variance + W_SEED * terms.seed
        if not math.isfinite(loss.item()):
            raise NonFiniteLossError(
                f"the loss is {loss.item()} (instance {terms.instance.item()}, variance "
                f"{terms.variance.item()}, seed {terms.seed.item()}): lower the recipe's "
                "learning_rate, or try TRAIN_BFLOAT16=false"
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return terms

    def save(self, path: Path, step: int) -> None:
        """Write the checkpoint beside ``path``, then rename: no stop leaves half a file."""
        r = self._recipe
        state = {
            "model_state_dict": self._network.state_dict(),
            "optimizer_state_dict": self._optimizer.state_dict(),
            "schedule_state_dict": self._schedule.state_dict(),
            "step": step,
            "steps": self._steps,
            "recipe": r.name,
            "classes": list(r.classes),
            "n_sigma": r.n_sigma,
            "input_size": list(r.input_size),
            "seed_threshold": r.seed_threshold,
            "score_threshold": r.score_threshold,
            "min_pixels": r.min_pixels,
            "training_data": r.training_data,
            "accuracy": {},
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Load ``path`` where it exists and return the steps done."""
        if not path.exists():
            return 0
        state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        seen, expected = (state["recipe"], state["steps"]), (self._recipe.name, self._steps)
        if seen != expected:
            raise ConfigurationError(
                f"{path}: a run of recipe {seen[0]!r} over {seen[1]} steps, expected "
                f"{expected[0]!r} over {expected[1]}; choose another --out or remove the folder"
            )
        self._network.load_state_dict(state["model_state_dict"])
        self._optimizer.load_state_dict(state["optimizer_state_dict"])
        self._schedule.load_state_dict(state["schedule_state_dict"])
        step = int(state["step"])
        log.info("%s: going on at step %d of %d", path, step, self._steps)
        return step


def _batches(
    composer: Composer, recipe: Recipe, settings: TrainSettings, done: int, steps: int
) -> Iterator[list[Tensor]]:
    first, count = done * recipe.batch, (steps - done) * recipe.batch
    workers = settings.data_workers
    loader = DataLoader(
        Crops(composer, settings.seed, first, count),
        batch_size=recipe.batch,
        num_workers=workers,
        worker_init_fn=_one_thread,
        # Forked, the scenes (a gigabyte) are shared and not copied.
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
    )
    return itertools.islice(loader, steps - done)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # the network needs the cores, and OpenCV's threads do not survive a fork


def _device(settings: TrainSettings) -> torch.device:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ConfigurationError("device is 'cuda', but PyTorch finds no CUDA device here")
    return torch.device("cuda" if available and settings.device != "cpu" else "cpu")


def _name(source: object) -> str:
    return str(getattr(source, "path", None) or getattr(source, "images", source))


def _log(path: Path, step: int, terms: LossTerms, seconds: float) -> None:
    line = {
        "step": step,
        "instance": round(terms.instance.item(), 4),
        "variance": round(terms.variance.item(), 6),
        "seed": round(terms.seed.item(), 5),
        "seconds": round(seconds, 3),
    }
    log.info("%s", line)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
