"""What a recipe learns from: its data sets opened, their classes brought together.

Letters: K classes.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from model.augment.compose import Composer, CutOutSource, PictureCutOuts, StoredCutOuts
from model.data.cache import Cached
from model.data.data_set import DataSet, Joined, Renamed, Split, Subset, fingerprint
from model.data.labels import IGNORE, UNNAMED, CutOut, Labelled, Scene
from model.data.object_sizes import median_area, object_areas
from model.data.open import open_data_set
from model.motion.scene_store import StoredScene, read_scenes
from model.recipes.recipe import Recipe, Source

_SAMPLE = 200
"""Pictures that a class's share of the pixels, and the size of objects, are counted on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run reads.

    Attributes:
        classes: K class names.
        learned: The data sets that are learned from, with the model's classes.
        validation: Pictures that measure the weights on the way; None where there are none.
        scenes: Where crops come from.
        cut_outs: What is pasted.
    """

    classes: tuple[str, ...]
    learned: Sequence[DataSet]
    validation: DataSet | None
    scenes: Sequence[Scene]
    cut_outs: CutOutSource

    @property
    def pictures(self) -> int:
        """Number of pictures that are learned from."""
        return sum(len(data) for data in self.learned)

    @property
    def warnings(self) -> list[str]:
        """What whoever made the labels warns of."""
        return list(dict.fromkeys(text for data in self.learned for text in data.warnings()))

    def composer(self, recipe: Recipe, crop: int) -> Composer:
        """Return what draws crops of ``crop`` pixels."""
        return Composer(self.scenes, self.cut_outs, crop, recipe.augment)

    def describe(self) -> list[dict[str, object]]:
        """Return path, size and fingerprint of every data set, for the record of a run."""
        validation = [] if self.validation is None else [self.validation]
        used = [("learned", data) for data in self.learned]
        used += [("validation", data) for data in validation]
        return [
            {
                "use": use,
                "path": str(data.root),
                "pictures": len(data),
                "classes": list(data.classes),
                "fingerprint": fingerprint(data),
            }
            for use, data in used
        ]


def open_training_data(recipe: Recipe, root: Path, cache_bytes: int) -> TrainingData:
    """Open all data sets of a recipe below ``root``.

    Raises:
        ConfigurationError: A data set is missing or broken, or classes do not fit; all faults.
    """
    opened: list[DataSet] = []
    faults: list[str] = []
    for source in recipe.sources:
        try:
            opened.append(_open(recipe, source, root, source.split))
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    for text in dict.fromkeys(text for data in opened for text in data.warnings()):
        log.warning("%s", text)
    classes = _classes(recipe, opened)
    share = cache_bytes // len(opened)
    learned: list[DataSet] = [
        Cached(Renamed(data, classes, _mapping(data, source, classes)), share)
        for data, source in zip(opened, recipe.sources, strict=True)
    ]
    empty = [f"{data.root}: no pictures to learn from" for data in learned if not len(data)]
    if empty:
        raise ConfigurationError(empty)
    scenes, cut_outs = [], []
    for data, whole, source in zip(learned, opened, recipe.sources, strict=True):
        of_source, cut = _scenes(data, whole.classes, source, recipe)
        scenes += of_source
        cut_outs += cut
    validation = _validation(recipe, root, classes)
    return TrainingData(
        classes,
        learned,
        validation,
        scenes,
        _cut_out_source(recipe, classes, cut_outs, Joined(learned)),
    )


def _open(recipe: Recipe, source: Source, root: Path, split: Split) -> DataSet:
    return open_data_set(root / source.path, layout=source.layout, split=split)


def _mapping(data: DataSet, source: Source, classes: tuple[str, ...]) -> dict[str, str]:
    """New class names by those of the data; data without names of their own take the only one.

    Raises:
        ConfigurationError: No class of the data is one of the model's.
    """
    mapping = dict(source.classes)
    if data.classes == (UNNAMED,) and UNNAMED not in mapping and len(classes) == 1:
        mapping[UNNAMED] = classes[0]
    if not any(mapping.get(name, name) in classes for name in data.classes):
        raise ConfigurationError(
            f"{data.root}: its classes are {list(data.classes)}, the model's {list(classes)}: none "
            "is the same; map them in the recipe's sources.classes"
        )
    return mapping


def _classes(recipe: Recipe, opened: Sequence[DataSet]) -> tuple[str, ...]:
    if recipe.classes:
        return recipe.classes
    found = dict.fromkeys(name for data in opened for name in data.classes)
    if len(found) > 255 - 1:
        raise ConfigurationError(f"{len(found)} classes in the data, expected at most 254")
    return tuple(found)


def _validation(recipe: Recipe, root: Path, classes: tuple[str, ...]) -> DataSet | None:
    """The validation parts of the sources that are learned from in part."""
    opened = [
        (_open(recipe, source, root, "validation"), source)
        for source in recipe.sources
        if source.split == "train"
    ]
    parts = [
        Renamed(data, classes, _mapping(data, source, classes))
        for data, source in opened
        if len(data)
    ]
    if not parts:
        log.warning(
            "no validation pictures: the last weights will count as the best; add some, or name "
            'them under "validation" in dataset.json'
        )
    return Joined(parts) if parts else None


def _scenes(
    data: DataSet, own_classes: Sequence[str], source: Source, recipe: Recipe
) -> tuple[list[Scene], list[CutOut]]:
    """Split a data set into its stored scenes and the rest; bring their cut-outs along."""
    stored = read_scenes(data.root)
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(data.names):
        place = next((s.name for s in stored if name.startswith(f"{s.name}/")), "")
        groups.setdefault(place, []).append(index)
    by_name = {scene.name: scene for scene in stored}
    scenes = [
        _scene(Subset(data, indices), by_name.get(place), len(indices) / len(data), source, recipe)
        for place, indices in groups.items()
    ]
    label = {
        own: data.classes.index(new) + 1
        for own, name in enumerate(own_classes, start=1)
        if (new := source.classes.get(name, name)) in data.classes
    }
    cut_outs = [
        CutOut(cut.image, cut.alpha, label[cut.label])
        for scene in stored
        for cut in scene.cut_outs
        if cut.label in label
    ]
    return scenes, cut_outs


def _scene(
    pictures: DataSet, stored: StoredScene | None, share: float, source: Source, recipe: Recipe
) -> Scene:
    return Scene(
        pictures,
        weight=source.weight * share,
        scale=source.scale or recipe.augment.scale,
        perspective=stored.perspective if stored else None,
        front=stored.front if stored else None,
        upside_down=source.upside_down or bool(stored and stored.upside_down),
        fit=recipe.input_size,
    )


def _cut_out_source(
    recipe: Recipe, classes: tuple[str, ...], cut_outs: list[CutOut], pictures: DataSet
) -> CutOutSource:
    shares = recipe.augment.copy_paste.classes
    unknown = [name for name in shares if name not in classes]
    if unknown:
        raise ConfigurationError(
            f"augment.copy_paste.classes names {unknown}, expected some of {list(classes)}"
        )
    by_label = {classes.index(name) + 1: share for name, share in shares.items()}
    return StoredCutOuts(cut_outs, by_label) if cut_outs else PictureCutOuts(pictures)


def foreground_weights(recipe: Recipe, data: TrainingData) -> float | list[float]:
    """Return the weight of the foreground in the seed term: the recipe's, or balanced by class.

    Balanced is 1 / ln(1.02 + p) for a class that covers the share p of the pixels (after Paszke et
    al., "ENet", 2016, section 5.2), counted on up to 200 pictures spread over the data.
    """
    if recipe.loss.foreground != "balanced":
        return recipe.loss.foreground
    counts = np.zeros(256)
    for picture in _sample(data):
        counts += np.bincount(picture.labels.reshape(-1), minlength=256)
    shares = counts[1 : len(data.classes) + 1] / max(counts.sum() - counts[IGNORE], 1)
    weights = [1 / math.log(1.02 + share) for share in shares]
    for name, share, weight in zip(data.classes, shares, weights, strict=True):
        log.info("class %s covers %.2f %% of the pixels: weight %.1f", name, 100 * share, weight)
    return weights


def median_object_pixels(recipe: Recipe, data: TrainingData) -> float | None:
    """Return the median area of the objects, on up to 200 pictures spread over the data.

    Returns:
        Pixels of the model's input into which pictures are letterboxed; None without objects.
    """
    return median_area(object_areas(picture, recipe.input_size) for picture in _sample(data))


def _sample(data: TrainingData) -> Iterator[Labelled]:
    whole = Joined(data.learned)
    chosen = np.linspace(0, len(whole) - 1, min(len(whole), _SAMPLE)).astype(int)
    return (whole.read(index) for index in chosen.tolist())
