"""What makes a run this run and no other, and the command that goes on where it may not."""

import shlex
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.recipes.recipe import Recipe
from model.training.settings import TrainSettings


def differences(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return why a run that is kept in ``folder`` cannot go on as another; nothing if it can.

    Args:
        folder: For the messages.
        old: Identity of the run that is kept; what recipes have got since counts by its default.
        new: Identity of the run that is wanted.
    """
    kept = _with_defaults(old)
    return [
        f"{folder}: holds a run with another {key}: {_difference(kept.get(key), value)}; "
        "choose another --out or remove the folder"
        for key, value in new.items()
        if kept.get(key) != value
    ]


def next_run(settings: TrainSettings) -> str:
    """Name the command that begins a run from the weights of the one in ``settings.out``."""
    out = settings.out
    free = next(
        path for number in count(2) if not (path := out.with_name(f"{out.name}-{number}")).exists()
    )
    words = ["seedstream", "train", settings.recipe, "--data", settings.data, "--out", free]
    command = shlex.join([str(word) for word in [*words, "--initial-weights", out]])
    return f"to go on from its weights: {command}"


def _with_defaults(identity: Mapping[str, Any]) -> dict[str, Any]:
    try:
        recipe = Recipe.model_validate(identity.get("recipe"))
    except ValidationError:
        return dict(identity)
    return {**identity, "recipe": recipe.model_dump(mode="json")}


def _difference(old: Any, new: Any) -> str:
    """Name what differs between two values of a run's identity."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        return ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in keys)
    return f"was {old!r}, is {new!r}"
