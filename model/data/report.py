"""Tell people, and programs, what a check of a data set found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from model.data.check import Report, count_classes

_SIZES = 5
"""Picture sizes that are listed."""


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
