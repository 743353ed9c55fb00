"""What people see of a run: progress bar, log, TensorBoard, the record's results."""

import logging
import sys
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.training.board import Board
from model.training.distributed import Processes
from model.training.learner import Learner, StepReport
from model.training.plan import Phase
from model.training.recipe import Recipe
from model.training.record import Log, Record
from model.training.settings import TrainSettings
from model.training.training_data import TrainingData
from model.training.validation import TorchEngine, Validation, fitted

_PICTURES = 2
"""Validation pictures that are drawn."""

log = logging.getLogger(__name__)


class Reporter:
    """Reports steps and validations; in all processes but the first it keeps silent.

    Args:
        settings: Where to write and how often.
        data: Its validation pictures are drawn.
        done: Steps done before; what was reported after them is dropped.
        steps: Steps of the whole run.
        processes: This process among those of the run.
    """

    def __init__(
        self,
        settings: TrainSettings,
        data: TrainingData,
        done: int,
        steps: int,
        processes: Processes,
    ) -> None:
        self._settings, self._data, self._steps = settings, data, steps
        self._active = processes.is_first
        self._began, self._first, self._waited = time.monotonic(), done, 0.0
        if not self._active:
            return
        settings.out.mkdir(parents=True, exist_ok=True)
        self._log = Log(settings.out, done)
        self._record = Record(settings.out)
        self._board = Board(settings.out / "tensorboard", done)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("training", total=steps, completed=done)
        self._progress.start()

    def step(
        self,
        number: int,
        phase: Phase,
        report: StepReport,
        rate: float,
        seconds: float,
        waited: float,
    ) -> None:
        """Report a step that took ``seconds``, of which ``waited`` for its crops."""
        self._waited += waited
        if not self._active:
            return
        epoch = phase.first_epoch + (number - phase.first_step) // phase.steps_per_epoch + 1
        self._progress.update(
            self._task, completed=number + 1, description=f"epoch {epoch} loss {report.loss:.3f}"
        )
        if number % self._settings.log_every and number + 1 != self._steps:
            return
        self._log.write(
            step=number,
            epoch=epoch,
            loss=report.loss,
            instance=report.instance,
            variance=report.variance,
            seed=report.seed,
            gradient_norm=report.gradient_norm,
            learning_rate=rate,
            seconds=round(seconds, 4),
            waited_seconds=round(waited, 4),
        )
        self._board.step(number, report, rate, seconds)
        log.info(
            "step %d of %d, epoch %d: loss %.4f (instance %.3f, variance %.5f, seed %.4f), %.2f s",
            *(number, self._steps, epoch, report.loss, report.instance, report.variance),
            *(report.seed, seconds),
        )

    def validation(
        self,
        done: int,
        result: Validation,
        learner: Learner,
        recipe: Recipe,
        best: dict[str, object],
    ) -> None:
        """Report a validation after ``done`` steps."""
        if not self._active:
            return
        self._log.write(
            step=done - 1,
            validation_loss=result.loss,
            validation_score=result.score,
            average_precision={f"{k:g}": v for k, v in result.average_precision.items()},
        )
        self._board.validation(done - 1, result)
        engine = TorchEngine(learner, recipe, self._data.classes)
        assert self._data.validation is not None
        for index in range(min(_PICTURES, len(self._data.validation))):
            shown = fitted(self._data.validation.read(index), recipe.input_size)
            self._board.picture(done - 1, f"validation/{index}", shown, engine)
        self._results(done, last={"step": done, "score": result.score}, best=best)
        log.info(
            "validation after step %d: loss %.4f, average precision %s, best %.4f after step %s",
            *(done, result.loss),
            " ".join(f"{k:g}: {v:.3f}" for k, v in result.average_precision.items()),
            *(best["score"], best["step"]),
        )

    def saved(self, done: int) -> None:
        """Note that the checkpoint after ``done`` steps is kept."""
        if self._active:
            self._results(done)

    def _results(self, done: int, **results: object) -> None:
        seconds = time.monotonic() - self._began
        attempts = self._record.values["attempts"]
        attempts[-1] |= {
            "last_step": done,
            "seconds": round(seconds, 1),
            "waited_for_crops_seconds": round(self._waited, 1),
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        results = {**self._record.values.get("results", {}), **results}
        self._record.update(attempts=attempts, results=results, done=done)

    def close(self) -> None:
        """Write what is left and take the bar away."""
        if self._active:
            self._progress.stop()
            self._board.close()
