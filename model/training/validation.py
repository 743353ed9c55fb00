"""Whole pictures as the deployed model sees them: validation, and batch norm's statistics.

The weights are measured on the way, with the shipped clustering.

Letters: N pictures of a batch, H, W the model's input, S bandwidths, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contract.artifact import Artifact
from model.data.data_set import DataSet, spread
from model.data.labels import IGNORE, Labelled
from model.evaluation.matching import PictureScores, mean_average_precision, score_picture
from model.evaluation.predict import instance_map
from model.net.loss import PAPER_GRID_STEP
from model.recipes.recipe import Recipe
from model.training.distributed import Processes
from model.training.learner import Learner
from segmentation.engines.base import Predictions
from segmentation.letterbox import Fit
from segmentation.segmenter import Maps, Segmenter

_DRAWN = 2
"""Pictures of a validation that are drawn."""

_COUNTED, _COUNTED_BATCH = 512, 8
"""Most pictures that batch norm is counted on, spread over the data, and how many at once."""


@dataclass(frozen=True, eq=False)
class Validation:
    """How good the weights are.

    Attributes:
        loss: The loss over whole pictures.
        average_precision: Mean over the pictures of TP / (TP + FP + FN), by IoU threshold.
        score: What the best weights are chosen by: the mean of those; None where nothing was there
            to be found, and nothing was found.
        artifact: Thresholds and grid that were used.
        drawn: The first pictures of this process, fitted into the input, and what the network said.
    """

    loss: float
    average_precision: dict[float, float]
    score: float | None
    artifact: Artifact
    drawn: Sequence[tuple[Labelled, Predictions]]


def validate(
    learner: Learner,
    recipe: Recipe,
    data: DataSet,
    processes: Processes,
    most: int,
    tell: Callable[[int, int], None],
) -> Validation:
    """Measure the weights on at most ``most`` pictures, spread over the data and the processes.

    The network sees each picture once: its loss, its instances and its drawing come of one pass.
    After each picture of this process ``tell`` hears how many are done, of how many.
    """
    engine = TorchEngine(learner, recipe, data.classes)
    segmenter = Segmenter(engine)
    chosen = spread(len(data), most)
    own: list[tuple[float, PictureScores]] = []
    drawn: list[tuple[Labelled, Predictions]] = []
    of_process = chosen[processes.rank :: processes.world]
    for done, index in enumerate(of_process, start=1):
        picture = data.read(index)
        fit = Fit.of(picture.labels.shape, recipe.input_size)
        shown = fit.apply(picture.image)
        raw = engine.forward(shown[None])
        maps = engine.read(raw)
        (found,) = segmenter.describe(Maps(maps, [fit]))
        instances, labels = _fit_labels(picture, fit)
        loss = learner.loss(
            raw,
            torch.from_numpy(instances.astype(np.int64))[None],
            torch.from_numpy(labels.astype(np.int64))[None],
        )
        predicted, classes, _ = instance_map(found.documents(), picture.labels.shape, data.classes)
        own.append((loss, score_picture(predicted, classes, picture)))
        if len(drawn) < _DRAWN:
            drawn.append((Labelled(shown, instances, labels), maps))
        tell(done, len(of_process))
    pairs = [pair for part in processes.gather(own) for pair in part]
    precision = mean_average_precision([scores for _, scores in pairs])
    return Validation(
        loss=float(np.mean([loss for loss, _ in pairs])),
        average_precision=precision,
        score=float(np.mean(list(precision.values()))) if precision else None,
        artifact=engine.artifact,
        drawn=drawn,
    )


class TorchEngine:
    """Runs a network in training where the worker runs an artifact.

    Args:
        learner: Holds the network.
        recipe: Its thresholds and input size.
        classes: K class names.
    """

    def __init__(self, learner: Learner, recipe: Recipe, classes: tuple[str, ...]) -> None:
        self._learner = learner
        self.batch_sizes, self.variable_size = (1,), False
        self.artifact = Artifact(
            name=recipe.name,
            version="training",
            classes=classes,
            height=recipe.input_size[0],
            width=recipe.input_size[1],
            grid_step=PAPER_GRID_STEP,
            n_sigma=recipe.n_sigma,
            weights_sha256="",
            seed_threshold=recipe.seed_threshold,
            score_threshold=recipe.score_threshold,
            min_pixels=recipe.min_pixels,
            connected=recipe.connected,
        )

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Map uint8 (N, H, W, 3) to what the exported graph gives."""
        return self.read(self.forward(images))

    def forward(self, images: NDArray[np.uint8]) -> Tensor:
        """Map uint8 (N, H, W, 3) to what the network gives (N, 2 + S + K, H, W), on the device."""
        return self._learner.predict(torch.tensor(images).permute(0, 3, 1, 2))

    def read(self, raw: Tensor) -> Predictions:
        """Map what the network gives to what the exported graph gives."""
        maps, n_sigma = raw.float().cpu(), self.artifact.n_sigma
        best, class_index = maps[:, 2 + n_sigma :].max(dim=1)
        return Predictions(
            offset=torch.tanh(maps[:, :2]).numpy(),
            bandwidth=np.ascontiguousarray(maps[:, 2 : 2 + n_sigma].numpy()),
            seed=torch.sigmoid(best).numpy(),
            class_index=class_index.to(torch.uint8).numpy(),
        )


def fitted(picture: Labelled, size: tuple[int, int]) -> Labelled:
    """Return a picture as the model sees it: fitted into (H, W) pixels, the padding ignored."""
    fit = Fit.of(picture.labels.shape, size)
    return Labelled(fit.apply(picture.image), *_fit_labels(picture, fit))


def _fit_labels(picture: Labelled, fit: Fit) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    height, width = fit.content_size
    instances = np.zeros(fit.input_size, np.int32)
    labels = np.full(fit.input_size, IGNORE, np.uint8)
    rows, columns = (
        (2 * np.arange(inside) + 1) * frame // (2 * inside)
        for inside, frame in zip(fit.content_size, fit.frame_size, strict=True)
    )
    instances[:height, :width] = picture.instances[rows][:, columns]
    labels[:height, :width] = picture.labels[rows][:, columns]
    return instances, labels


@torch.no_grad()
def recount_batch_norm(learner: Learner, data: DataSet, size: tuple[int, int]) -> None:
    """Replace the running statistics of every batch norm by those over ``data``.

    Training keeps a running mean over crops, which lie around objects and come a few at a time;
    whole pictures have other statistics. "Precise" batch norm (Wu and Johnson, "Rethinking 'Batch'
    in BatchNorm", 2021, section 3) averages over many pictures with the final weights instead.
    Each process counts the same pictures, so all end with the same statistics.

    Args:
        learner: Holds the network.
        data: Pictures that are learned from.
        size: (height, width) of the model's input.
    """
    norms = [m for m in learner.network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    learner.network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for images in _batches(data, size):
        learner.run(images)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def _batches(data: DataSet, size: tuple[int, int]) -> Iterator[Tensor]:
    chosen = np.linspace(0, len(data) - 1, min(len(data), _COUNTED)).astype(int)
    # Neighbours in a data set are alike: each batch is to hold pictures from all over it.
    chosen = np.random.default_rng(0).permutation(chosen)
    whole = max(1, len(chosen) // _COUNTED_BATCH)
    for part in np.array_split(chosen, whole):
        shown = [fitted(data.read(int(index)), size).image for index in part]
        yield torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
