"""The report of an evaluation: ``report.json`` for programs, ``report.md`` for people."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from model.data.data_set import Subset, fingerprint
from model.data.fault_groups import describe_whole
from model.data.labels import IGNORED
from model.evaluation.figures import TRUE, Figures
from model.evaluation.markdown import code, plain
from model.evaluation.matching import average_precision
from model.evaluation.on_pictures import Evaluation, Options
from model.evaluation.ranking import MAIN, Metric
from model.evaluation.thresholds import F1, Row, Setting
from model.provenance import describe_run

JSON_FILE, TEXT_FILE = "report.json", "report.md"

_SHOWN = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
"""IoU thresholds that the table shows; the mean is of all."""

_WORST = 20
"""Pictures that the text names; the JSON has all."""

_OTHER_SIZE = 4
"""Objects of so many times the area of those learned, or a part of it, are another kind."""

FLAT = (
    "WARNING: the sweep is flat: all thresholds and sizes tried are equally good on these "
    "pictures, so the artifact keeps its own; label more pictures to choose by"
)

COLUMNS: dict[Metric, tuple[tuple[str, str], ...]] = {
    "average-precision": (
        *((f"AP@{t:g}", f"average_precision_at_iou_{t:g}") for t in _SHOWN),
        ("mean AP", "average_precision"),
    ),
    "cityscapes": (("AP", "cityscapes_ap"), ("AP50", "cityscapes_ap50")),
    "coco": (
        ("AP", "coco_ap"),
        ("AP50", "coco_ap50"),
        ("AP75", "coco_ap75"),
        ("AP small", "coco_ap_small"),
        ("AP medium", "coco_ap_medium"),
        ("AP large", "coco_ap_large"),
        ("AR", "coco_ar"),
    ),
}
COUNTED = (
    ("recall", "recall_at_iou_0.5"),
    ("precision", "precision_at_iou_0.5"),
    ("F1", F1),
    ("IoU", "mean_iou_of_matches"),
    ("PQ", "panoptic_quality"),
)

_PACKAGES = ("onnxruntime", "numpy", "numba", "pycocotools", "cityscapesscripts")


def table(evaluation: Evaluation, figures: Figures) -> str:
    """Return a Markdown table: a row over all classes and, of several classes, one of each."""
    by_class = figures.by_class if len(evaluation.pairing.model) > 1 else {}
    rows = {"all": figures.overall, **{plain(name): row for name, row in by_class.items()}}
    columns = [*COLUMNS[evaluation.metric], *COUNTED]
    width = max(map(len, rows))
    lines = [
        " | ".join(["", "class".ljust(width), *(title.rjust(7) for title, _ in columns), ""]),
        " | ".join(["", "-" * width, *("-" * max(6, len(t) - 1) + ":" for t, _ in columns), ""]),
    ]
    for name, values in rows.items():
        cells = [
            (f"{values[key]:.3f}" if key in values else "-").rjust(max(7, len(title)))
            for title, key in columns
        ]
        lines.append(" | ".join(["", name.ljust(width), *cells, ""]))
    return "\n".join(line.strip() for line in lines)


def sweep_table(rows: Sequence[Row], metric: Metric, best: Setting) -> str:
    """Return a Markdown table of what a sweep tried, the choice marked."""
    titles = dict((key, title) for title, key in COLUMNS[metric])
    keys = [*MAIN[metric], F1]
    head = ["threshold", "min pixels", *(titles.get(key, "F1") for key in keys), ""]
    lines = [f"| {' | '.join(head)} |", f"|{' ---: |' * (len(keys) + 2)} --- |"]
    chosen = (best.seed_threshold, best.min_pixels)
    for row in rows:
        values = {**row.counted.overall, **row.measured.overall}
        marks = [
            "seed threshold" if row.cell == chosen else "",
            "score threshold" if row.cell == best.reported else "",
        ]
        cells = [f"{row.cell.threshold:g}", str(row.cell.min_pixels)]
        cells += [f"{values[key]:.3f}" if key in values else "-" for key in keys]
        lines.append(f"| {' | '.join(cells)} | {', '.join(mark for mark in marks if mark)} |")
    return "\n".join(lines)


def notes(evaluation: Evaluation, options: Options) -> list[str]:
    """Return what a reader has to know to read the figures."""
    pairing, shown = evaluation.pairing, evaluation.shown
    said = [
        f"{len(evaluation.seen)} pictures ({options.split}) of {evaluation.data.root}, layout "
        f"{evaluation.layout}; metric {evaluation.metric}",
        f"seed threshold {shown.seed_threshold:g}, score threshold {shown.score_threshold:g}, "
        f"min pixels {shown.min_pixels}"
        + ("; chosen by the sweep on these pictures" if _chosen(evaluation) else ""),
    ]
    if evaluation.flat:
        said.append(FLAT)
    said += _objects(evaluation)
    if evaluation.resize != "letterbox":
        said.append(
            f"resize {evaluation.resize}: {'at most ' if evaluation.resize == 'auto' else ''}"
            f"{evaluation.tiles} runs of the network for {len(evaluation.seen)} pictures"
        )
    if evaluation.metric != "average-precision":
        said.append(
            f"AP ranks every instance from the seed threshold {shown.seed_threshold:g} on; recall, "
            "precision, F1, IoU and PQ are of those from the score threshold on, at IoU 0.5"
        )
    renamed = {old: new for old, new in pairing.becomes.items() if old != new}
    if renamed:
        said.append(f"classes: {', '.join(f'{o} = {n}' for o, n in renamed.items())}")
    unmeasured = [name for name in pairing.model if name not in pairing.measured]
    if unmeasured:
        said.append(f"not measured, the data show none: {', '.join(unmeasured)}")
    doubts = dict.fromkeys([*evaluation.data.warnings(), *evaluation.artifact.label_warnings])
    said += [f"warning: {text}" for text in doubts]
    said += [f"note: {text}" for text in describe_whole(evaluation.data)]
    if pairing.left_out:
        said.append(f"background to the model: {_shortened(pairing.left_out)}")
    if evaluation.broken:
        said.append(f"{len(evaluation.broken)} pictures cannot be read and are left out")
    return said


def _chosen(evaluation: Evaluation) -> bool:
    return evaluation.best is not None and not evaluation.flat


def _objects(evaluation: Evaluation) -> list[str]:
    """What the true objects say about how far the figures can be trusted."""
    if not evaluation.objects:
        return ["WARNING: no labelled object in these pictures: the figures say nothing of recall"]
    found, learned = evaluation.object_pixels, evaluation.artifact.object_pixels
    said = f"{evaluation.objects} labelled objects, median area {found:g} pixels of the input"
    said += f"; of the training data {learned:g}" if learned else ""
    if found and learned and not 1 / _OTHER_SIZE < found / learned < _OTHER_SIZE:
        said = f"WARNING: {said}: these pictures hardly show what was learned"
    values = evaluation.shown.figures.by_class
    absent = [name for name in evaluation.pairing.measured if not values.get(name, {}).get(TRUE)]
    if absent:
        return [said, f"WARNING: no labelled object of {', '.join(absent)} in these pictures"]
    return [said]


def picture_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return what each picture gave with the thresholds shown, the worst ones first.

    Its average precision is the mean of TP / (TP + FP + FN) over the IoU thresholds, None where it
    has no instance, true or predicted; the counts are those at an IoU of 0.5.
    """
    rows = []
    for index, scores in zip(evaluation.seen, evaluation.scores, strict=True):
        tp, fp, fn = (int(counts[:, 0].sum()) for counts in (scores.tp, scores.fp, scores.fn))
        value = average_precision(scores)
        rows.append(
            {
                "name": evaluation.data.names[index],
                "true": tp + fn,
                "found": tp,
                "wrong": fp,
                "average_precision": None if value is None else round(value, 4),
            }
        )
    return sorted(rows, key=lambda row: 2 if (v := row["average_precision"]) is None else v)


def picture_table(evaluation: Evaluation) -> str:
    """Return a Markdown table of the worst pictures."""
    rows = picture_rows(evaluation)
    lines = ["| picture | true | found | wrong | AP |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows[:_WORST]:
        value = row["average_precision"]
        shown = "-" if value is None else f"{value:.3f}"
        counts = f"{row['true']} | {row['found']} | {row['wrong']}"
        lines.append(f"| {plain(row['name'])} | {counts} | {shown} |")
    if len(rows) > _WORST:
        lines.append(f"\nThe worst {_WORST} of {len(rows)} pictures; {JSON_FILE} has all.")
    return "\n".join(lines)


def _shortened(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_report(evaluation: Evaluation, options: Options, folder: Path) -> list[Path]:
    """Write both files into a folder that exists, and return their paths."""
    document = describe(evaluation, options)
    (folder / JSON_FILE).write_text(json.dumps(document, indent=2) + "\n")
    parts = [
        f"# {plain(evaluation.artifact.name)}/{plain(evaluation.artifact.version)}",
        "\n".join(f"- {plain(note)}" for note in notes(evaluation, options)),
        table(evaluation, evaluation.shown.figures),
    ]
    if evaluation.best:
        parts += [
            "Before the sweep:",
            table(evaluation, evaluation.shipped.figures),
            sweep_table(evaluation.rows, evaluation.metric, evaluation.best),
        ]
    parts.append(picture_table(evaluation))
    parts.append(f"{code(document['command'])}, {document['started_at']}")
    (folder / TEXT_FILE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [folder / JSON_FILE, folder / TEXT_FILE]


def describe(evaluation: Evaluation, options: Options) -> dict[str, Any]:
    """Return all that a result must say to be repeated."""
    artifact = evaluation.artifact
    run = describe_run()
    run["versions"] |= {name: metadata.version(name) for name in _PACKAGES}
    return {
        "accuracy": evaluation.accuracy(),
        "by_class": evaluation.shown.figures.by_class,
        "by_picture": picture_rows(evaluation),
        "metric": evaluation.metric,
        "thresholds": _thresholds(evaluation.shown),
        "before_sweep": _setting(evaluation.shipped) if evaluation.best else None,
        "sweep": [_row(row) for row in evaluation.rows] if evaluation.best else [],
        "artifact": {
            "name": artifact.name,
            "version": artifact.version,
            "weights_sha256": artifact.weights_sha256,
            "precision": artifact.precision,
            "input": [artifact.height, artifact.width],
        },
        "data": {
            "path": str(evaluation.data.root),
            "layout": evaluation.layout,
            "split": options.split,
            "pictures": len(evaluation.seen),
            "objects": evaluation.objects,
            "object_pixels": evaluation.object_pixels,
            "fingerprint": fingerprint(Subset(evaluation.data, evaluation.seen)),
            "classes": dict(evaluation.pairing.becomes),
            "background": [n for n in evaluation.pairing.left_out if n != IGNORED],
            "broken": [str(error) for error in evaluation.broken],
        },
        "provider": evaluation.provider,
        "resize": evaluation.resize,
        "tiles": evaluation.tiles,
        **run,
    }


def _thresholds(setting: Setting) -> dict[str, float]:
    return {
        "seed_threshold": setting.seed_threshold,
        "score_threshold": setting.score_threshold,
        "min_pixels": setting.min_pixels,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {**_thresholds(setting), "accuracy": setting.accuracy()}


def _row(row: Row) -> dict[str, float]:
    values = {**row.counted.overall, **row.measured.overall}
    return {**row.cell._asdict(), **{name: round(value, 4) for name, value in values.items()}}
