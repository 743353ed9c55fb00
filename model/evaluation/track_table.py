"""Figures of tracks as text and as JSON. Pure."""

from typing import Any

import msgspec

from model.evaluation.on_tracks import Options, TrackReport
from model.evaluation.track_scores import TRACKEVAL

_COLUMNS = ("frames", "seen", "IDF1", "HOTA", "AssA", "MOTA", "switches", "fragments", "tracks")


def track_table(report: TrackReport, options: Options) -> str:
    """Return the figures for people: a row for each choice of frames."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for row in report.rows:
        s = row.scores
        shares = [f"{share:.3f}" for share in (s.idf1, s.hota, s.assa, s.mota)]
        counts = [str(s.switches), str(s.fragmentations), f"{s.found_tracks} of {s.true_tracks}"]
        rows.append((row.choice.name, str(row.frames), *shares, *counts))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([_heading(report, options), *lines])


def track_figures(report: TrackReport, options: Options) -> dict[str, Any]:
    """Return the figures as `seedstream evaluate --out` writes them."""
    rows = [
        {
            "every": row.choice.every,
            "drop": row.choice.drop,
            "seed": row.choice.seed,
            "frames": row.frames,
        }
        | {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in msgspec.structs.asdict(row.scores).items()
        }
        for row in report.rows
    ]
    return {
        "evaluator": TRACKEVAL,
        "first_frame": report.first,
        "last_frame": report.last,
        "class": options.class_name,
        "iou": options.iou,
        "precision": report.precision,
        "appearance": options.appearance,
        "confirmed_only": options.confirmed_only,
        "rows": rows,
    }


def _heading(report: TrackReport, options: Options) -> str:
    words = [
        f"frames {report.first}..{report.last}",
        options.class_name,
        f"IoU {options.iou:g}",
        report.precision or "",
        "" if options.appearance else "without appearance",
        "confirmed tracks only" if options.confirmed_only else "",
        TRACKEVAL.replace("==", " "),
    ]
    return ", ".join(word for word in words if word)
