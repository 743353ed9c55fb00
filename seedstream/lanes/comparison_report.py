"""What ``seedstream models compare`` prints: tables for people, or JSON."""

import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seedstream.lanes.frame_agreement import FrameAgreement, Sums
from seedstream.lanes.lane_comparison import Comparison

_QUANTILES = {"p50": 0.5, "p95": 0.95}
_MOST_CAMERAS = 50
"""Cameras of which people are told, those that differ most first; JSON has all."""


def as_json(found: Comparison) -> str:
    """Return the whole comparison as a JSON document."""
    lanes = [
        {"prefix": prefix, "models": models, "cameras_only_here": lonely}
        for prefix, models, lonely in zip(found.prefixes, found.models, found.lonely, strict=True)
    ]
    return json.dumps(
        {
            "first": lanes[0],
            "second": lanes[1],
            "total": _figures(found.total),
            "cameras": {name: _figures(sums) for name, sums in sorted(found.cameras.items())},
            "worst": [_frame(frame) for frame in found.worst],
        },
        indent=2,
        ensure_ascii=False,
    )


def print_report(found: Comparison, console: Console) -> None:
    """Print the comparison for people."""
    for place, prefix, models in zip(
        ("first", "second"), found.prefixes, found.models, strict=True
    ):
        console.print(f"{place:<7}{prefix}: {', '.join(models)}", markup=False)
    console.print(_totals(found.total))
    console.print(_cameras(found.cameras))
    left = len(found.cameras) - _MOST_CAMERAS
    if left > 0:
        console.print(f"... and {left} more cameras: --json has all", markup=False)
    for prefix, lonely in zip(found.prefixes, found.lonely, strict=True):
        if lonely:
            console.print(f"only under {prefix}: {', '.join(lonely)}", markup=False)
    if found.total.unreadable:
        console.print(
            f"{found.total.unreadable} frames left out: masks that are none", markup=False
        )
    if not found.worst:
        console.print("no frame in which one lane found what the other did not", markup=False)
        return
    console.print("\nframes with most instances that only one found:", markup=False)
    console.print(_worst(found.worst))
    frame = found.worst[0].first
    console.print(
        "to see one: seedstream render --out overlay --camera "
        f"{frame.camera} --frame {frame.session}/{frame.sequence} "
        f"--result-prefix {found.prefixes[0]}; then --result-prefix {found.prefixes[1]}",
        markup=False,
        soft_wrap=True,
    )


def _figures(sums: Sums) -> dict[str, Any]:
    frames = sums.frames or None
    return {
        "frames": sums.frames,
        "frames_only_first": sums.only_first,
        "frames_only_second": sums.only_second,
        "frames_unreadable": sums.unreadable,
        "instances": dict(zip(("first", "second"), map(_total, sums.classes), strict=True)),
        "classes": {
            name: {"first": sums.classes[0][name], "second": sums.classes[1][name]}
            for name in sorted({*sums.classes[0], *sums.classes[1]})
        },
        "matched": sums.matched,
        "share_of_first_found_in_second": _rounded(sums.found[0]),
        "share_of_second_found_in_first": _rounded(sums.found[1]),
        "mean_iou": _rounded(sums.mean_iou),
        "matched_but_for_the_class": sums.other_class,
        "more_instances_a_frame": _rounded(frames and sums.count_difference / frames),
        "count_distance_a_frame": _rounded(frames and sums.count_distance / frames),
        "latency_seconds": {
            name: {word: _rounded(sums.latency(side, q)) for word, q in _QUANTILES.items()}
            for side, name in enumerate(("first", "second"))
        },
    }


def _frame(frame: FrameAgreement) -> dict[str, Any]:
    return {
        "camera": frame.first.camera,
        "session": frame.first.session,
        "sequence": frame.first.sequence,
        "captured_at": frame.first.captured_at.astimezone(UTC).isoformat(),
        "instances": {"first": len(frame.first.instances), "second": len(frame.second.instances)},
        "matched": len(frame.ious),
        "mean_iou": _rounded(sum(frame.ious) / len(frame.ious) if frame.ious else None),
        "matched_but_for_the_class": frame.other_class,
    }


def _totals(sums: Sums) -> Table:
    table = _table(("", "first", "second"))
    totals = [str(_total(side)) for side in sums.classes]
    table.add_row("frames of both", str(sums.frames), str(sums.frames))
    table.add_row("frames of one alone", str(sums.only_first), str(sums.only_second))
    table.add_row("instances", *totals)
    for name in sorted({*sums.classes[0], *sums.classes[1]}):
        table.add_row(f"  {escape(name)}", *(str(side[name]) for side in sums.classes))
    table.add_row("found by the other", *map(_percent, sums.found))
    table.add_row("  mean IoU", _number(sums.mean_iou), _number(sums.mean_iou))
    table.add_row("  but for the class", str(sums.other_class), str(sums.other_class))
    for word, q in _QUANTILES.items():
        table.add_row(f"latency {word}", *(_seconds(sums.latency(side, q)) for side in (0, 1)))
    return table


def _cameras(cameras: dict[str, Sums]) -> Table:
    table = _table(
        ("camera", "frames", "first", "second", "more a frame", "1 in 2", "2 in 1", "mean IoU")
    )
    ordered = sorted(cameras.items(), key=lambda each: (_distance(each[1]), each[0]), reverse=True)
    for name, sums in ordered[:_MOST_CAMERAS]:
        more = sums.count_difference / sums.frames if sums.frames else None
        table.add_row(
            escape(name),
            str(sums.frames),
            *(str(_total(side)) for side in sums.classes),
            "-" if more is None else f"{more:+.2f}",
            *map(_percent, sums.found),
            _number(sums.mean_iou),
        )
    return table


def _worst(frames: Iterable[FrameAgreement]) -> Table:
    table = _table(("camera", "frame", "captured (UTC)", "first", "second", "matched"))
    for frame in frames:
        captured = frame.first.captured_at.astimezone(UTC)
        table.add_row(
            escape(frame.first.camera),
            f"{frame.first.session}/{frame.first.sequence}",
            f"{captured:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            str(len(frame.first.instances)),
            str(len(frame.second.instances)),
            str(len(frame.ious)),
        )
    return table


def _table(head: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(head):
        words = number == 0 or name in ("frame", "captured (UTC)")
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    return table


def _distance(sums: Sums) -> float:
    """Return the instances a frame that only one lane found."""
    apart = sum(map(_total, sums.classes)) - 2 * sums.matched
    return apart / sums.frames if sums.frames else 0.0


def _total(classes: "dict[str, int]") -> int:
    return sum(classes.values())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.0f} ms"
