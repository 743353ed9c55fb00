"""Instance average precision of Cityscapes, by the official evaluator (cityscapesscripts).

Source: Cordts et al., CVPR 2016; cityscapesscripts, ``evalInstanceLevelSemanticLabeling``.
It reads predictions from files: one text file a picture that lists masks, classes and scores.

Legend: H, W pixels; K classes; T IoU thresholds.
"""

import contextlib
import copy
import importlib
import io
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from contract.errors import ConfigurationError
from contract.mask import decode_mask
from contract.result import Instance
from model.evaluation.figures import Figures, Values

# Imported by name: the package has no types, and its modules' names fit no style.
official: Any = importlib.import_module(
    "cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling"
)
name2label: Any = importlib.import_module("cityscapesscripts.helpers.labels").name2label

CLASSES: tuple[str, ...] = tuple(
    name for name, label in name2label.items() if label.hasInstances and not label.ignoreInEval
)
"""The classes that it evaluates; one that the model does not know counts with an AP of 0."""


def check_classes(classes: Sequence[str]) -> None:
    """Refuse classes that the official evaluator does not know.

    Raises:
        ConfigurationError: There are such.
    """
    foreign = [name for name in classes if name not in CLASSES]
    if foreign:
        raise ConfigurationError(
            f"the model has the classes {foreign}, the official evaluation of Cityscapes knows "
            f"{list(CLASSES)}; give --metric coco or --metric average-precision"
        )


def cityscapes_figures(truth: Sequence[Path], found: Sequence[Sequence[Instance]]) -> Figures:
    """Return AP and AP50, over the eight classes and of each.

    Args:
        truth: ``*_gtFine_instanceIds.png`` of each picture.
        found: Instances of each picture, in its pixels.
    """
    with tempfile.TemporaryDirectory(prefix="seedstream-cityscapes-") as scratch:
        folder = Path(scratch).resolve()
        lists = [
            _write_prediction(folder, number, instances) for number, instances in enumerate(found)
        ]
        args = _arguments(folder)
        with _evaluator():
            files = [str(path.resolve()) for path in truth]
            official.setInstanceLabels(args)
            instances_of = official.getGtInstances(files, args)
            matches = official.matchGtWithPreds(lists, files, instances_of, args)
            averages = official.computeAverages(official.evaluateMatches(matches, args), args)
    by_class = {
        name: values
        for name, of_class in averages["classes"].items()
        if (values := _known(of_class["ap"], of_class["ap50%"]))
    }
    return Figures(_known(averages["allAp"], averages["allAp50%"]), by_class)


def _known(ap: float, ap50: float) -> Values:
    """NaN says that no picture shows the class."""
    return {} if np.isnan(ap) else {"cityscapes_ap": float(ap), "cityscapes_ap50": float(ap50)}


def _write_prediction(folder: Path, number: int, instances: Sequence[Instance]) -> str:
    lines = []
    for place, instance in enumerate(instances):
        name = f"{number}_{place}.png"
        cv2.imwrite(str(folder / name), decode_mask(instance.mask).astype(np.uint8) * 255)
        lines.append(f"{name} {name2label[instance.class_name].id} {instance.score}\n")
    path = folder / f"{number}.txt"
    path.write_text("".join(lines))
    return str(path)


def _arguments(folder: Path) -> Any:
    """A copy of the evaluator's global arguments that writes below ``folder`` alone."""
    args = copy.copy(official.args)
    args.predictionPath = str(folder)
    args.gtInstancesFile = str(folder / "gtInstances.json")  # its cache of the truth
    args.instLabels = []
    args.quiet = True
    return args


@contextlib.contextmanager
def _evaluator() -> Iterator[None]:
    """Silence the evaluator; give it the function that NumPy 2.4 dropped and 2.3.0 still calls."""
    numpy = official.np
    if not hasattr(numpy, "in1d"):
        official.np = types.SimpleNamespace(**vars(numpy), in1d=np.isin)
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(invalid="ignore"):
            yield
    finally:
        official.np = numpy
