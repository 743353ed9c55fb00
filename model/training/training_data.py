"""What a recipe learns from: its data sets opened, their classes brought together.

Letters: K classes.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from model.augment.compose import Composer, CutOutSource, PictureCutOuts, StoredCutOuts
from model.data.cache import Cached
from model.data.check import Report
from model.data.data_set import DataSet, Joined, Renamed, Split, Subset, fingerprint, spread
from model.data.facts import without_contradictions
from model.data.labels import IGNORE, UNNAMED, CutOut, Labelled, Scene
from model.data.leaks import describe_leaks
from model.data.object_sizes import median_area, object_areas
from model.data.open import open_data_set
from model.motion.scene_store import StoredScene, read_scenes
from model.recipes.recipe import Recipe, Source
from model.training.examination import Broken, examine, require_objects, without_broken

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
        left_out: Names of broken pictures that neither teach nor validate.
    """

    classes: tuple[str, ...]
    learned: Sequence[DataSet]
    validation: DataSet | None
    scenes: Sequence[Scene]
    cut_outs: CutOutSource
    left_out: Sequence[str] = ()

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


def open_training_data(
    recipe: Recipe,
    root: Path,
    cache_bytes: int,
    broken: Broken = "stop",
    validation_pictures: int | None = None,
) -> TrainingData:
    """Open all data sets of a recipe below ``root`` and examine their pictures.

    Args:
        recipe: What is learned.
        root: Folder of the data sets.
        cache_bytes: Memory for decoded pictures.
        broken: What becomes of pictures that cannot be used. With ``ignore``, regions whose class
            and instance contradict each other are ignored too.
        validation_pictures: Most pictures that a validation reads, 0 for a run without; None takes
            all.

    Raises:
        ConfigurationError: A data set is missing or broken, classes do not fit, or there is no
            object to learn from or to validate with; all faults.
        BrokenDataError: Pictures cannot be used and ``broken`` is ``stop``; names all.
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
    mend = _mending(broken, len(classes))
    whole: list[DataSet] = [
        Cached(Renamed(data, classes, _mapping(data, source, classes)), share, mend)
        for data, source in zip(opened, recipe.sources, strict=True)
    ]
    empty = [f"{data.root}: no pictures to learn from" for data in whole if not len(data)]
    if empty:
        raise ConfigurationError(empty)
    learned, validation, left_out = _examined(
        recipe, whole, _validation(recipe, root, classes, mend), broken, validation_pictures
    )
    scenes, cut_outs = [], []
    for data, own, source in zip(learned, opened, recipe.sources, strict=True):
        of_source, cut = _scenes(data, own.classes, source, recipe)
        scenes += of_source
        cut_outs += cut
    return TrainingData(
        classes,
        learned,
        validation,
        scenes,
        _cut_out_source(recipe, classes, cut_outs, Joined(learned)),
        left_out,
    )


def _mending(broken: Broken, classes: int) -> Callable[[Labelled], Labelled]:
    """What becomes of each picture when it is read."""
    if broken == "stop":
        return lambda picture: picture
    return lambda picture: without_contradictions(picture, classes)


def _examined(
    recipe: Recipe,
    learned: Sequence[DataSet],
    validation: DataSet | None,
    broken: Broken,
    most: int | None,
) -> tuple[list[DataSet], DataSet | None, list[str]]:
    """Return both parts without what is left out, and its names.

    What teaches or measures nothing is refused; faults of both parts are told together.
    """
    parts: list[tuple[DataSet, Sequence[int]]] = [(data, range(len(data))) for data in learned]
    if validation is not None and most != 0:
        # Those that a validation reads; to leave pictures out, all have to be known.
        every = broken == "ignore"
        parts.append((validation, spread(len(validation), None if every else most)))
        for text in describe_leaks(learned, validation):
            log.warning("%s: %s", validation.root, text)
    reports = examine(parts, broken)
    of_learned = reports[: len(learned)]
    kept = [without_broken(data, own) for data, own in zip(learned, of_learned, strict=True)]
    of_validation = None
    if validation is not None and most != 0:
        good = list(reports[-1].pictures.values())
        validation = without_broken(validation, reports[-1])
        measured = spread(len(good), most)
        of_validation = Report(
            validation.classes, {n: good[n] for n in measured}, flaws=reports[-1].flaws
        )
    complete = all(own.looked == len(data) for data, own in zip(learned, of_learned, strict=True))
    require_objects(recipe, of_learned, of_validation, complete=complete)
    left_out = [
        data.names[index]
        for (data, indices), own in zip(parts, reports, strict=True)
        if own.broken
        for index in indices
        if index not in own.pictures
    ]
    return kept, validation, left_out


def _open(recipe: Recipe, source: Source, root: Path, split: Split) -> DataSet:
    among = (*recipe.classes, *source.classes)
    return open_data_set(root / source.path, layout=source.layout, split=split, among=among)


def _mapping(data: DataSet, source: Source, classes: tuple[str, ...]) -> dict[str, str]:
    """New class names by those of the data; data without names of their own take the only one.

    Raises:
        ConfigurationError: No class of the data is one of the model's.
    """
    mapping = dict(source.classes)
    if data.classes == (UNNAMED,) and UNNAMED not in mapping and len(classes) == 1:
        mapping[UNNAMED] = classes[0]
    if not any(mapping.get(name, name) in classes for name in data.classes):
        unknown = [name for name in source.classes if name not in data.classes]
        named = f" (it names {unknown}, which the data do not have)" if unknown else ""
        raise ConfigurationError(
            f"{data.root}: its classes are {list(data.classes)}, the model's {list(classes)}: none "
            f"becomes one of them; map them in the recipe's sources.classes{named}"
        )
    return mapping


def _classes(recipe: Recipe, opened: Sequence[DataSet]) -> tuple[str, ...]:
    if recipe.classes:
        return recipe.classes
    found = dict.fromkeys(name for data in opened for name in data.classes)
    if len(found) > 255 - 1:
        raise ConfigurationError(
            f"{len(found)} classes in the data, expected at most 254; name those that are to be "
            "learned as classes in the recipe"
        )
    return tuple(found)


def _validation(
    recipe: Recipe, root: Path, classes: tuple[str, ...], mend: Callable[[Labelled], Labelled]
) -> DataSet | None:
    """The validation parts of the sources that are learned from in part."""
    opened = [
        (_open(recipe, source, root, "validation"), source)
        for source in recipe.sources
        if source.split == "train"
    ]
    parts = [
        Cached(Renamed(data, classes, _mapping(data, source, classes)), 0, mend)
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
    return (whole.read(index) for index in spread(len(whole), _SAMPLE))
