"""Figures of an evaluation, over all classes and of each class.

Legend: K classes; N thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.evaluation.matching import PictureScores, mean_average_precision

Values = dict[str, float]
"""Figures by name."""


@dataclass(frozen=True)
class Figures:
    """What a metric says.

    Attributes:
        overall: Figures over all classes.
        by_class: Figures of each class that there is something to say about.
    """

    overall: Values
    by_class: dict[str, Values] = field(default_factory=dict)

    def joined(self, other: "Figures") -> "Figures":
        """Return these figures and those of another metric."""
        names = dict.fromkeys([*self.by_class, *other.by_class])
        return Figures(
            self.overall | other.overall,
            {name: self.by_class.get(name, {}) | other.by_class.get(name, {}) for name in names},
        )


def detection(scores: Sequence[PictureScores], classes: Sequence[str]) -> Figures:
    """Return recall, precision, F1, mean IoU of the matches and panoptic quality.

    Counts are summed over the pictures, at their lowest IoU threshold. Over all classes the
    panoptic quality is the mean of the classes', the others are of the summed counts.

    Args:
        scores: Counts of each picture.
        classes: K class names.
    """
    at = f"at_iou_{scores[0].thresholds[0]:g}" if scores else ""
    tp, fp, fn = (np.zeros(len(classes)) for _ in range(3))
    iou = np.zeros(len(classes))
    for picture in scores:
        shown = slice(0, len(picture.tp))
        tp[shown] += picture.tp[:, 0]
        fp[shown] += picture.fp[:, 0]
        fn[shown] += picture.fn[:, 0]
        iou[shown] += picture.iou[:, 0]
    by_class = {
        name: _rates(at, *(float(counts[k]) for counts in (tp, fp, fn, iou)))
        for k, name in enumerate(classes)
        if tp[k] + fp[k] + fn[k]
    }
    overall = _rates(at, *(float(counts.sum()) for counts in (tp, fp, fn, iou)))
    qualities = [values["panoptic_quality"] for values in by_class.values()]
    overall["panoptic_quality"] = float(np.mean(qualities)) if qualities else 1.0
    return Figures(overall, by_class)


def _rates(at: str, tp: float, fp: float, fn: float, iou: float) -> Values:
    return {
        f"recall_{at}": tp / (tp + fn) if tp + fn else 1.0,
        f"precision_{at}": tp / (tp + fp) if tp + fp else 1.0,
        f"f1_{at}": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0,
        "mean_iou_of_matches": iou / tp if tp else 0.0,
        "panoptic_quality": iou / (tp + (fp + fn) / 2) if tp + fp + fn else 1.0,
        "true_instances": tp + fn,
        "predicted_instances": tp + fp,
    }


def bowl(scores: Sequence[PictureScores], classes: Sequence[str]) -> Figures:
    """Return the average precision as the 2018 Data Science Bowl and StarDist have it.

    Args:
        scores: Counts of each picture.
        classes: K class names.
    """
    shown = {
        name: mean_average_precision(scores, label)
        for label, name in enumerate(classes, start=1)
        if any((s.tp + s.fp + s.fn)[label - 1 : label].any() for s in scores)
    }
    return Figures(
        _named(mean_average_precision(scores)),
        {name: _named(values) for name, values in shown.items()},
    )


def _named(values: dict[float, float]) -> Values:
    mean = float(np.mean(list(values.values()))) if values else 0.0
    return {
        **{f"average_precision_at_iou_{t:g}": value for t, value in values.items()},
        "average_precision": mean,
    }
