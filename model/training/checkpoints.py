"""Checkpoints of a run, to go on as if nothing had happened.

A checkpoint is written beside its place and renamed, so no stop leaves half a file.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from contract.errors import ConfigurationError
from model.net.checkpoint import read_state

_NAME = re.compile(r"step-(\d{8})\.pt")
BEST = "best.pt"
_KEPT = 2
"""Newest checkpoints that are kept, besides the best one: the last one may be damaged."""

_KEYS = ("step", "identity", "best", "model_state_dict", "optimizer_state_dict")


def is_better(score: float | None, loss: float, best: Mapping[str, Any]) -> bool:
    """Whether weights are better than the best ones of earlier steps.

    The score decides; of equal ones the validation loss does, and where that is equal as well the
    later step wins: a score of 0 from the first to the last step says nothing for the first.

    Args:
        score: Of the weights' validation; None where it found nothing to measure by.
        loss: The validation's loss.
        best: ``score``, ``loss`` and ``step`` (0: none yet) of the best ones; runs of older
            versions have no ``loss``.
    """
    if not best["step"]:
        return True
    new, old = (-1.0 if each is None else each for each in (score, best["score"]))
    if new != old:
        return new > old
    return _finite(loss) <= _finite(best.get("loss", math.inf))


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, in ``RUN/checkpoints``: the newest ones and the best.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def all(self) -> list[Path]:
        """Return the checkpoints by step, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def save(self, state: dict[str, Any], step: int) -> Path:
        """Write a checkpoint and remove those that are too many."""
        path = self.folder / f"step-{step:08d}.pt"
        _write(state, path)
        for old in self.all()[:-_KEPT]:
            old.unlink()
        return path

    def save_best(self, state: dict[str, Any]) -> Path:
        """Write the best weights so far."""
        path = self.folder / BEST
        _write(state, path)
        return path

    def newest(self) -> dict[str, Any] | None:
        """Read the newest checkpoint, or return None where there is none.

        Raises:
            ConfigurationError: It cannot be read.
        """
        paths = self.all()
        if not paths:
            return None
        hint = "; remove it to resume from the previous one"
        try:
            state = read_state(paths[-1])
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}{hint}") from error
        missing = [key for key in _KEYS if key not in state]
        if missing:
            raise ConfigurationError(
                f"{paths[-1]}: not a checkpoint of a run: {missing} missing{hint}"
            )
        return state


def _write(state: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob("*.partial"):  # of a killed run
        left.unlink()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
