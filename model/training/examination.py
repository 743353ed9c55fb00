"""Data are examined before step 0: every fault in one list, and nothing to learn is refused.

The pictures that are read for it stay in the cache, so the first steps are faster for it.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from contract.errors import ConfigurationError
from model.data.check import Report, area_scale, look
from model.data.data_set import BrokenSampleError, DataSet, Subset
from model.data.doubts import classes_without_objects, doubts, too_small
from model.data.fault_groups import describe_faults, describe_whole
from model.data.flaws import describe_flaws
from model.recipes.recipe import Recipe

Broken = Literal["stop", "ignore"]
"""What a broken picture does: ``stop`` refuses the run, ``ignore`` leaves the picture out."""

SECONDS = 60.0
"""How long pictures are read before a run that stops at broken ones; the rest is checked as it is
learned from. To leave pictures out, all have to be known."""

log = logging.getLogger(__name__)


def examine(
    parts: Sequence[tuple[DataSet, Sequence[int]]],
    broken: Broken,
    clock: Callable[[], float] = time.monotonic,
) -> list[Report]:
    """Read pictures and say what is wrong with any of them.

    Args:
        parts: Data sets with the model's classes, and which of their pictures to read.
        broken: Whether broken pictures stop the run.
        clock: Seconds.

    Returns:
        What each data set holds.

    Raises:
        BrokenSampleError: Pictures are broken and ``broken`` is ``stop``; names all.
        ConfigurationError: Every picture of a data set is broken; names all such data sets.
    """
    end = clock() + SECONDS if broken == "stop" else math.inf
    reports = [look(data, indices, out_of_time=lambda: clock() > end) for data, indices in parts]
    faults = [fault for report in reports for fault in report.broken]
    if faults and broken == "stop":
        raise _refusal(parts[0][0].root, faults)
    for text in describe_faults(faults):
        log.warning("left out: %s", text)
    for text in describe_flaws(flaw for report in reports for flaw in report.flaws):
        log.warning("%s", text)
    # The parts of one data set say the same.
    for text in dict.fromkeys(f"{d.root}: {text}" for d, _ in parts for text in describe_whole(d)):
        log.warning("%s", text)
    empty = []
    for (data, indices), report in zip(parts, reports, strict=True):
        if report.looked < len(indices):
            log.info(
                "%s: examined %d of %d pictures in %.0f seconds; the others are checked as they "
                "are read",
                data.root,
                report.looked,
                len(indices),
                SECONDS,
            )
        for text in doubts(report, data.names):
            log.warning("%s: %s", data.root, text)
        if report.looked and not report.pictures:
            empty.append(f"{data.root}: none of its {report.looked} pictures can be used")
    if empty:
        raise ConfigurationError(empty)
    return reports


def _refusal(root: Path, faults: Sequence[BrokenSampleError]) -> BrokenSampleError:
    """Return one error that names all faults."""
    if len(faults) == 1:
        path, reason = faults[0].path, faults[0].reason
        return BrokenSampleError(path, f"{reason}; mend it, or leave it out: --broken ignore")
    told = "\n  ".join(describe_faults(faults))
    return BrokenSampleError(
        root,
        f"{len(faults)} pictures cannot be used; mend them, or leave them out with --broken "
        f"ignore:\n  {told}",
    )


def without_broken(data: DataSet, report: Report) -> DataSet:
    """Return the data set without the pictures that its report calls broken."""
    return Subset(data, sorted(report.pictures)) if report.broken else data


def require_objects(
    recipe: Recipe, learned: Sequence[Report], validated: Report | None, *, complete: bool
) -> None:
    """Log what there is of each class at the model's input; refuse data without any object.

    Args:
        recipe: What is to be learned.
        learned: What is learned from, one report per data set, all with the model's classes.
        validated: What validates; None where nothing does.
        complete: Whether every picture was read.

    Raises:
        ConfigurationError: No object to learn from, or none in the pictures that validate; all
            faults.
    """
    together = joined(learned)
    faults = []
    if complete and not together.instances:
        faults.append(
            f"no object to learn from in {len(together.pictures)} pictures"
            f"{_ignored(together)}; look at them with `seedstream dataset check`"
        )
    if validated is not None and not validated.instances:
        faults.append(
            f"no object in the {len(validated.pictures)} pictures that validate"
            f"{_ignored(validated)}: no weights could be told from others; let pictures with "
            'objects validate (folders of the layout, "validation" in dataset.json), or set '
            "--validation-pictures 0 to train without validation"
        )
    if faults:
        raise ConfigurationError(faults)
    _tell(recipe, together, "learned")
    if validated is not None:
        _tell(recipe, validated, "validation")


def joined(reports: Sequence[Report]) -> Report:
    """Return one report on the pictures of several of the same classes."""
    pictures = [found for report in reports for found in report.pictures.values()]
    whole = Report(reports[0].classes, dict(enumerate(pictures)))
    whole.flaws = [flaw for report in reports for flaw in report.flaws]
    whole.looked = sum(report.looked for report in reports)
    return whole


def _ignored(report: Report) -> str:
    count = sum(found.ignored > 0 for found in report.pictures.values())
    if not count:
        return ""
    reasons = "; ".join(describe_flaws(report.flaws)) or "such as crowds"
    return f" ({count} have ignored regions alone: {reasons})"


def _tell(recipe: Recipe, report: Report, use: str) -> None:
    """Log counts and sizes by class, in pixels of the model's input."""
    height, width = recipe.input_size
    for label, name in enumerate(report.classes, start=1):
        areas = np.concatenate(
            [
                np.zeros(0),
                *(
                    found.areas[found.classes == label] * area_scale(found, recipe.input_size)
                    for found in report.pictures.values()
                ),
            ]
        )
        if areas.size:
            low, middle, high = np.quantile(areas, (0.05, 0.5, 0.95))
            log.info(
                "%s, %s: %d objects of %.0f / %.0f / %.0f pixels (5, 50, 95 %%) at the input of "
                "%dx%d",
                use,
                name,
                areas.size,
                low,
                middle,
                high,
                width,
                height,
            )
    for text in [
        *classes_without_objects(report),
        *too_small(report, recipe.input_size, recipe.min_pixels),
    ]:
        log.warning("%s: %s", use, text)
