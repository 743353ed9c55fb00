"""Print a plan."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from msgspec import structs

from planner.load import Plan
from planner.manifest_sizes import manifest_sizes


def as_text(plan: Plan) -> str:
    """Return the plan as lines of plain text."""
    load = plan.load
    lines = [
        f"{load.cameras:,} cameras, {load.fps:g} of {load.camera_fps:g} frames/s published, "
        f"{load.width}x{load.height} pixels, published as {load.published[0]}x{load.published[1]}, "
        f"{load.objects:g} objects a frame",
        "",
    ]
    rows = [
        (need.part, need.name, amount(need.value), need.unit + "*" * need.assumed, need.because)
        for need in plan.needs
    ]
    lines += _table([("part", "what", "how much", "", "because"), *rows])
    lines += ["", "How many of these cameras use up one of each; what is full first comes first:"]
    lines += _table(
        [
            (each.part, amount(each.cameras) + "*" * each.assumed, f"use up {each.because}")
            for each in plan.limits
        ]
    )
    lines += ["", "What that comes to in the manifests (deploy/k8s/overlays/production):"]
    lines += _table([(each.place, each.name, each.value) for each in manifest_sizes(plan)])
    lines += ["", *(f"warning: {text}\n" for text in plan.warnings)]
    lines.append(
        "* rests on an assumption; `--json` lists every cost, its source and which were measured"
    )
    return "\n".join(lines)


def as_json(plan: Plan) -> str:
    """Return the plan, and the costs it was counted from, as JSON."""
    document = _plain(plan)
    document["unit_costs"] = {name: structs.asdict(cost) for name, cost in plan.costs.items()}
    return json.dumps(document, indent=2)


def _plain(plan: Plan) -> dict[str, Any]:
    """Return what a plan says, as plain values."""
    return {
        "load": asdict(plan.load),
        "needs": [asdict(each) for each in plan.needs],
        "limits": [asdict(each) for each in plan.limits],
        "manifests": [asdict(each) for each in manifest_sizes(plan)],
        "warnings": list(plan.warnings),
    }


def amount(value: float) -> str:
    """Return a number as people write it: whole ones whole, others with three digits."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
