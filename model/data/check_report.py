"""The work of ``seedstream dataset check``: what a check found, for people and for programs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from contract.errors import ConfigurationError
from contract.process import EXIT_FAILED, EXIT_OK
from model.data.check import Report, check, count_classes
from model.data.data_set import DataSet, Split
from model.data.open import Layout, open_data_set
from model.data.sheet import contact_sheet

_SIZES = 5
"""Picture sizes that are listed."""

SHEET_PICTURES, SHEET_COLUMNS, SHEET_SIDE = 24, 6, 320


def run_check(
    path: Path,
    layout: Layout,
    split: Split,
    classes: Sequence[str] | None,
    sheet: Path | None,
    limit: int | None,
    json_out: Path | None,
) -> int:
    """Check a data set and print what was found; returns the exit code.

    Raises:
        ConfigurationError: It cannot be opened or has no pictures, or an output has no folder.
    """
    _refuse_outputs(sheet, json_out)
    data = open_data_set(path, layout=layout, split=split, classes=classes)
    if not len(data):
        raise ConfigurationError(f"{path}: no pictures in the part {split!r}")
    indices = _spread(range(len(data)), limit or len(data))
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=len(indices))
        report = check(data, indices, done=lambda: progress.advance(task))
    summary = summarize(report, _splits(data, path, layout, split, classes))
    if len(indices) < len(data):
        summary["notes"].append(f"only {len(indices)} of {len(data)} pictures were read (--limit)")
    # Rich would cut cells that do not fit a narrow or redirected output.
    Console(width=max(console.width, 110)).print(class_table(summary))
    for sentence in sentences(summary):
        console.print(escape(sentence), soft_wrap=True, highlight=False)
    for fault in summary["broken"]:
        console.print(
            f"[red]broken:[/] {escape(fault['path'])}: {escape(fault['reason'])}",
            soft_wrap=True,
            highlight=False,
        )
    if json_out:
        json_out.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
    if sheet:
        _draw(data, report, sheet, console)
    return EXIT_FAILED if report.broken else EXIT_OK


def _refuse_outputs(sheet: Path | None, json_out: Path | None) -> None:
    faults = [
        f"{out}: the folder {out.parent} does not exist"
        for out in (sheet, json_out)
        if out and not out.parent.is_dir()
    ]
    if sheet and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        faults.append(f"--sheet {sheet}: expected a name ending in .jpg, .jpeg or .png")
    if faults:
        raise ConfigurationError(faults)


def _splits(
    data: DataSet, path: Path, layout: Layout, split: Split, classes: Sequence[str] | None
) -> dict[str, int]:
    """Count the pictures of each part of what is read."""
    if split != "all":
        return {split: len(data)}
    train = len(open_data_set(path, layout=layout, split="train", classes=classes))
    return {"train": train, "validation": len(data) - train}


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """Return ``count`` of the indices, evenly spread, or all where there are fewer."""
    if count >= len(indices):
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def _draw(data: DataSet, report: Report, path: Path, console: Console) -> None:
    chosen = _spread(list(report.pictures), SHEET_PICTURES)
    if not chosen:
        console.print(f"{path}: not drawn: no good picture", highlight=False, soft_wrap=True)
        return
    drawn = contact_sheet([data.read(index) for index in chosen], SHEET_COLUMNS, SHEET_SIDE)
    Image.fromarray(drawn).save(path, quality=90)
    console.print(f"sheet of {len(chosen)} pictures: {path}", highlight=False, soft_wrap=True)


def summarize(report: Report, splits: Mapping[str, int]) -> dict[str, Any]:
    """Return the report as values for JSON: pictures, shares 0..1, classes, broken files, notes.

    Args:
        report: What the check found.
        splits: Number of pictures by name of the split, of the whole data set.
    """
    good = list(report.pictures.values())
    pixels = max(sum(f.height * f.width for f in good), 1)
    counts = [len(f.areas) for f in good]
    sizes = Counter((f.height, f.width) for f in good)
    return {
        "pictures": len(good),
        "splits": dict(splits),
        "instances": sum(counts),
        "pictures_without_instances": sum(not count for count in counts),
        "instances_per_picture": {
            "median": float(np.median(counts)) if counts else None,
            "most": max(counts, default=None),
        },
        "foreground_share": sum(f.foreground for f in good) / pixels,
        "ignored_share": sum(f.ignored for f in good) / pixels,
        "sizes": [
            {"height": height, "width": width, "pictures": count}
            for (height, width), count in sizes.most_common()
        ],
        "classes": [asdict(row) for row in count_classes(report)],
        "broken": [{"path": str(b.path), "reason": b.reason} for b in report.broken],
        "notes": list(report.notes),
    }


def class_table(summary: Mapping[str, Any]) -> Table:
    """Return the table of the classes; those that nothing shows are left out of a long one."""
    rows = summary["classes"]
    shown = [row for row in rows if row["instances"] or len(rows) <= 20]
    hidden = len(rows) - len(shown)
    table = Table(caption=f"{hidden} classes without instances are not listed" if hidden else None)
    table.add_column("class", no_wrap=True)
    numbers = ("pictures", "instances", "small", "medium", "large")
    for title in (*numbers, "extent 5/50/95 %", "pixels"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in shown:
        extents = row["extents"]
        table.add_row(
            row["name"],
            *(str(row[key]) for key in numbers),
            " / ".join(f"{value:.0f}" for value in extents) if extents else "-",
            f"{100 * row['pixel_share']:.2f} %",
        )
    return table


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what the table does not say, one sentence each."""
    splits = ", ".join(f"{name} {count}" for name, count in summary["splits"].items())
    per_picture = summary["instances_per_picture"]
    sizes = [f"{s['width']}x{s['height']} ({s['pictures']})" for s in summary["sizes"]]
    more = f" and {len(sizes) - _SIZES} more" if len(sizes) > _SIZES else ""
    return [
        f"{summary['pictures']} good pictures ({splits}), {summary['instances']} instances",
        f"instances in a picture: median {per_picture['median'] or 0:g}, "
        f"most {per_picture['most'] or 0}; "
        f"{summary['pictures_without_instances']} pictures have none",
        f"foreground {100 * summary['foreground_share']:.1f} % of the pixels, "
        f"ignored {100 * summary['ignored_share']:.1f} %",
        f"sizes (width x height): {', '.join(sizes[:_SIZES])}{more}",
        *(f"note: {note}" for note in summary["notes"]),
    ]
