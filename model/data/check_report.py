"""``seedstream dataset check``: read, print, draw."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from contract.errors import ConfigurationError
from contract.process import EXIT_FAILED, EXIT_OK
from model.data.check import Report, check
from model.data.data_set import DataSet, Split
from model.data.open import Layout, open_data_set
from model.data.report import class_table, sentences, summarize
from model.data.sheet import contact_sheet

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
        f"{out}: there is no folder {out.parent} to write it to"
        for out in (sheet, json_out)
        if out and not out.parent.is_dir()
    ]
    if sheet and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        faults.append(f"--sheet {sheet}: expected a name that ends in .jpg, .jpeg or .png")
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
        console.print(
            f"{path}: not drawn, there is no good picture", highlight=False, soft_wrap=True
        )
        return
    drawn = contact_sheet([data.read(index) for index in chosen], SHEET_COLUMNS, SHEET_SIDE)
    Image.fromarray(drawn).save(path, quality=90)
    console.print(f"sheet of {len(chosen)} pictures: {path}", highlight=False, soft_wrap=True)
