"""Measure the weights on the way, with the worker's own clustering.

Letters: N pictures of a batch, H, W the model's input, S bandwidths, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from contract.artifact import Artifact
from model.data.data_set import DataSet
from model.data.labels import IGNORE, Labelled
from model.evaluation.matching import PictureScores, mean_average_precision, score_picture
from model.evaluation.predict import instance_map
from model.net.loss import PAPER_GRID_STEP
from model.training.distributed import Processes
from model.training.learner import Learner, weighted_sum
from model.training.recipe import Recipe
from segmentation.engines.onnx import Predictions
from segmentation.letterbox import Fit
from segmentation.segmenter import Segmenter


@dataclass(frozen=True)
class Validation:
    """How good the weights are.

    Attributes:
        loss: The loss over whole pictures.
        average_precision: Mean over the pictures of TP / (TP + FP + FN), by IoU threshold.
        score: What the best weights are chosen by: the mean of those.
    """

    loss: float
    average_precision: dict[float, float]
    score: float


class TorchEngine:
    """Runs a network in training where the worker runs an artifact.

    Args:
        learner: Holds the network.
        recipe: Its thresholds and input size.
        classes: K class names.
    """

    def __init__(self, learner: Learner, recipe: Recipe, classes: tuple[str, ...]) -> None:
        self._learner = learner
        self.batch_sizes = (1,)
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
        )

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Map uint8 (N, H, W, 3) to what the exported graph gives."""
        scaled = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
        prediction = self._learner.predict(scaled)
        best, class_index = prediction[:, 2 + self.artifact.n_sigma :].max(dim=1)
        return Predictions(
            offset=torch.tanh(prediction[:, :2]).numpy(),
            bandwidth=np.ascontiguousarray(prediction[:, 2 : 2 + self.artifact.n_sigma].numpy()),
            seed=torch.sigmoid(best).numpy(),
            class_index=class_index.to(torch.uint8).numpy(),
        )


def validate(
    learner: Learner, recipe: Recipe, data: DataSet, processes: Processes, most: int
) -> Validation:
    """Measure the weights on at most ``most`` pictures, spread over the data and the processes."""
    engine = TorchEngine(learner, recipe, data.classes)
    segmenter = Segmenter(engine)
    chosen = np.linspace(0, len(data) - 1, min(len(data), most)).astype(int).tolist()
    own: list[tuple[float, PictureScores]] = []
    for index in chosen[processes.rank :: processes.world]:
        picture = data.read(index)
        loss = _loss(learner, recipe, picture)
        (found,) = segmenter.segment([picture.image])
        predicted, classes, _ = instance_map(found, picture.labels.shape, data.classes)
        own.append((loss, score_picture(predicted, classes, picture)))
    pairs = [pair for part in processes.gather(own) for pair in part]
    precision = mean_average_precision([scores for _, scores in pairs])
    return Validation(
        loss=float(np.mean([loss for loss, _ in pairs])),
        average_precision=precision,
        score=float(np.mean(list(precision.values()))),
    )


def fitted(picture: Labelled, size: tuple[int, int]) -> Labelled:
    """Return a picture as the model sees it: fitted into (H, W) pixels, the padding ignored."""
    fit = Fit.of(picture.labels.shape, size)
    height, width = fit.content_size
    instances, labels = np.zeros(size, np.int32), np.full(size, IGNORE, np.uint8)
    rows, columns = (
        (2 * np.arange(inside) + 1) * frame // (2 * inside)
        for inside, frame in zip(fit.content_size, fit.frame_size, strict=True)
    )
    instances[:height, :width] = picture.instances[rows][:, columns]
    labels[:height, :width] = picture.labels[rows][:, columns]
    return Labelled(fit.apply(picture.image), instances, labels)


def _loss(learner: Learner, recipe: Recipe, picture: Labelled) -> float:
    shown = fitted(picture, recipe.input_size)
    terms = learner.measure(
        [
            torch.tensor(shown.image).permute(2, 0, 1)[None].float() / 255,
            torch.from_numpy(shown.instances.astype(np.int64))[None],
            torch.from_numpy(shown.labels.astype(np.int64))[None],
        ]
    )
    return float(weighted_sum(terms, recipe.loss))
