"""Mask average precision as COCO defines it, by pycocotools.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; cocodataset.org,
"Detection Evaluation". Masks of predictions are those of the worker, as they are.

Legend: H, W pixels; K classes; T IoU thresholds, R recalls, A areas, M numbers of detections.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from contract.result import Instance
from model.data.labels import IGNORE, IGNORED, Labelled, TrueShape
from model.evaluation.figures import Figures, Values

MOST = 100
"""Instances of a class and picture that count, the best scores first, as COCO has it."""

_AREAS = ("all", "small", "medium", "large")


class CocoTruth:
    """True instances in COCO's terms, collected picture by picture.

    Ignored pixels become a crowd of every class: what lies mostly on them counts neither way.

    Args:
        classes: K class names; category k is ``classes[k - 1]``.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def see(self, picture: Labelled, labels: Sequence[str]) -> None:
        """Take the next picture; the first one is image 1.

        Args:
            picture: Its labels count from 1.
            labels: Class names of the labels; classes that are not among `classes` are left out.
        """
        shapes = []
        numbers = np.unique(picture.instances)
        for number in numbers[numbers > 0].tolist():
            mask = picture.instances == number
            own = picture.labels[mask]
            label = int(own[np.argmax(own > 0)])  # of the first pixel that has a class
            if 1 <= label <= len(labels):
                shapes.append(_shape(mask, labels[label - 1], crowd=False))
        ignored = picture.labels == IGNORE
        if ignored.any():
            shapes.append(_shape(ignored, IGNORED, crowd=True))
        self.see_shapes(picture.labels.shape, shapes)

    def see_shapes(self, shape: tuple[int, ...], shapes: Sequence[TrueShape]) -> None:
        """Take the next picture, of ``shape`` (H, W), as the true instances that it shows."""
        image = {"id": len(self._images) + 1, "height": shape[0], "width": shape[1]}
        self._images.append(image)
        for each in shapes:
            names = self.classes if each.class_name == IGNORED else (each.class_name,)
            for name in names:
                if name in self.classes:
                    self._add(each, self.classes.index(name) + 1)

    def _add(self, shape: TrueShape, category: int) -> None:
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,  # 0 would mean "no match" to COCOeval
                "image_id": len(self._images),
                "category_id": category,
                "segmentation": shape.mask,
                "area": shape.area,
                "bbox": rle.toBbox(shape.mask).tolist(),
                "iscrowd": int(shape.crowd),
            }
        )

    def index(self) -> COCO:
        """Return the collected truth as pycocotools reads it."""
        return _quietly_indexed(
            {
                "images": self._images,
                "annotations": self._annotations,
                "categories": [
                    {"id": k, "name": name} for k, name in enumerate(self.classes, start=1)
                ],
            }
        )


def _shape(mask: NDArray[np.bool_], class_name: str, *, crowd: bool) -> TrueShape:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return TrueShape(encoded, class_name, float(rle.area(encoded)), crowd)


def coco_figures(
    truth: COCO, image_ids: Sequence[int], found: Sequence[Sequence[Instance]]
) -> Figures:
    """Return AP, AP50, AP75, those of small, medium and large objects, and AR; also by class.

    Args:
        truth: The true instances; its categories' names are the classes.
        image_ids: Image of each picture.
        found: Instances of each picture; those of classes that ``truth`` has not are left out.
    """
    listed = sorted(truth.dataset["categories"], key=lambda category: int(category["id"]))
    categories = {category["name"]: category["id"] for category in listed}
    results = [
        {
            "image_id": image_id,
            "category_id": categories[each.class_name],
            "segmentation": {**each.mask, "counts": each.mask["counts"].encode()},
            "score": each.score,
        }
        for image_id, instances in zip(image_ids, found, strict=True)
        for each in instances
        if each.class_name in categories
    ]
    evaluation = _evaluate(truth, image_ids, results)
    by_class = {
        name: values
        for k, name in enumerate(categories)  # COCOeval goes by ascending ids, too
        if (values := _summary(evaluation, slice(k, k + 1)))
    }
    return Figures(_summary(evaluation, slice(None)), by_class)


def _evaluate(truth: COCO, image_ids: Sequence[int], results: list[dict[str, Any]]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        detections = (
            truth.loadRes(results)
            if results
            else _quietly_indexed({**truth.dataset, "annotations": []})
        )
        evaluation = COCOeval(truth, detections, "segm")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.params.maxDets = [1, 10, MOST]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _summary(evaluation: COCOeval, classes: slice) -> Values:
    """Means over what there is: COCOeval marks classes without true instances with -1."""
    precision = evaluation.eval["precision"][:, :, classes]  # (T, R, K, A, M)
    recall = evaluation.eval["recall"][:, classes]  # (T, K, A, M)
    values: Values = {}
    for area, name in enumerate(_AREAS):
        _put(values, "coco_ap" if name == "all" else f"coco_ap_{name}", precision[..., area, -1])
        _put(values, "coco_ar" if name == "all" else f"coco_ar_{name}", recall[..., area, -1])
    for threshold in (0.5, 0.75):
        (place,) = np.flatnonzero(np.isclose(evaluation.params.iouThrs, threshold))
        _put(values, f"coco_ap{threshold * 100:.0f}", precision[place, ..., 0, -1])
    return values


def _put(values: Values, name: str, table: NDArray[np.float64]) -> None:
    known = table[table > -1]
    if known.size:
        values[name] = float(known.mean())


def _quietly_indexed(dataset: dict[str, Any]) -> COCO:
    """Index a data set without pycocotools' progress on standard output."""
    coco = COCO()
    coco.dataset = dataset
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
