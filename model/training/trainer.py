"""The training loop: a recipe and data in, checkpoints out.

A run is a function of its recipe, its data and its seed: crop number n, the dropout of step n and
the order of an epoch are drawn from generators of their own, so a run that was stopped goes on
with the very numbers of one that was not.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract.errors import ConfigurationError, SeedstreamError
from model.augment.crops import Crops, batch_indices, load_batches
from model.data.data_set import DataSet, Joined
from model.net.initial_weights import (
    InitialWeights,
    find_weights,
    fit_batch_norm,
    name_weights,
    read_initial_weights,
    start_from,
)
from model.recipes.recipe import Phase, Recipe, load_recipe, plan
from model.training.checkpoints import BEST, Checkpoints, is_better
from model.training.distributed import Processes, join_processes
from model.training.learner import Learner, StepReport, choose_arithmetic
from model.training.patience import Patience
from model.training.reporter import Reporter
from model.training.run_folder import CHECKPOINTS, check_run_folder
from model.training.run_identity import differences, next_run
from model.training.settings import TrainSettings
from model.training.stop_signal import StopSignal
from model.training.training_data import (
    TrainingData,
    foreground_weights,
    median_object_pixels,
    open_training_data,
)
from model.training.validation import recount_batch_norm, validate

log = logging.getLogger(__name__)

_FITTED = 32
"""Crops on which the batch norms of an artifact get their statistics."""


class NonFiniteLossError(SeedstreamError):
    """The loss is no number any more; the last checkpoint is from before."""


class StoppedError(SeedstreamError):
    """The run was asked to stop; its last step is kept."""


ReadWeights = Callable[[Path], InitialWeights]
"""Reads a file of weights to start from."""


def train(settings: TrainSettings, read_weights: ReadWeights = read_initial_weights) -> Path:
    """Run a recipe from its data to the best checkpoint; an unfinished run in ``out`` goes on.

    Args:
        settings: What to run, on what, where.
        read_weights: Reads ``initial_weights``; the default knows checkpoints alone, no artifacts.

    Returns:
        ``RUN/checkpoints/best.pt``; the newest checkpoint where the run was to stop before that.

    Raises:
        ConfigurationError: Recipe, data or settings have faults, or ``out`` holds another run, one
            that cannot be resumed, or something else.
        BrokenSampleError: A picture cannot be used.
        NonFiniteLossError: Training diverged.
        StoppedError: SIGTERM or SIGINT came; the step under way was finished and kept.
    """
    recipe = load_recipe(settings.recipe)
    check_run_folder(settings)
    with join_processes(settings.device) as processes:
        _prepare(settings)
        with StopSignal(enabled=processes.world == 1) as stop:
            return _Run(settings, recipe, processes, stop, read_weights).go()


def _prepare(settings: TrainSettings) -> None:
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # cuBLAS wants to know before its first call that results have to repeat.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not settings.deterministic
    torch.manual_seed(settings.seed)


class _Run:
    """A run in one process: its plan, its learner, its files."""

    def __init__(
        self,
        settings: TrainSettings,
        recipe: Recipe,
        processes: Processes,
        stop: StopSignal,
        read_weights: ReadWeights,
    ) -> None:
        self._settings, self._recipe, self._processes = settings, recipe, processes
        self._stop = stop
        self._checkpoints = Checkpoints(settings.out / CHECKPOINTS)
        # Before the data are examined, which may take a minute.
        path = settings.initial_weights
        self._initial = None if path is None else find_weights(path)
        self._given = None if self._initial is None else name_weights(self._initial)
        self._weights: InitialWeights | None = None
        if self._initial is not None and not self._checkpoints.all():
            with torch.random.fork_rng(devices=[]):  # reading draws numbers that are the run's
                self._weights = read_weights(self._initial)
        data = open_training_data(
            recipe,
            settings.data,
            settings.cache_bytes,
            settings.broken,
            settings.validation_pictures,
        )
        self._data: TrainingData = data
        self._phases = plan(recipe.stages, data.pictures)
        _check_batches(self._phases, processes.world)
        arithmetic = choose_arithmetic(settings.precision, processes.device)
        weights = foreground_weights(recipe, data)
        self._learner = Learner(recipe, len(data.classes), weights, processes, arithmetic)
        self._object_pixels = median_object_pixels(recipe, data)
        self._told = data.describe()
        self._identity = {
            "recipe": recipe.model_dump(mode="json"),
            "seed": settings.seed,
            "precision": arithmetic,
            "validation_pictures": settings.validation_pictures,
            "data": [told["fingerprint"] for told in self._told],
        }
        self._best: dict[str, Any] = {"score": None, "step": 0, "accuracy": {}}
        self._patience = Patience(settings.patience)
        self._began_from: dict[str, str] | None = None
        self._training_data = recipe.training_data

    @property
    def _steps(self) -> int:
        return self._phases[-1].end

    def go(self) -> Path:
        """Learn what is left to learn."""
        done = self._resume()
        end = min(self._steps, self._settings.stop_after or self._steps)
        if self._settings.patience and self._data.validation is None:
            log.warning("patience has no effect: no validation pictures")
        if done >= end or self._patience.is_over:
            log.warning(
                "nothing to learn: %d of %d steps are done, to stop at %d%s; %s",
                *(done, self._steps, end, self._tell_patience(), next_run(self._settings)),
            )
        else:
            about = self._identity | {
                "data": self._told,
                "left_out": list(self._data.left_out),
                "classes": list(self._data.classes),
                "initial_weights": self._began_from,
            }
            reporter = Reporter(self._settings, about, done, self._steps, self._processes)
            with closing(reporter):
                for phase in self._phases:
                    first, last = max(done, phase.first_step), min(end, phase.end)
                    if first < last and not self._patience.is_over:
                        self._learn(phase, first, last, reporter)
        best = self._checkpoints.folder / BEST
        return best if best.exists() else self._checkpoints.all()[-1]

    def _learn(self, phase: Phase, first: int, last: int, reporter: Reporter) -> None:
        """Take the steps ``first .. last - 1`` of the run, all of one stage."""
        crops, began = self._crops(phase), time.monotonic()
        parts = batch_indices(
            first - phase.first_step,
            last - phase.first_step,
            phase.stage.batch,
            self._processes.rank,
            self._processes.world,
        )
        loaded = load_batches(crops, parts, self._settings.data_workers, self._processes.device)
        for step, batch in enumerate(loaded, first):
            waited, rate = time.monotonic() - began, phase.learning_rate(step, self._optimizer)
            report = self._learner.step(
                batch,
                rate,
                seed=self._settings.seed * 1_000_003 + step,
                freeze_batch_norm=phase.stage.freeze_batch_norm,
            )
            if not report.finite:
                raise NonFiniteLossError(self._tell_batch(step, phase, crops, batch, report))
            done = step + 1
            reporter.step(step, phase, report, rate, time.monotonic() - began, waited)
            if done == self._steps and self._recipe.recount_batch_norm:
                whole = Joined(self._data.learned)
                recount_batch_norm(self._learner, whole, self._recipe.input_size)
            epoch, rest = divmod(done - phase.first_step, phase.steps_per_epoch)
            if not rest and (epoch % self._recipe.validate_every == 0 or done == phase.end):
                self._validate(done, reporter)
            stopped = self._stop.came
            if done % self._settings.checkpoint_every == 0 or done == last or not rest or stopped:
                self._save(done)
                reporter.saved(done)
            if stopped and done < self._steps:
                raise StoppedError(
                    f"stopped after step {done} of {self._steps}; the same command resumes it"
                )
            if self._patience.is_over and done < self._steps:
                log.info("stopped early, after step %d%s", done, self._tell_patience())
                return
            began = time.monotonic()

    def _tell_patience(self) -> str:
        if not self._patience.is_over:
            return ""
        return (
            f": {self._patience.since} validations in a row without a better one (patience "
            f"{self._patience.limit}); the best weights are those of step {self._best['step']}"
        )

    @property
    def _optimizer(self) -> Any:
        return self._recipe.optimizer

    def _crops(self, phase: Phase) -> Crops:
        composer = self._data.composer(self._recipe, phase.stage.crop)
        return Crops(composer, phase.crops_per_epoch, [self._settings.seed, phase.number])

    def _validate(self, done: int, reporter: Reporter) -> None:
        data, most = self._data.validation, self._settings.validation_pictures
        if data is None or not most:
            return
        result = validate(
            self._learner, self._recipe, data, self._processes, most, reporter.validating
        )
        self._patience.hear(result.score, result.loss)
        if is_better(result.score, result.loss, self._best):
            accuracy = {
                f"ap_at_iou_{k:g}": round(v, 4) for k, v in result.average_precision.items()
            }
            self._best = {
                "score": result.score,
                "loss": result.loss,
                "step": done,
                "accuracy": accuracy,
            }
            if self._processes.is_first:
                self._checkpoints.save_best(self._state(done))
        reporter.validation(done, result, self._best)

    def _save(self, done: int) -> None:
        if self._processes.is_first:
            self._checkpoints.save(self._state(done), done)
            if done == self._steps and not self._best["step"]:
                self._checkpoints.save_best(self._state(done))
        self._processes.wait()

    def _state(self, done: int) -> dict[str, Any]:
        recipe = self._recipe
        return {
            **self._learner.state(),
            "step": done,
            "identity": self._identity,
            "initial_weights": self._began_from,
            "best": self._best,
            "patience": self._patience.state(),
            "name": recipe.name,
            "classes": list(self._data.classes),
            "n_sigma": recipe.n_sigma,
            "input_power": recipe.input_power,
            "input_size": list(recipe.input_size),
            "seed_threshold": recipe.seed_threshold,
            "score_threshold": recipe.score_threshold,
            "min_pixels": recipe.min_pixels,
            "connected": recipe.connected,
            "object_pixels": self._object_pixels,
            "training_data": self._training_data,
            "label_warnings": self._data.warnings,
            "accuracy": self._best["accuracy"] if self._best["step"] == done else {},
        }

    def _resume(self) -> int:
        """Load the newest checkpoint and return the steps done."""
        given, path = self._given, self._settings.initial_weights
        state = self._checkpoints.newest()
        if state is None:
            if self._weights is not None:
                self._start_from(self._weights)
            self._began_from = given
            return 0
        faults = differences(self._checkpoints.folder, state["identity"], self._identity)
        if faults:
            faults.append(next_run(self._settings))
        self._began_from = state.get("initial_weights")
        if given and given["sha256"] != (self._began_from or {}).get("sha256"):
            began = (
                f"the weights of {self._began_from['path']}" if self._began_from else "new weights"
            )
            if "initial_weights" not in state:
                began = "weights that its checkpoint does not name"
            faults.append(
                f"{self._checkpoints.folder}: holds a run that began from {began}, not from those "
                f"of {path}: leave --initial-weights out to resume it, or choose another --out"
            )
        if faults:
            raise ConfigurationError(faults)
        self._learner.load(state)
        self._best = state["best"]
        self._training_data = state.get("training_data", self._training_data)
        self._patience.load(state.get("patience", {}))
        log.info("resuming at step %d of %d", state["step"], self._steps)
        return int(state["step"])

    def _start_from(self, weights: InitialWeights) -> None:
        learner = self._learner
        told = start_from(learner.network, weights, self._data.classes)
        log.info("%s: started from %s", self._initial, told)
        if weights.training_data:  # whoever must be credited for them, must be for what they become
            parts = (self._training_data, f"started from weights of: {weights.training_data}")
            self._training_data = "; ".join(filter(None, parts))
        if weights.fused:
            first = self._phases[0]
            batch = first.stage.batch
            indices = batch_indices(0, -(-_FITTED // batch), batch, 0, 1)
            batches = load_batches(self._crops(first), indices, 0, self._processes.device)
            images = (loaded[0] for loaded in batches)
            fit_batch_norm(learner.network, weights.fused, images, learner.run)

    def _tell_batch(
        self, step: int, phase: Phase, crops: Crops, batch: list[Tensor], report: StepReport
    ) -> str:
        names = []
        for number in batch[3].tolist():
            scene, picture = crops.place(number)
            pictures = self._data.scenes[scene].pictures
            assert isinstance(pictures, DataSet)
            names.append(f"{pictures.names[picture]} (crop {number})")
        return (
            f"step {step}: the loss is {report.loss} (instance {report.instance}, variance "
            f"{report.variance}, seed {report.seed}, gradient {report.gradient_norm}) on the batch "
            f"{', '.join(names)} of stage {phase.number + 1}; the checkpoint before it is kept. "
            "Look at these pictures, lower learning_rate, set optimizer.clip_norm, or train with "
            "--precision float32"
        )


def _check_batches(phases: list[Phase], world: int) -> None:
    faults = [
        f"stages.{phase.number}.batch is {phase.stage.batch}, expected a multiple of the {world} "
        "processes"
        for phase in phases
        if phase.stage.batch % world
    ]
    if faults:
        raise ConfigurationError(faults)
