"""What people see of a run: progress bar, log, TensorBoard, ``run.json`` and ``log.jsonl``.

Letters: H, W the model's input. Library: torch.utils.tensorboard.
"""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.data.labels import IGNORE, Image, Labelled
from model.provenance import describe_run
from model.recipes.recipe import Phase
from model.training.distributed import Processes
from model.training.learner import StepReport
from model.training.run_folder import BOARD, LOG, RECORD
from model.training.settings import TrainSettings
from model.training.validation import Validation
from segmentation.cluster import cluster
from segmentation.engines.base import Predictions

log = logging.getLogger(__name__)


class Reporter:
    """Reports steps and validations; in all processes but the first it keeps silent.

    Args:
        settings: Where to write and how often.
        about: What is trained on what, for the record.
        done: Steps done before; what was reported after them is dropped.
        steps: Steps of the whole run.
        processes: This process among those of the run.

    Raises:
        ConfigurationError: The folder holds a ``run.json`` of something else.
    """

    def __init__(
        self,
        settings: TrainSettings,
        about: dict[str, Any],
        done: int,
        steps: int,
        processes: Processes,
    ) -> None:
        self._settings, self._steps = settings, steps
        self._active = processes.is_first
        self._began, self._waited = time.monotonic(), 0.0
        if not self._active:
            return
        settings.out.mkdir(parents=True, exist_ok=True)
        self._record = _Record(settings.out / RECORD)
        attempt = {**describe_run(), "first_step": done, "processes": processes.world}
        attempts = [*self._record.values.get("attempts", []), attempt]
        stated = settings.model_dump(mode="json")
        self._record.update(**about, settings=stated, steps=steps, attempts=attempts)
        self._log = settings.out / LOG
        _drop_lines(self._log, done)
        self._board = SummaryWriter(str(settings.out / BOARD), purge_step=done)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("training", total=steps, completed=done)
        self._validating = self._progress.add_task("validating", total=None, visible=False)
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
        self._write(
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
        scalars = {
            "loss/total": report.loss,
            "loss/instance": report.instance,
            "loss/variance": report.variance,
            "loss/seed": report.seed,
            "optimizer/gradient_norm": report.gradient_norm,
            "optimizer/learning_rate": rate,
            "speed/step_seconds": seconds,
        }
        for name, value in scalars.items():
            self._board.add_scalar(name, value, number)
        log.info(
            "step %d of %d, epoch %d: loss %.4f (instance %.3f, variance %.5f, seed %.4f), %.2f s",
            *(number, self._steps, epoch, report.loss, report.instance, report.variance),
            *(report.seed, seconds),
        )

    def validating(self, done: int, pictures: int) -> None:
        """Move the bar of a validation; it goes away with the last of its pictures."""
        if self._active:
            self._progress.update(
                self._validating, completed=done, total=pictures, visible=done < pictures
            )

    def validation(self, done: int, result: Validation, best: dict[str, object]) -> None:
        """Report a validation after ``done`` steps; its first pictures are drawn."""
        if not self._active:
            return
        precision = {f"{k:g}": v for k, v in result.average_precision.items()}
        self._write(
            step=done - 1,
            validation_loss=result.loss,
            validation_score=result.score,
            average_precision=precision,
        )
        scalars = {"validation/loss": result.loss}
        if result.score is not None:
            scalars["validation/score"] = result.score
        scalars |= {f"average_precision/{k:.2f}": v for k, v in result.average_precision.items()}
        for name, value in scalars.items():
            self._board.add_scalar(name, value, done - 1)
        for number, (shown, maps) in enumerate(result.drawn):
            strip = np.concatenate(list(panels_of(shown, maps, result.artifact).values()), axis=1)
            name = f"validation/{number}"
            self._board.add_image(name, strip, done - 1, dataformats="HWC")
        self._results(done, last={"step": done, "score": result.score}, best=best)
        log.info(
            "validation after step %d: loss %.4f, average precision %s, best %s after step %s",
            *(done, result.loss, " ".join(f"{k}: {v:.3f}" for k, v in precision.items()) or "-"),
            *("-" if best["score"] is None else f"{best['score']:.4f}", best["step"]),
        )

    def saved(self, done: int) -> None:
        """Note that the checkpoint after ``done`` steps is kept."""
        if self._active:
            self._results(done)

    def _write(self, **values: Any) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps(values) + "\n")

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


class _Record:
    """Keeps ``run.json``; every change is written at once, beside and then in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: dict[str, Any] = {}
        if path.exists():
            try:
                self.values = json.loads(path.read_text(encoding="utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise ConfigurationError(
                    f"{path}: not the record of a run: {error}; choose another --out or remove "
                    "the folder"
                ) from error

    def update(self, **values: Any) -> None:
        self.values |= values
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.values, indent=2) + "\n")
        partial.replace(self._path)


def _drop_lines(path: Path, step: int) -> None:
    """Drop what an earlier attempt wrote into ``log.jsonl`` from ``step`` on."""
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    path.write_text("".join(f"{line}\n" for line in lines if _is_before(line, step)))


def _is_before(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) < step
    except (ValueError, KeyError, TypeError, RecursionError):  # half a line of a killed run
        return False


def panels_of(shown: Labelled, maps: Predictions, artifact: Artifact) -> dict[str, Image]:
    """Draw what the network sees in a picture.

    Args:
        shown: A picture of the model's input size.
        maps: Of that picture, N = 1.
        artifact: Thresholds and grid.

    Returns:
        uint8 (H, W, 3) RGB each: ``input``, ``truth`` (grey: ignored), ``seed`` (bright: high),
        ``offset`` (hue: direction, brightness: length), ``bandwidth`` (bright: narrow margin),
        ``instances``.
    """
    clusters = cluster(
        maps.offset[0],
        np.ascontiguousarray(maps.bandwidth[0]),
        maps.seed[0],
        maps.class_index[0],
        grid_step=artifact.grid_step,
        seed_threshold=artifact.seed_threshold,
        min_pixels=artifact.min_pixels,
        n_classes=len(artifact.classes),
    )
    truth = _color_instances(shown.instances)
    truth[shown.labels == IGNORE] = 90
    bandwidth = maps.bandwidth[0].mean(axis=0)
    low, high = np.quantile(bandwidth, [0.02, 0.98])
    return {
        "input": shown.image,
        "truth": truth,
        "seed": _heat(maps.seed[0]),
        "offset": _color_offsets(maps.offset[0]),
        "bandwidth": _heat((bandwidth - low) / max(high - low, 1e-6)),
        "instances": _color_instances(clusters.instance_map),
    }


def _color_instances(instances: NDArray[np.int32]) -> Image:
    """Give each instance (H, W) a colour of its own, black where there is none."""
    colors = np.random.default_rng(1).integers(60, 256, (997, 3), dtype=np.uint8)
    drawn: Image = colors[instances % len(colors)]
    drawn[instances == 0] = 0
    return drawn


def _color_offsets(offset: NDArray[np.float32]) -> Image:
    """Draw offsets (2, H, W): hue is the direction, brightness the length up to 24 pixels.

    What all pixels have in common is left out: where centres are learned, it is free to drift.
    """
    x, y = offset - np.median(offset, axis=(1, 2), keepdims=True)
    angle = (np.arctan2(y, x) / (2 * np.pi) * 180) % 180  # OpenCV's hue is 0..179
    length = np.hypot(x, y) / (24 / 1023)
    full = np.full(x.shape, 255)
    hsv = np.stack([angle, full, np.clip(length, 0, 1) * 255], axis=-1).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _heat(values: NDArray[np.float32]) -> Image:
    grey = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)
