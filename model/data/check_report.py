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
from contract.output_places import file_fault, is_folder
from contract.process import EXIT_FAILED, EXIT_OK
from model.data.check import Report, check, count_classes
from model.data.data_set import DataSet, Split
from model.data.doubts import classes_without_objects, dark_depth, doubts, too_small
from model.data.fault_groups import describe_faults
from model.data.flaws import describe_flaws
from model.data.label_maps import CARD, read_card
from model.data.layouts import Layout
from model.data.leaks import describe_leaks
from model.data.open import detect, open_data_set
from model.data.sheet import contact_sheet
from model.recipes.recipe import load_recipe

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
    recipe: str | None = None,
) -> int:
    """Check a data set and print what was found; returns the exit code.

    Args:
        path: The data set.
        layout: What to take it for.
        split: Which part.
        classes: Which classes; None takes all.
        sheet: Where to draw pictures; None draws none.
        limit: Most pictures to read, evenly spread; None reads all.
        json_out: Where all figures go; None writes none.
        recipe: Recipe at whose input size objects are counted too; None does without.

    Returns:
        1 if a file is broken or there is no object at all, else 0.

    Raises:
        ConfigurationError: It cannot be opened or has no pictures, or an output has no folder or
            cannot be written.
    """
    _refuse_outputs(sheet, json_out)
    model = None if recipe is None else load_recipe(recipe)
    _refuse_new_names(path, layout, classes)
    data = open_data_set(path, layout=layout, split=split, classes=classes)
    if not len(data):
        raise ConfigurationError(f"{path}: no pictures in the part {split!r}")
    indices = _spread(range(len(data)), limit or len(data))
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=len(indices))
        report = check(data, indices, done=lambda: progress.advance(task))
    summary = summarize(report, _splits(report, data, path, layout, split, classes))
    summary["notes"] += [
        *doubts(report, data.names),
        *_leaks(path, layout, split, classes),
        *_depth(data, path),
        *classes_without_objects(report),
    ]
    if len(indices) < len(data):
        summary["notes"].append(f"only {len(indices)} of {len(data)} pictures were read (--limit)")
    if model is not None:
        summary |= at_input(report, model.input_size, model.min_pixels)
    _print(summary, report, console)
    if json_out:
        json_out.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
    if sheet:
        _draw(data, report, sheet, console)
    return EXIT_FAILED if report.broken or not report.instances else EXIT_OK


def _print(summary: Mapping[str, Any], report: Report, console: Console) -> None:
    # Rich would cut cells that do not fit a narrow or redirected output.
    wide = Console(width=max(console.width, 110))
    wide.print(class_table(summary["classes"]))
    if "at_input" in summary:
        size = summary["at_input"]
        wide.print(
            f"at the model's input of {size['width']}x{size['height']} pixels:", highlight=False
        )
        wide.print(class_table(size["classes"]))
    for sentence in sentences(summary):
        console.print(escape(sentence), soft_wrap=True, highlight=False)
    lines = [f"[red]broken:[/] {escape(text)}" for text in describe_faults(report.broken)]
    if not report.instances:
        lines.append(f"[red]no objects:[/] {escape(why_none(report))}")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def why_none(report: Report) -> str:
    """Return why there is nothing to learn in a data set without any object."""
    good = len(report.pictures)
    if not good:
        return "not one picture is good, see above"
    ignored = sum(found.ignored > 0 for found in report.pictures.values())
    if not ignored:
        return f"none in {good} pictures: are the labels where this layout has them?"
    return (
        f"{ignored} of {good} pictures have only ignored regions: are single objects marked as "
        "crowds (iscrowd), or lost for the reasons above?"
    )


def at_input(report: Report, input_size: tuple[int, int], min_pixels: int) -> dict[str, Any]:
    """Return, for JSON, what a model sees of the objects whose input the pictures are fitted into.

    Args:
        report: What the check found.
        input_size: (height, width) of the input in pixels.
        min_pixels: Smallest instance in pixels of the input.
    """
    return {
        "at_input": {
            "height": input_size[0],
            "width": input_size[1],
            "min_pixels": min_pixels,
            "classes": [asdict(row) for row in count_classes(report, input_size)],
            "notes": too_small(report, input_size, min_pixels),
        }
    }


def _refuse_outputs(sheet: Path | None, json_out: Path | None) -> None:
    faults = []
    for out in (sheet, json_out):
        if out and not is_folder(out.parent):
            faults.append(f"{out}: the folder {out.parent} does not exist")
        elif out and (fault := file_fault(out)):
            faults.append(fault)
    if sheet and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        faults.append(f"--sheet {sheet}: expected a name ending in .jpg, .jpeg or .png")
    if faults:
        raise ConfigurationError(faults)


def _refuse_new_names(path: Path, layout: Layout, classes: Sequence[str] | None) -> None:
    """Refuse names that label maps with names of their own do not have; they would be renamed.

    Raises:
        ConfigurationError: There are such.
    """
    if not classes or not path.is_dir():
        return
    if (detect(path) if layout == "auto" else layout) != "label-maps":
        return
    named = read_card(path).get("classes", [])
    unknown = [name for name in classes if name not in named]
    if named and unknown:
        raise ConfigurationError(
            f"{path}: --classes names {unknown}, expected some of those that its {CARD} names: "
            f"{list(named)}; to rename them, change {CARD}"
        )


def _splits(
    report: Report,
    data: DataSet,
    path: Path,
    layout: Layout,
    split: Split,
    classes: Sequence[str] | None,
) -> dict[str, int]:
    """Count the good pictures of each part of what was read."""
    if split != "all":
        return {split: len(report.pictures)}
    counts = {}
    for part in ("train", "validation"):
        names = set(open_data_set(path, layout=layout, split=part, classes=classes).names)
        counts[part] = sum(data.names[index] in names for index in report.pictures)
    return counts


def _leaks(path: Path, layout: Layout, split: Split, classes: Sequence[str] | None) -> list[str]:
    if split != "all":
        return []
    parts = [
        open_data_set(path, layout=layout, split=part, classes=classes)
        for part in ("train", "validation")
    ]
    return describe_leaks(parts[:1], parts[1])


def _depth(data: DataSet, path: Path) -> list[str]:
    """Doubts about pictures of 16 bits, unless the data set says how bright they are."""
    card = read_card(path) if path.is_dir() else {}
    return [] if {"bits", "black", "white"} & card.keys() else dark_depth(data)


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
        splits: Number of good pictures by name of the split.
    """
    good = list(report.pictures.values())
    pixels = max(sum(f.height * f.width for f in good), 1)
    counts = [len(f.areas) for f in good]
    sizes = Counter((f.height, f.width) for f in good)
    return {
        "pictures": len(good),
        "looked_at": report.looked,
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
        "flaws": describe_flaws(report.flaws),
        "notes": list(report.notes),
    }


def class_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the classes; those that nothing shows are left out of a long one."""
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
    bad = summary["looked_at"] - summary["pictures"]
    broken = f", {bad} broken pictures" if bad else ""
    return [
        f"{summary['pictures']} good pictures ({splits}), {summary['instances']} instances{broken}",
        f"instances in a picture: median {per_picture['median'] or 0:g}, "
        f"most {per_picture['most'] or 0}; "
        f"{summary['pictures_without_instances']} pictures have none",
        f"foreground {100 * summary['foreground_share']:.1f} % of the pixels, "
        f"ignored {100 * summary['ignored_share']:.1f} %",
        f"sizes (width x height): {', '.join(sizes[:_SIZES]) or '-'}{more}",
        *(f"flaw: {flaw}" for flaw in summary["flaws"]),
        *(f"note: {note}" for note in summary["notes"]),
        *(f"note: {note}" for note in summary.get("at_input", {}).get("notes", ())),
    ]
