"""The camera tutorial, from the video to the released model, held against a truth of its own.

``python -m benchmarks.bench_made_entrance``: runs the commands of "Try it on a made camera" in
``docs/train/labels-from-a-camera.md`` as they stand there, one after the other in an empty folder,
and keeps the figures of the last one, `evaluate` on the ten seconds that nothing was learned from.
A quarter of an hour to an hour on two cores with bfloat16; ``--hours`` bounds each command.

It ends with 1 where recall or precision are below the bar.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import RESULTS, ROOT, describe

PAGE = ROOT / "docs" / "train" / "labels-from-a-camera.md"
SECTION = "## Try it on a made camera"
BAR = 0.95
COLUMNS = ("AP@0.5", "mean AP", "recall", "precision", "F1", "IoU")


def commands(page: str) -> list[str]:
    """Return the command lines of the page's section, in order.

    Raises:
        ValueError: The page has no such section, or the section no command.
    """
    _, found, rest = page.partition(f"\n{SECTION}\n")
    section = rest.partition("\n## ")[0]
    lines = [line[2:] for line in section.splitlines() if line.startswith("$ ")]
    if not found or not lines:
        raise ValueError(f"{SECTION!r}: expected this section with lines that begin with '$ '")
    return lines


def figures(printed: str) -> dict[str, float]:
    """Return what `seedstream evaluate` printed of all classes together.

    Raises:
        ValueError: It printed no such table.
    """
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in printed.splitlines()
        if line.startswith("|")
    ]
    heads = [row for row in rows if row[0] == "class"]
    alls = [row for row in rows if row[0] == "all"]
    if len(heads) != 1 or len(alls) != 1:
        raise ValueError(f"expected a table with a row of all classes, found:\n{printed}")
    named = dict(zip(heads[0], alls[0], strict=True))
    return {name: float(named[name]) for name in COLUMNS}


def run(line: str, folder: Path, hours: float) -> tuple[str, float]:
    """Run a command of the page; return what it printed, and the seconds that it took.

    Raises:
        subprocess.CalledProcessError: It failed.
        subprocess.TimeoutExpired: It took longer.
    """
    name, *arguments = shlex.split(line)
    module = ["-m", "seedstream"] if name == "seedstream" else []
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *module, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600 * hours,
        check=True,
    )
    return done.stdout, time.monotonic() - began


def follow(lines: Sequence[str], hours: float) -> tuple[list[dict[str, object]], dict[str, float]]:
    """Return each command with its minutes, and the last one's figures.

    The folder is kept where a command fails: a training is in it.
    """
    steps: list[dict[str, object]] = []
    printed = ""
    folder = Path(tempfile.mkdtemp(prefix="seedstream-entrance-"))
    for line in lines:
        print(f"$ {line}   # in {folder}", flush=True)
        printed, seconds = run(line, folder, hours)
        print(printed, flush=True)
        steps.append({"command": line, "minutes": round(seconds / 60, 1)})
    found = figures(printed)
    shutil.rmtree(folder)
    return steps, found


def main() -> None:
    """Follow the tutorial, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=2.0, help="most for each command")
    hours = parser.parse_args().hours
    about = describe()
    steps, found = follow(commands(PAGE.read_text()), hours)
    moment = str(about["measured_at"])[:19].replace(":", "")
    file = f"made-entrance-{moment}.json"
    result = {**about, "steps": steps, "figures": found, "bar": BAR}
    (RESULTS / file).write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "made-entrance.md").write_text(_page(steps, found, file))
    if min(found["recall"], found["precision"]) < BAR:
        sys.exit(f"recall {found['recall']}, precision {found['precision']}: the bar is {BAR}")


def _page(steps: Sequence[dict[str, object]], found: dict[str, float], file: str) -> str:
    lines = [
        "# The camera tutorial on a made camera",
        "",
        "`python -m benchmarks.bench_made_entrance`: the commands of the tutorial's made camera as "
        f"they stand there, the last one on its truth. Bar: recall and precision {BAR}.",
        "",
        "| " + " | ".join(found) + " |",
        "|" + " ---: |" * len(found),
        "| " + " | ".join(f"{value:.3f}" for value in found.values()) + " |",
        "",
        "| command | minutes |",
        "| --- | ---: |",
        *(f"| `{step['command']}` | {step['minutes']} |" for step in steps),
        "",
        f"{file} has the machine and the versions.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
