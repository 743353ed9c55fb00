"""Write what the pages repeat of the code: `make docs`. A test compares.

A page holds ``<!-- generated: KIND ARGUMENT -->`` ... ``<!-- end -->``; what stands between the two
is made from the code: settings, metrics, help pages, keys, fields, exit codes.
"""

import ast
import importlib
import inspect
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_origin

import typer
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from contract.connected_gauge import ConnectedGauge
from contract.frame import Frame, encode_frame
from contract.mask import encode_mask
from contract.result import Instance, ModelReference, Result, encode_result
from contract.settings import ESSENTIAL, settings_by_section
from docs.field_text import (
    field_default,
    field_meaning,
    field_value,
    first_paragraph,
    models_in,
    table,
    unquoted,
)
from planner.capacity import camera_bytes, camera_cores, frame_bytes, plan
from planner.load import Load
from planner.manifest_sizes import manifest_sizes
from planner.plan_report import amount
from planner.shares import MEAN_LOAD, PRODUCER_CORES
from planner.unit_costs import unit_costs
from producer.metrics import ProducerMetrics
from seedstream.cli import COMMANDS, build
from seedstream.options import default_text, variable
from viewer.web.metrics import ViewMetrics
from workers.metrics import WorkerMetrics

REPOSITORY = Path(__file__).resolve().parent.parent
SETTINGS = {
    "producer": "producer.settings:ProducerSettings",
    "worker": "workers.settings:WorkerSettings",
    "viewer": "viewer.settings:ViewerSettings",
    "view": "viewer.web.settings:ViewSettings",
    "dead": "viewer.settings:DeadSettings",
    "results": "seedstream.results.results_settings:ResultsSettings",
    "train": "model.training.settings:TrainSettings",
}
"""Processes whose settings the reference shows."""

METRICS: dict[str, Callable[[CollectorRegistry], object]] = {
    "producer": ProducerMetrics,
    "worker": WorkerMetrics,
    "view": ViewMetrics,
}
"""Processes whose metrics the reference shows."""

_BLOCK = re.compile(r"(<!-- generated: (\S+) ?(\S*) -->\n).*?(<!-- end -->)", re.DOTALL)
_HELP_COLUMNS = 88


def pages() -> list[Path]:
    """Return the Markdown files that may hold generated blocks."""
    return sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])


def fill(text: str) -> str:
    """Return a page with each generated block made anew."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n{BLOCKS[match[2]](match[3])}\n\n{match[4]}"

    return _BLOCK.sub(block, text)


def settings_tables(kind: type[BaseSettings]) -> str:
    """Return the settings of a class: what one sets, then, by section, what one may tune."""
    parts: list[str] = []
    for title, names in settings_by_section(kind).items():
        if title != ESSENTIAL and not any("What you may tune" in part for part in parts):
            parts.append("### What you may tune")
        rows = [
            (f"`{variable(kind, name)}`", f"`{default_text(field)}`", field_meaning(field))
            for name, field in ((name, kind.model_fields[name]) for name in names)
        ]
        parts.append(f"### {title}" if title == ESSENTIAL else f"**{title}**")
        parts.append(table(("variable", "default", "meaning"), rows))
    return "\n\n".join(parts)


def metrics_table(catalogue: object) -> str:
    """Return the metrics that an object has as attributes: name, type, labels, meaning."""
    rows = []
    for metric in vars(catalogue).values():
        if isinstance(metric, MetricWrapperBase | ConnectedGauge):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            names = getattr(metric, "_labelnames", ())  # no public way
            labels = ", ".join(f"`{label}`" for label in names)
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


def recording_rules() -> str:
    """Return what Prometheus computes once for all who ask."""
    folder = REPOSITORY / "deploy" / "monitoring" / "rules"
    rows = []
    for name in ("recording", "outages", "slo"):
        groups = yaml.safe_load((folder / f"{name}.yaml").read_text())["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            labels = ", ".join(f'{key}="{value}"' for key, value in rule.get("labels", {}).items())
            series = rule["record"] + (f"{{{labels}}}" if labels else "")
            rows.append((f"`{series}`", f"`{' '.join(rule['expr'].split())}`"))
    return table(("series", "computed from"), rows)


def help_pages() -> str:
    """Return the help page of every command, as a terminal shows it."""
    parts = []
    for name in ("", *COMMANDS):
        command: Any = typer.main.get_command(build([name]))
        context = _context(command, "seedstream", None)
        if name:
            command = command.commands[name]
            context = _context(command, name, context)
        parts.append(_help(command, context, "##"))
        for nested, each in getattr(command, "commands", {}).items() if name else ():
            parts.append(_help(each, _context(each, nested, context), "###"))
    return "\n\n".join(parts)


def _context(command: Any, name: str, parent: Any) -> Any:
    return typer.Context(command, info_name=name, parent=parent, terminal_width=_HELP_COLUMNS)


def _help(command: Any, context: Any, level: str) -> str:
    return f"{level} `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```"


def keys_tables(kind: type[BaseModel]) -> str:
    """Return the keys of a model, then of the models in it: value, default, meaning."""
    parts, waiting, seen = [], [("", kind)], {kind}
    while waiting:
        where, each = waiting.pop(0)
        rows = []
        for name, field in each.model_fields.items():
            for inner in models_in(field.annotation):
                if inner not in seen:
                    seen.add(inner)
                    repeated = get_origin(field.annotation) is tuple
                    path = f"{where.strip('[]')}.{name}".strip(".")
                    waiting.append((f"[[{path}]]" if repeated else f"[{path}]", inner))
            rows.append(
                (f"`{name}`", field_value(field), field_default(field), field_meaning(field))
            )
        if where:
            parts.append(f"### `{where}`\n\n{first_paragraph(each)}")
        parts.append(table(("key", "value", "default", "meaning"), rows))
    return "\n\n".join(parts)


def attributes_table(kind: type) -> str:
    """Return the attributes that a class documents in its docstring."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", listed, re.MULTILINE)
    rows = [(f"`{name}`", unquoted(" ".join(text.split()))) for name, text in found]
    return table(("field", "meaning"), rows)


def exit_codes() -> str:
    """Return every exit code with the docstring below it."""
    rows = []
    for file in ("contract/process.py", "stack/interrupts.py"):
        body = ast.parse((REPOSITORY / file).read_text()).body
        for statement, following in itertools.pairwise(body):
            match statement, following:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int(code))),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ) if name.startswith("EXIT_"):
                    rows.append((f"{code}", " ".join(text.split())))
    return table(("exit code", "meaning"), rows)


def recipes() -> str:
    """Return the recipes that are shipped, with the first sentence of each one's head."""
    rows = []
    for path in sorted((REPOSITORY / "model" / "recipes").glob("*.toml")):
        head = re.match(r"(?:#.*\n)+", path.read_text())
        text = " ".join((head[0] if head else "").replace("#", " ").split())
        rows.append((f"`{path.stem}`", re.split(r"(?<=[.:]) (?=[A-Z])", text)[0]))
    return table(("recipe", "what it is for"), rows)


def python_api(package: str) -> str:
    """Return a mkdocstrings directive for each public name, at the place where it is defined."""
    module = importlib.import_module(package)
    found = [getattr(module, name) for name in module.__all__]
    return "\n\n".join(f"::: {each.__module__}.{each.__qualname__}" for each in found)


_FRAME = Frame(
    camera="gate",
    session="0199d5a2-7c00-7000-8000-000000000001",
    sequence=7,
    captured_at=datetime(2026, 11, 28, 12, 0, tzinfo=UTC),
    width=768,
    height=576,
    data=b"\xff\xd8",
)


def frame_record() -> str:
    """Return the record of a frame: its key, value and headers."""
    key, _, headers = encode_frame(_FRAME)
    rows = [("key", f"`{key.decode()}`"), ("value", "the encoded image")]
    rows += [(f"header `{name}`", f"`{text.decode()}`") for name, text in headers]
    return table(("part", "example"), rows)


def result_document() -> str:
    """Return the result of a frame with one instance, as JSON."""
    import numpy as np

    mask = np.ones((75, 28), bool)
    instance = Instance(
        id=1,
        class_name="person",
        score=0.99,
        box=(315, 213, 28, 75),
        center=(328.5, 250.0),
        area=int(mask.sum()),
        mask=encode_mask(mask, (_FRAME.height, _FRAME.width), (315, 213)),
        track=1795867198400,
        age_seconds=1.6,
        velocity=(-12.5, 3.1),
        confirmed=True,
    )
    result = Result(
        camera=_FRAME.camera,
        session=_FRAME.session,
        sequence=_FRAME.sequence,
        captured_at=_FRAME.captured_at,
        processed_at=_FRAME.captured_at + timedelta(seconds=0.12),
        width=_FRAME.width,
        height=_FRAME.height,
        model=ModelReference("street", "1", "5f3a..."),
        latency_seconds=0.12,
        position=(11, 48213),
        instances=[instance],
    )
    text = json.dumps(json.loads(encode_result(result)), indent=2)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda match: " ".join(match[0].split()), text)
    return f"```json\n{text}\n```"


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def capacity_table(worker: str) -> str:
    """Return what plans for 1 to 10,000 cameras say, side by side."""
    kind: Literal["cpu", "gpu"] = "gpu" if worker == "gpu" else "cpu"
    plans = [
        plan(Load(cameras=cameras, worker=kind, worker_cores=16))
        for cameras in (1, 10, 100, 1_000, 10_000)
    ]
    lines = [
        "| | " + " | ".join(f"{each.load.cameras:,}" for each in plans) + " |",
        "|---|" + "--:|" * len(plans),
    ]
    for needs in zip(*(each.needs for each in plans), strict=True):
        first = needs[0]
        unit = "" if first.unit == first.name else f", {first.unit}"
        values = " | ".join(amount(need.value) for need in needs)
        lines.append(f"| {first.part}: {first.name}{unit}{'*' * first.assumed} | {values} |")
    return "\n".join(lines)


def producer_sizes() -> str:
    """Return what cameras of several sizes cost their producer."""
    head = (
        "camera, 25 frames/s, 5 published",
        *("cores", "memory, MiB", "a frame, kB", "a frame with `max_side` 768, kB"),
        f"cameras a pod of {PRODUCER_CORES} cores",
        "its memory request",
    )
    rows = []
    costs = unit_costs()
    for width, height in ((3840, 2160), (1920, 1080), (1280, 720), (768, 576), (640, 360)):
        load = Load(cameras=1, width=width, height=height)
        whole = replace(load, max_side=None)
        count = int(MEAN_LOAD * PRODUCER_CORES / camera_cores(load, costs))
        sizes = manifest_sizes(plan(replace(load, cameras=count, worker="gpu")))
        (request,) = [each.value for each in sizes if each.name == "requests.memory"]
        frames = [frame_bytes(each, costs)[0] / 1000 for each in (whole, load)]
        cells = (camera_cores(load, costs), camera_bytes(load, costs) / 2**20, *frames, count)
        rows.append((f"{width}x{height}", *(amount(cell) for cell in cells), request))
    return table(head, rows)


BLOCKS: dict[str, Callable[[str], str]] = {
    "settings": lambda process: settings_tables(_named(SETTINGS[process])),
    "metrics": lambda process: metrics_table(METRICS[process](CollectorRegistry())),
    "recording-rules": lambda _: recording_rules(),
    "help-pages": lambda _: help_pages(),
    "keys": lambda place: keys_tables(_named(place)),
    "attributes": lambda place: attributes_table(_named(place)),
    "exit-codes": lambda _: exit_codes(),
    "recipes": lambda _: recipes(),
    "python-api": python_api,
    "capacity": lambda worker: capacity_table(worker),
    "producer-sizes": lambda _: producer_sizes(),
    "frame-record": lambda _: frame_record(),
    "result-document": lambda _: result_document(),
}
"""Makers of the generated blocks by their kind; each takes the marker's argument."""


if __name__ == "__main__":
    for page in pages():
        before = page.read_text()
        after = fill(before)
        if after != before:
            page.write_text(after)
            print(f"wrote {page.relative_to(REPOSITORY)}")
