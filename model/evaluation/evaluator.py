"""The work of ``seedstream evaluate``: measure, print, write, store."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from contract.errors import ConfigurationError
from contract.output_places import file_fault, folder_fault
from contract.process import configure_logging
from model.evaluation.markdown import visible
from model.evaluation.on_pictures import Evaluation, Options, evaluate_pictures
from model.evaluation.on_tracks import Choice, evaluate_tracks
from model.evaluation.on_tracks import Options as TrackOptions
from model.evaluation.on_video import Report, Scores, evaluate_boxes
from model.evaluation.pages import write_pages
from model.evaluation.report import FLAT, JSON_FILE, notes, sweep_table, table, write_report
from model.evaluation.thresholds import Tried
from model.evaluation.track_table import track_figures, track_table
from model.export.rewrite import check_rewritable, rewrite_artifact


def on_pictures(
    model: Path, data: Path, options: Options, tried: Tried | None, out: Path | None
) -> int:
    """Measure an artifact on labelled pictures.

    Args:
        model: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        data: The data set.
        options: What to measure, and how.
        tried: What a sweep tries; None measures the artifact as it is.
        out: Folder for report and pages, or a ``.json`` file for the figures.

    Returns:
        The exit code: 1 where a picture could not be read.

    Raises:
        ConfigurationError: See `evaluate_pictures`; or the thresholds could not be stored, or
            ``out`` not be written.
    """
    configure_logging("evaluate", "WARNING", "text")
    if tried is not None:
        check_rewritable(model)
    if out is not None:
        _prepare(out)
    evaluation = evaluate_pictures(model, data, options, tried, partial(_progress, "pictures"))
    _print(evaluation, options)
    if out is not None and _is_figures(out):
        _write_figures(out, evaluation.accuracy())
    elif out is not None:
        try:
            texts = write_report(evaluation, options, out)
            pages = write_pages(evaluation, out)
        except OSError as error:
            raise _unwritten(out, error) from error
        print(f"wrote {', '.join(path.name for path in [*texts, *pages])} into {out}")
    if evaluation.best is not None:
        best = evaluation.best
        rewrite_artifact(
            model,
            accuracy=evaluation.accuracy(),
            precision=evaluation.artifact.precision,
            seed_threshold=best.seed_threshold,
            score_threshold=best.score_threshold,
            min_pixels=best.min_pixels,
            # Of another part of the same data, where training did not say it.
            object_pixels=evaluation.artifact.object_pixels or evaluation.object_pixels,
        )
        print("stored thresholds and figures in the artifact")
    for broken in evaluation.broken:
        print(f"seedstream: left out: {broken}", file=sys.stderr)
    return 1 if evaluation.broken else 0


def on_video(
    model: Path,
    files: tuple[Path, Path],
    frames: tuple[int, int],
    out: Path | None,
    *,
    tried: Tried | None,
    **options: Any,
) -> None:
    """Measure an artifact on a video with true boxes.

    Args:
        model: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        files: The video and its true boxes.
        frames: First and last frame, counted from 1.
        out: A ``.json`` file for the figures, or a folder for one.
        tried: What a sweep tries; None measures the artifact as it is.
        options: As `evaluate_boxes` takes them.

    Raises:
        ConfigurationError: See `evaluate_boxes`; or the thresholds could not be stored.
    """
    if tried is not None:
        check_rewritable(model)
    if out is not None:
        _prepare(out)
    report = evaluate_boxes(model, *files, *frames, tried=tried, **options)
    _print_video(report, options["class_name"])
    best = report.best if tried else None
    accuracy = report.accuracy(best)
    if out is not None:
        _write_figures(out if _is_figures(out) else out / JSON_FILE, accuracy)
    if best is not None:
        rewrite_artifact(
            model,
            accuracy=accuracy,
            precision=report.precision,
            seed_threshold=None if report.flat else best.threshold,
            score_threshold=None if report.flat else best.threshold,
            min_pixels=best.min_pixels,
        )
        print("stored thresholds and figures in the artifact")


def on_tracks(
    model: Path,
    files: tuple[Path, Path],
    frames: tuple[int, int],
    choices: Sequence[Choice],
    options: TrackOptions,
    out: Path | None,
) -> None:
    """Measure the tracker behind an artifact on a video with true tracks.

    Args:
        model: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        files: The video and its true tracks.
        frames: First and last frame, counted from 1.
        choices: Which of them the tracker sees.
        options: How tracks are measured.
        out: A ``.json`` file for the figures, or a folder for one.

    Raises:
        ConfigurationError: See `evaluate_tracks`.
        TrackEvalError: TrackEval failed.
    """
    if out is not None:
        _prepare(out)
    report = evaluate_tracks(model, *files, frames, choices, options, partial(_progress, "frames"))
    print(track_table(report, options))
    if out is not None:
        file = out if _is_figures(out) else out / JSON_FILE
        _write_figures(file, track_figures(report, options))


def _print(evaluation: Evaluation, options: Options) -> None:
    for note in notes(evaluation, options):
        print(visible(note))
    if evaluation.best is not None:
        print(f"\n{sweep_table(evaluation.rows, evaluation.metric, evaluation.best)}")
        print(f"\nas it was:\n{table(evaluation, evaluation.shipped.figures)}")
        print("\nwith the best thresholds:", end="")
    print(f"\n{table(evaluation, evaluation.shown.figures)}")


def _prepare(out: Path) -> None:
    """Make the folder that ``out`` is, or in which it is to lie.

    Raises:
        ConfigurationError: It cannot be made, or nothing can be written there.
    """
    figures = _is_figures(out)
    fault = file_fault(out) if figures else folder_fault(out)
    if fault:
        raise ConfigurationError(f"--out: {fault}")
    folder = out.parent if figures else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out: {folder}: cannot be created: {error.strerror}") from error


def _is_figures(out: Path) -> bool:
    """Whether ``out`` is a file for the figures; any other name is a folder's."""
    return out.suffix == ".json"


def _progress(what: str, numbers: Iterable[int], total: int) -> Iterable[int]:
    console = Console(stderr=True)
    quiet = not console.is_terminal
    return track(numbers, what, total=total, console=console, transient=True, disable=quiet)


def _print_video(report: Report, class_name: str) -> None:
    print(f"frames {report.first}..{report.last}, {class_name}, IoU {report.iou:g}")
    print("score   recall  precision  f1")
    for scores in report.sweep:
        mark = "  <- reported" if scores is report.chosen else ""
        print(f"{scores.threshold:<7.3f} {_shares(scores)}{mark}")
    if report.grid:
        print("threshold  min pixels  recall  precision  f1")
    for scores in report.grid:
        mark = "  <- best" if scores is report.best else ""
        print(f"{scores.threshold:<9.3f}  {scores.min_pixels:<10d}  {_shares(scores)}{mark}")
    if report.grid and report.flat:
        print(FLAT)


def _shares(scores: Scores) -> str:
    return f"{_share(scores.recall)}   {_share(scores.precision)}      {_share(scores.f1)}"


def _share(value: float | None) -> str:
    return "-    " if value is None else f"{value:.3f}"


def _write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> ConfigurationError:
    place = error.filename or path
    return ConfigurationError(f"--out: {place}: cannot be written: {error.strerror}")
