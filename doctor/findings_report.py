"""Findings for people and for programs; what a server or camera says is shown without secrets.

Library: rich.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contract.redaction import redact
from doctor.findings import Finding, Status

_STYLES: dict[Status, str] = {
    "ok": "green",
    "warning": "yellow",
    "fault": "bold red",
    "skipped": "dim",
}


def without_secrets(findings: Iterable[Finding], secrets: Iterable[str]) -> list[Finding]:
    """Return findings without credentials, and without characters that a terminal would obey.

    Args:
        findings: What was found.
        secrets: Passwords of the settings: they are taken out wherever they stand.
    """
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def clean(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, "***")
        text = redact(text)
        return "".join(each if each.isprintable() else " " for each in text)

    return [
        replace(each, seen=clean(each.seen), advice=clean(each.advice), check=clean(each.check))
        for each in findings
    ]


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many findings there are of each status."""
    return {status: sum(each.status == status for each in findings) for status in _STYLES}


def as_json(findings: Sequence[Finding]) -> str:
    """Return findings as one JSON document."""
    document = {"counts": counts(findings), "findings": [asdict(each) for each in findings]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def print_table(findings: Sequence[Finding], console: Console) -> None:
    """Print findings by process and part, each warning and fault with what to do."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.process, each.part), []).append(each)
    for (process, part), group in groups.items():
        console.print(Text(" ".join(filter(None, (process, part))), style="bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=7)
        table.add_column(ratio=2, max_width=30, overflow="fold")
        table.add_column(ratio=5, overflow="fold")
        for each in group:
            text = Text(each.seen)
            if each.advice:
                text.append(f"\n→ {each.advice}")
            table.add_row(Text(each.status, style=_STYLES[each.status]), Text(each.check), text)
        console.print(Padding(table, (0, 0, 1, 2)))
    console.print(Text(", ".join(_counted(*each) for each in _summary(findings))))


def _summary(findings: Sequence[Finding]) -> list[tuple[int, str]]:
    told = counts(findings)
    return [(told[status], status) for status in ("fault", "warning", "ok", "skipped")]


def _counted(number: int, status: str) -> str:
    plural = "s" if status in ("fault", "warning") and number != 1 else ""
    return f"{number} {status}{plural}"
