"""Recipes: what a model is trained on, and what to expect of it. One module per model."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from contract.errors import ConfigurationError
from model.data.old_datasets import Clip, Photographs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a model learns.

    Attributes:
        name: Name of the model.
        classes: Class names; label k of the data is ``classes[k - 1]``.
        sources: Where the pictures come from.
        input_size: (height, width) in pixels of the exported artifact's input.
        training_data: Data, licences and credits, for the artifact's metadata.
        n_sigma: Bandwidths per pixel: 1 (circular) or 2 (elliptical).
        steps: Optimiser steps.
        batch: Crops per step.
        crop: Pixels of a crop's side.
        learning_rate: Adam's, at the start; it decays to 0 with the power 0.9.
        weight_decay: Adam's.
        foreground_weight: Weight of objects in the seed term.
        seed_threshold: Lowest seed score that starts an instance.
        score_threshold: Lowest score of a reported instance.
        min_pixels: Smallest instance in input pixels.
    """

    name: str
    classes: tuple[str, ...]
    sources: Sequence[Clip | Photographs]
    input_size: tuple[int, int]
    training_data: str
    n_sigma: int = 2
    steps: int = 3000
    batch: int = 8
    crop: int = 256
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    foreground_weight: float = 10.0
    seed_threshold: float = 0.5
    score_threshold: float = 0.5
    min_pixels: int = 64


def load_recipe(name: str) -> Recipe:
    """Return ``RECIPE`` of the module ``model.recipes.NAME``.

    Raises:
        ConfigurationError: There is no such recipe.
    """
    here = Path(__file__).parent
    known = sorted(file.stem for file in here.glob("*.py") if file.stem != "__init__")
    if name not in known:
        raise ConfigurationError(f"recipe is {name!r}, expected one of {known}")
    recipe = import_module(f"{__name__}.{name}").RECIPE
    assert isinstance(recipe, Recipe)
    return recipe
