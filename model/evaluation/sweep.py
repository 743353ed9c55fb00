"""Which thresholds are tried, and how they are given on a command line.

Sizes follow the model's input: an input of twice the side shows an object with four times the
pixels, but also shows objects that a smaller one does not, so the sizes tried grow with the side.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.evaluation.predict import Cell
from segmentation.cluster import FOREGROUND_THRESHOLD

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975)
"""Seed thresholds tried; pixels with a seed score below 0.5 belong to no instance anyway."""

_SHARES = (1 / 48, 1 / 24, 1 / 12, 1 / 6, 1 / 3)
"""Sizes tried, in pixels per pixel of the input's side (the root of its area)."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Tried:
    """What a sweep is to try.

    Attributes:
        thresholds: Seed thresholds, 0.5..1; None takes `THRESHOLDS`.
        min_pixels: Sizes, in pixels of the model's input; None takes `sizes`.
    """

    thresholds: Sequence[float] | None = None
    min_pixels: Sequence[int] | None = None


def sizes(artifact: Artifact) -> tuple[int, ...]:
    """Return the smallest sizes of an instance that are tried, in pixels of the input.

    The artifact's own is one of them. An input of 384x384 tries 8, 16, 32, 64 and 128; one of
    1024x2048 tries 30, 60, 121, 241 and 483.
    """
    side = math.sqrt(artifact.height * artifact.width)
    return tuple(sorted({artifact.min_pixels, *(max(1, round(side * s)) for s in _SHARES)}))


def grid(artifact: Artifact, tried: Tried) -> list[Cell]:
    """Return what a sweep tries; what the artifact ships with is always among it.

    Args:
        artifact: Its thresholds and input size count.
        tried: What is asked for.

    Raises:
        ConfigurationError: A value is out of its range; all are named.
    """
    thresholds = THRESHOLDS if tried.thresholds is None else tried.thresholds
    min_pixels = sizes(artifact) if tried.min_pixels is None else tried.min_pixels
    area = artifact.height * artifact.width
    faults = [
        f"a seed threshold is {t:g}, expected {FOREGROUND_THRESHOLD:g}..1: pixels with a lower "
        "seed score are background"
        for t in thresholds
        if not FOREGROUND_THRESHOLD <= t <= 1
    ]
    faults += [
        f"a smallest size is {m}, expected 1..{area} pixels of the model's input "
        f"{artifact.height}x{artifact.width}"
        for m in min_pixels
        if not 1 <= m <= area
    ]
    if faults:
        raise ConfigurationError(faults)
    own = Cell.of(artifact)
    scores = {*thresholds, artifact.seed_threshold, own.threshold}
    return [Cell(t, m) for m in sorted({*min_pixels, own.min_pixels}) for t in sorted(scores)]


def parse_numbers(
    text: str | None, kind: Callable[[str], Number], flag: str
) -> list[Number] | None:
    """Return the numbers of a text like ``0.5,0.7``; None for None.

    Raises:
        ConfigurationError: It holds something else.
    """
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise ConfigurationError(
            f"{flag} is {text!r}, expected {what} with commas between"
        ) from error
