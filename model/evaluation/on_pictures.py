"""Evaluation of an exported artifact on labelled pictures.

What runs is the file that ships, through the worker's own engine and clustering; instances are
compared in pixels of the pictures as they are on disk.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.artifact_files import find_model
from contract.errors import ConfigurationError, InvalidMessageError
from contract.result import Instance
from model.data.data_set import (
    BrokenSampleError,
    DataSet,
    Renamed,
    Split,
    Subset,
    read_sample,
)
from model.data.label_maps import read_card
from model.data.labels import Labelled
from model.data.layouts import Layout
from model.data.object_sizes import median_area, object_areas
from model.data.open import detect, open_data_set
from model.evaluation.classes import Pairing, pair
from model.evaluation.figures import bowl, detection
from model.evaluation.matching import PictureScores, score_picture
from model.evaluation.predict import Cell, ManySegmenters, instance_map
from model.evaluation.ranking import Metric, Ranking, choose_metric, make_ranking
from model.evaluation.thresholds import (
    NO_AREAS,
    Row,
    Setting,
    Tried,
    as_shipped,
    choose,
    grid,
    is_flat,
)
from segmentation.engines import PrecisionWanted, Provider, open_engine
from segmentation.engines.base import Engine
from segmentation.letterbox import Resize

_SAMPLE = 200
"""Pictures whose objects say which smallest sizes a sweep tries."""

Progress = Callable[[Iterable[int], int], Iterable[int]]
"""Passes numbers of pictures on, showing how many of the total (second argument) are done."""


@dataclass(frozen=True)
class Options:
    """What to measure, and how.

    Attributes:
        layout: Layout of the data.
        split: Part of the data.
        classes: Class of the model, or ``ignore``, by class of the data.
        metric: What to measure; ``auto`` follows the layout.
        score: Lowest instance score that counts, 0..1; None takes the artifact's.
        limit: Most pictures, spread over the data; None takes all.
        provider: Where to run.
        resize: How pictures are fitted into the model's input.
        precision: Which file of the artifact to measure; unless set, a sweep measures the first,
            whatever this machine would run.
    """

    layout: Layout = "auto"
    split: Split = "validation"
    classes: Mapping[str, str] = field(default_factory=dict)
    metric: Metric | Literal["auto"] = "auto"
    score: float | None = None
    limit: int | None = None
    provider: Provider = "auto"
    resize: Resize = "letterbox"
    precision: PrecisionWanted = "auto"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Outcome of an evaluation.

    Attributes:
        artifact: What was measured.
        data: The pictures evaluated, with the model's classes.
        layout: Their layout.
        pairing: Which class is which.
        metric: What was measured.
        shipped: Figures with the artifact's own thresholds (and the score threshold asked for).
        rows: Figures of everything that a sweep tried; otherwise what ``shipped`` is made of.
        best: What the sweep chose; None without one.
        resize: How pictures were fitted into the model's input.
        tiles: Pictures or tiles that ran through the network.
        object_pixels: Median area of the true objects in the letterboxed pictures, in pixels of the
            model's input; None without objects.
        objects: How many of them there are.
        seen: Number of each picture that was measured, into ``data``.
        scores: Counts of each of those, with the thresholds of ``shown``.
        broken: Pictures that could not be read.
        engine: What ran the network.
        provider: Where it ran.
    """

    artifact: Artifact
    data: DataSet
    layout: Layout
    pairing: Pairing
    metric: Metric
    shipped: Setting
    rows: Sequence[Row]
    best: Setting | None
    resize: Resize
    tiles: int
    object_pixels: float | None
    objects: int
    seen: Sequence[int]
    scores: Sequence[PictureScores]
    broken: Sequence[BrokenSampleError]
    engine: Engine
    provider: str

    @property
    def shown(self) -> Setting:
        """What the report is about: the sweep's choice, or the artifact as it is."""
        return self.best or self.shipped

    @property
    def flat(self) -> bool:
        """Whether a sweep was to choose and found nothing to choose by."""
        return self.best is not None and is_flat(self.rows, self.metric)

    def accuracy(self) -> dict[str, float]:
        """Return the figures that an artifact carries (`contract.artifact.Artifact.accuracy`).

        Those of tiled pictures say how many ``tiles`` there were.
        """
        figures = {**self.shown.accuracy(), "pictures": float(len(self.seen))}
        return figures | ({"tiles": float(self.tiles)} if self.tiles > len(self.seen) else {})


def evaluate_pictures(
    model: Path,
    path: Path,
    options: Options,
    tried: Tried | None = None,
    progress: Progress = lambda numbers, _: numbers,
) -> Evaluation:
    """Measure an artifact on a data set.

    Pictures that cannot be read are named in the outcome; the others still count.

    Args:
        model: Folder ``NAME/VERSION`` or its ``.onnx`` file.
        path: The data set.
        options: What to measure, and how.
        tried: What a sweep is to try; None measures the artifact as it is.
        progress: Shows how far it is.

    Raises:
        ConfigurationError: The artifact or the data do not load, their classes do not fit, there
            are no pictures, or an option is out of its range.
    """
    first = tried is not None and options.precision == "auto"
    measured = find_model(model) if first else model
    engine = open_engine(measured, options.provider, precision=options.precision)
    layout = detect(path) if options.layout == "auto" else options.layout
    metric = choose_metric(options.metric, layout)
    data, pairing = open_paired(path, layout, engine.artifact, options)
    if options.limit is not None and options.limit < len(data):
        chosen = np.linspace(0, len(data) - 1, options.limit).astype(int).tolist()
        data = Subset(data, chosen)
    ranking = make_ranking(metric, data, pairing)
    input_size = (engine.artifact.height, engine.artifact.width)
    ranked = ranking is not None
    cells = _cells(
        engine.artifact,
        options.score,
        grid(engine.artifact, tried, _sampled_areas(data, input_size, options)) if tried else [],
        ranked=ranked,
    )
    segmenters = ManySegmenters(engine, cells, options.resize)
    run = _Run(segmenters, input_size, data, pairing, cells, ranking)
    run.go(progress)
    if tried and not any(len(areas) for areas in run.areas):
        raise ConfigurationError(
            f"{path}: no labelled object of {list(pairing.measured)} in the {len(run.seen)} "
            f"pictures ({options.split}): there is nothing to choose thresholds by; label some"
        )
    rows = run.rows()
    shipped = as_shipped(rows, engine.artifact, options.score, ranked=ranked)
    best = choose(rows, metric, engine.artifact) if tried else None
    shown = (best or shipped).reported
    return Evaluation(
        artifact=engine.artifact,
        data=data,
        layout=layout,
        pairing=pairing,
        metric=metric,
        shipped=shipped,
        rows=rows,
        best=best,
        resize=options.resize,
        tiles=run.tiles,
        object_pixels=median_area(run.areas),
        objects=sum(map(len, run.areas)),
        seen=run.seen,
        scores=run.scores[cells.index(shown)],
        broken=run.broken,
        engine=engine,
        provider=engine.provider,
    )


def open_paired(
    path: Path, layout: Layout, artifact: Artifact, options: Options
) -> tuple[DataSet, Pairing]:
    """Open data with the model's classes.

    Label maps without names take the model's, in its order, unless a mapping is given.

    Raises:
        ConfigurationError: See `evaluate_pictures`.
    """
    unnamed = (layout == "label-maps" and not read_card(path).get("classes")) or (
        layout == "object-masks" and len(artifact.classes) == 1
    )
    nameless = unnamed and not options.classes
    names = artifact.classes if nameless else None
    among = (*artifact.classes, *options.classes)
    data = open_data_set(path, layout=layout, split=options.split, classes=names, among=among)
    pairing = pair(data.classes, artifact.classes, options.classes)
    if not len(data):
        raise ConfigurationError(
            f"{path}: no picture in the split {options.split!r}, expected some; give --split all, "
            "or add pictures"
        )
    return Renamed(data, artifact.classes, options.classes), pairing


def _sampled_areas(
    data: DataSet, input_size: tuple[int, int], options: Options
) -> NDArray[np.float64]:
    """Areas of the labelled objects, on up to 200 pictures, in the pixels that sizes count in."""
    areas = [NO_AREAS]
    for index in np.linspace(0, len(data) - 1, min(len(data), _SAMPLE)).astype(int).tolist():
        try:
            picture = read_sample(data, index)
        except BrokenSampleError:
            continue  # the evaluation names it
        native = options.resize in ("tile", "auto")  # tiles are not scaled
        height, width = picture.labels.shape
        areas.append(object_areas(picture, (height, width) if native else input_size))
    return np.concatenate(areas)


def _cells(
    artifact: Artifact, score: float | None, tried: Sequence[Cell], *, ranked: bool
) -> list[Cell]:
    own = [Cell.of(artifact, score)]
    if ranked:
        own.append(Cell(artifact.seed_threshold, artifact.min_pixels))
    return sorted({*own, *tried})


class _Run:
    """Goes through the pictures once."""

    def __init__(
        self,
        segmenters: ManySegmenters,
        input_size: tuple[int, int],
        data: DataSet,
        pairing: Pairing,
        cells: Sequence[Cell],
        ranking: Ranking | None,
    ) -> None:
        self._data, self._pairing, self._cells, self._ranking = data, pairing, cells, ranking
        self._segmenters, self._input_size = segmenters, input_size
        self._instances: list[list[list[Instance]]] = [[] for _ in cells]
        self.scores: list[list[PictureScores]] = [[] for _ in cells]
        self.tiles = 0
        self.areas: list[NDArray[np.float64]] = []
        self.seen: list[int] = []
        self.broken: list[BrokenSampleError] = []

    def go(self, progress: Progress) -> None:
        """Measure every picture.

        Raises:
            ConfigurationError: None of them can be read.
        """
        for index in progress(range(len(self._data)), len(self._data)):
            try:
                picture = read_sample(self._data, index)
                self.tiles += self._segmenters.tiles(picture.labels.shape)
            except BrokenSampleError as error:
                self.broken.append(error)
                continue
            except InvalidMessageError as error:
                self.broken.append(BrokenSampleError(self._data.files(index)[0], str(error)))
                continue
            self.seen.append(index)
            self._measure(index, picture)
        if not self.seen:
            raise ConfigurationError(
                [str(error) for error in self.broken] + ["none of the pictures can be read"]
            )

    def _measure(self, index: int, picture: Labelled) -> None:
        if self._ranking is not None:
            self._ranking.see(index, picture)
        self.areas.append(object_areas(picture, self._input_size))
        found = self._segmenters.segment(picture.image, self._data.names[index])
        for instances, scores, kept in zip(found, self.scores, self._instances, strict=True):
            scores.append(score(picture, instances, self._pairing))
            if self._ranking is not None:
                kept.append(instances)

    def rows(self) -> list[Row]:
        """Return the figures of every cell."""
        rows = []
        for cell, scores, instances in zip(self._cells, self.scores, self._instances, strict=True):
            counted = detection(scores, self._pairing.model)
            ranked = self._ranking.figures(instances) if self._ranking else None
            rows.append(Row(cell, counted, ranked or bowl(scores, self._pairing.model)))
        return rows


def score(picture: Labelled, instances: Sequence[Instance], pairing: Pairing) -> PictureScores:
    """Compare instances of the measured classes with a picture."""
    counted = [each for each in instances if each.class_name in pairing.measured]
    predicted, labels, _ = instance_map(counted, picture.labels.shape, pairing.model)
    return score_picture(predicted, labels, picture, n_classes=len(pairing.model))
