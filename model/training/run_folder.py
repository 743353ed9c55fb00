"""Whether a folder may become that of a run: nothing in it is lost but what a run may replace."""

import json
from pathlib import Path
from typing import Any

from contract.errors import ConfigurationError
from contract.output_places import folder_fault
from model.training.checkpoints import BEST, Checkpoints
from model.training.run_identity import next_run
from model.training.settings import TrainSettings

CHECKPOINTS, RECORD, LOG, BOARD = "checkpoints", "run.json", "log.jsonl", "tensorboard"
"""What a run writes into its folder."""

_NOTES = (".err", ".log", ".md", ".out", ".toml", ".txt")
"""Endings of what people keep beside a run: its recipe, what it printed."""

_PARTIAL = ".partial"
_LISTED = 8


def check_run_folder(settings: TrainSettings) -> None:
    """Refuse a folder that cannot be written, or in which a new run would replace something else.

    A run that has a checkpoint to resume from goes on; that it is the same one is asked later. One
    that was stopped before its first checkpoint has nothing to lose and begins again.

    Args:
        settings: Of the run; ``out`` is its folder.

    Raises:
        ConfigurationError: It holds a run that cannot be resumed, or what no run wrote; or it
            cannot be written to.
    """
    out = settings.out
    fault = folder_fault(out) or folder_fault(out / CHECKPOINTS)
    if fault:
        raise ConfigurationError(f"--out: {fault}")
    try:
        if Checkpoints(out / CHECKPOINTS).all() or not out.is_dir():
            return
        faults = _lost_run(settings) or _foreign(out)
    except OSError as error:
        raise ConfigurationError(
            f"--out: {error.filename or out}: cannot be read: {error.strerror}; choose another "
            "--out"
        ) from error
    if faults:
        raise ConfigurationError(faults)


def _lost_run(settings: TrainSettings) -> list[str]:
    """Say what a new run would replace of one that has left weights or figures."""
    out = settings.out
    folder = out / CHECKPOINTS
    left = _names(folder) if folder.is_dir() else []
    left = [f"{CHECKPOINTS}/{name}" for name in left if not name.endswith(_PARTIAL)]
    record = out / RECORD
    if record.exists() and (left or not _has_only_begun(record)):
        left.append(RECORD)
    if not left:
        return []
    faults = [
        f"--out: {out}: holds {_listed(left)} and no {CHECKPOINTS}/step-*.pt, from which a run "
        "resumes: a new run would overwrite them; choose another --out, or remove the folder"
    ]
    if (folder / BEST).is_file():
        faults.append(next_run(settings))
    return faults


def _has_only_begun(record: Path) -> bool:
    """Whether ``run.json`` is that of a run of which no step was kept."""
    try:
        values: Any = json.loads(record.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and "attempts" in values and not values.get("done")


def _foreign(out: Path) -> list[str]:
    own = {CHECKPOINTS, RECORD, LOG, BOARD}
    found = [
        f"{name}/" if (out / name).is_dir() else name
        for name in _names(out)
        if name not in own and not name.endswith((_PARTIAL, *_NOTES))
    ]
    if not found:
        return []
    return [
        f"--out: {out}: holds {_listed(found)}, which no run has written, expected an empty folder "
        "or that of a run; choose another --out"
    ]


def _names(folder: Path) -> list[str]:
    """Names in a folder but hidden ones and what a file system keeps in its root."""
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if not name.startswith(".") and name != "lost+found"]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
