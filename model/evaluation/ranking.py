"""Metrics that rank instances by their score: COCO's and Cityscapes' average precision."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from contract.errors import ConfigurationError
from contract.result import Instance
from model.data.data_set import DataSet
from model.data.labels import Labelled
from model.data.layouts import Layout
from model.evaluation.classes import Pairing
from model.evaluation.figures import Figures

Metric = Literal["average-precision", "cityscapes", "coco"]

MAIN: dict[Metric, tuple[str, ...]] = {
    "average-precision": ("average_precision_at_iou_0.5", "average_precision"),
    "cityscapes": ("cityscapes_ap",),
    "coco": ("coco_ap",),
}
"""Figures by which thresholds are chosen; a later one decides where the ones before are equal."""


class Ranking(Protocol):
    """Average precision over instances that are ranked by their score."""

    def see(self, index: int, picture: Labelled) -> None:
        """Take the truth of the next picture, number ``index`` of the data set."""
        ...

    def figures(self, found: Sequence[Sequence[Instance]]) -> Figures:
        """Return the figures of the instances found in the pictures seen, in their order."""
        ...


class CocoRanking:
    """Mask AP by pycocotools; the truth of COCO files is taken from them as it is.

    Args:
        data: The pictures with the model's classes.
        pairing: Which class is which.
    """

    def __init__(self, data: DataSet, pairing: Pairing) -> None:
        # Here, not above: it loads what other metrics do without.
        from model.evaluation.coco_metrics import CocoTruth

        self._truth = CocoTruth(pairing.measured)
        self._data, self._pairing = data, pairing

    def see(self, index: int, picture: Labelled) -> None:
        """Take the truth of a picture."""
        shapes = self._data.true_shapes(index)
        if shapes is None:
            self._truth.see(picture, self._pairing.model)
        else:
            self._truth.see_shapes(picture.labels.shape, shapes)

    def figures(self, found: Sequence[Sequence[Instance]]) -> Figures:
        """Return AP, AP50, AP75, AP by size, AR."""
        from model.evaluation.coco_metrics import coco_figures

        return coco_figures(self._truth.index(), range(1, len(found) + 1), found)


class CityscapesRanking:
    """Instance AP by the official evaluator.

    Args:
        data: The pictures.
        pairing: Which class is which.

    Raises:
        ConfigurationError: The model has other classes than Cityscapes, or they are renamed.
    """

    def __init__(self, data: DataSet, pairing: Pairing) -> None:
        from model.evaluation.cityscapes_metrics import check_classes

        check_classes(pairing.model)
        renamed = {old: new for old, new in pairing.becomes.items() if old != new}
        if renamed:
            raise ConfigurationError(
                f"--classes makes {renamed}, the official evaluation of Cityscapes takes its "
                "classes as they are; give --metric coco or --metric average-precision"
            )
        self._data = data
        self._truth: list[Path] = []

    def see(self, index: int, picture: Labelled) -> None:
        """Take the truth of a picture."""
        self._truth.append(self._data.files(index)[1])

    def figures(self, found: Sequence[Sequence[Instance]]) -> Figures:
        """Return AP and AP50."""
        from model.evaluation.cityscapes_metrics import cityscapes_figures

        return cityscapes_figures(self._truth, found)


def choose_metric(metric: Metric | Literal["auto"], layout: Layout) -> Metric:
    """Return the metric that fits a layout where none is asked for.

    Raises:
        ConfigurationError: ``cityscapes`` is asked for on another layout.
    """
    if metric == "auto":
        by_layout: dict[Layout, Metric] = {
            "cityscapes": "cityscapes",
            "coco": "coco",
            "labelme": "coco",
            "mapillary": "coco",
            "voc": "coco",
            "yolo": "coco",
        }
        return by_layout.get(layout, "average-precision")
    if metric == "cityscapes" and layout != "cityscapes":
        raise ConfigurationError(
            f"--metric cityscapes reads *_gtFine_instanceIds.png, the data are of the layout "
            f"{layout}; give --metric coco or --metric average-precision"
        )
    return metric


def make_ranking(metric: Metric, data: DataSet, pairing: Pairing) -> Ranking | None:
    """Return a metric's ranking; None where it has none."""
    if metric == "coco":
        return CocoRanking(data, pairing)
    return CityscapesRanking(data, pairing) if metric == "cityscapes" else None
