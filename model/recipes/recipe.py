"""Recipes: what a model learns, on what, and how long. A TOML file each, in model/recipes.

`cityscapes.toml` is the published one (Neven et al., CVPR 2019, section 4); its head says what
differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from contract.errors import ConfigurationError
from contract.toml_text import read_toml
from model.data.data_set import Split
from model.data.layouts import Layout
from model.recipes.augmentation import Augment, Factors, Part

RECIPES = Path(__file__).parent


def _shown(name: str) -> str:
    if not name.strip():
        raise ValueError("expected the name of a class, found none")
    return name


ClassName = Annotated[str, AfterValidator(_shown)]
"""Of an object; data and model are brought together by it."""

Side = Annotated[int, Field(ge=8, multiple_of=8)]
"""Pixels, a multiple of the encoder's stride."""


class Stage(Part):
    """A part of the training with its own crops; the learning rate starts anew in each."""

    crop: Side
    """Pixels of a crop's side."""

    epochs: int = Field(ge=1)
    """Epochs of this stage."""

    batch: int = Field(ge=1)
    """Crops of a step, over all processes together."""

    crops_per_epoch: int | None = Field(default=None, ge=1)
    """Crops of an epoch; unset: as many as there are pictures."""

    learning_rate: float = Field(default=5e-4, gt=0)
    """Adam's at the stage's start; it decays to 0."""

    freeze_batch_norm: bool = False
    """Whether batch norm keeps its statistics, as the paper does while it learns large crops."""


class Optimizer(Part):
    """Adam and what bounds its steps."""

    weight_decay: float = Field(default=1e-4, ge=0)
    """Added to the gradient, times the weight."""

    decay_power: float = Field(default=0.9, gt=0)
    """The learning rate falls as (1 - done / all) to this power."""

    decay_by: Literal["epoch", "step"] = "epoch"
    """When the learning rate falls (the paper: after each epoch)."""

    clip_norm: float = Field(default=0.0, ge=0)
    """Largest norm of the gradient; 0 leaves it as it is."""


class Loss(Part):
    """Weights of the loss terms."""

    instance: float = Field(default=1.0, ge=0)
    """Of the Lovász hinge of the instances."""

    variance: float = Field(default=10.0, ge=0)
    """Of the smoothness of the bandwidths."""

    seed: float = Field(default=1.0, ge=0)
    """Of the regression of the seed maps."""

    foreground: Annotated[float, Field(ge=0)] | Literal["balanced"] = 10.0
    """Weight of objects in the seed term; `balanced` takes one per class from its share of the
    pixels p, 1 / ln(1.02 + p)."""


class Source(Part):
    """A data set among those that a model learns from."""

    path: str = "."
    """Folder or annotation file, relative to --data."""

    layout: Layout = "auto"
    """How it lies on disk."""

    split: Split = "train"
    """Which part of it to learn from."""

    weight: float = Field(default=1.0, gt=0, le=1e6)
    """Share of the crops, relative to the other sources."""

    classes: dict[str, ClassName] = Field(default={})
    """New name, or `ignore`, of its classes; one that is not named keeps its name where the model
    has such a class and is background otherwise."""

    scale: Factors | None = None
    """Scale of its crops instead of the recipe's."""

    upside_down: bool = False
    """Turn half of its crops upside down."""


class Recipe(Part):
    """Everything that decides what a model learns."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Name of the model."""

    classes: tuple[ClassName, ...] = ()
    """Class names; unset: those of the data."""

    input_size: tuple[Side, Side]
    """Height and width in pixels of the exported artifact's input."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    """What is done one after the other."""

    n_sigma: Literal[1, 2] = 2
    """Bandwidths per pixel: 1 (circular margin) or 2 (elliptical)."""

    input_power: float = Field(default=1.0, gt=0)
    """Exponent of the brightness 0..1 before the first layer; below 1 it spreads dark tones."""

    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the channels that training drops in the encoder's deep stage."""

    learn_center: bool = False
    """Pull embeddings to the mean of an object's embeddings (equation 10) instead of its middle."""

    sources: tuple[Source, ...] = (Source(),)
    """What it learns from."""

    augment: Augment = Augment()
    """How crops are drawn."""

    optimizer: Optimizer = Optimizer()
    """Adam."""

    loss: Loss = Loss()
    """Weights of the terms."""

    recount_batch_norm: bool = False
    """After the last step, count batch norm's statistics anew on whole pictures."""

    validate_every: int = Field(default=1, ge=1)
    """Epochs between two validations."""

    seed_threshold: float = Field(default=0.9, ge=0, le=1)
    """Lowest seed score that starts an instance, until `seedstream evaluate --sweep` finds it."""

    score_threshold: float = Field(default=0.5, ge=0, le=1)
    """Lowest score of a reported instance."""

    min_pixels: int = Field(default=128, ge=1)
    """Smallest instance in input pixels."""

    connected: bool = True
    """Keep of each instance only the connected piece that holds its seed: right where noise joins
    from afar (short trainings), wrong where things in front cut objects in two."""

    training_data: str = ""
    """Data, licences and credits, for the artifact's metadata."""

    @model_validator(mode="after")
    def _stages_fit(self) -> "Recipe":
        if not any((self.loss.instance, self.loss.variance, self.loss.seed)):
            raise ValueError("every weight of the loss is 0, expected at least one above")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {list(self.classes)}, expected each name once")
        return self


def known_recipes() -> list[str]:
    """Return the names of the recipes that come with Seedstream."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: One of `known_recipes`, or the path of a TOML file.

    Raises:
        ConfigurationError: There is no such recipe, it cannot be read, or it has faults; all are
            listed.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        # Where a folder on the way is closed, the question fails as well.
        values = read_toml(path.read_text(encoding="utf-8")) if path.is_file() else None
    except OSError as error:
        raise ConfigurationError(
            f"recipe: {path}: cannot be read: {error.strerror}; expected one of {known_recipes()} "
            "or the path of a .toml file"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a TOML file: {error}") from error
    if values is None:
        raise ConfigurationError(
            f"recipe is {name!r}, expected one of {known_recipes()} or the path of a .toml file"
        )
    try:
        return Recipe.model_validate({"name": path.stem, **values})
    except ValidationError as error:
        raise ConfigurationError(
            [
                f"{path}: {'.'.join(str(part) for part in fault['loc']) or 'recipe'} is "
                f"{fault['input']!r}: {fault['msg']}"
                for fault in error.errors()
            ]
        ) from error


@dataclass(frozen=True)
class Phase:
    """A stage with its place in the run.

    Attributes:
        stage: The recipe's stage.
        number: Which one, from 0.
        first_step: Step of the run at which it begins.
        steps_per_epoch: Whole batches of an epoch; a rest smaller than a batch is left out.
        first_epoch: Epoch of the run at which it begins.
    """

    stage: Stage
    number: int
    first_step: int
    steps_per_epoch: int
    first_epoch: int

    @property
    def steps(self) -> int:
        """Steps of the stage."""
        return self.steps_per_epoch * self.stage.epochs

    @property
    def end(self) -> int:
        """Step of the run after its last one."""
        return self.first_step + self.steps

    @property
    def crops_per_epoch(self) -> int:
        """Crops that an epoch really uses."""
        return self.steps_per_epoch * self.stage.batch

    def learning_rate(self, step: int, optimizer: Optimizer) -> float:
        """Return the learning rate of a step of the run within this stage."""
        done, total = step - self.first_step, self.steps
        if optimizer.decay_by == "epoch":
            done, total = done // self.steps_per_epoch, self.stage.epochs
        return float(self.stage.learning_rate * (1 - done / total) ** optimizer.decay_power)


def plan(stages: Sequence[Stage], pictures: int) -> list[Phase]:
    """Lay the stages of a recipe out over steps, for data of so many pictures."""
    phases: list[Phase] = []
    step = epoch = 0
    for number, stage in enumerate(stages):
        per_epoch = max(1, (stage.crops_per_epoch or pictures) // stage.batch)
        phases.append(Phase(stage, number, step, per_epoch, epoch))
        step, epoch = step + per_epoch * stage.epochs, epoch + stage.epochs
    return phases
