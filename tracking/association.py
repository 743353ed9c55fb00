"""Which instance is which known object. Pure.

Hungarian assignment in three stages: confirmed objects seen lately, then young ones, then objects
that were lost are found again by their colours. Shape letters: I instances, K tracks.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracking.appearance import Appearances, colour_distances
from tracking.motion import (
    Floats,
    heads,
    intersection_over_union,
    moved,
    widened,
)
from tracking.parameters import Parameters

_NEVER = 1e6
"""Cost of a pair that may not be."""


class Known(NamedTuple):
    """The known objects as columns.

    Attributes:
        boxes: (K, 4) when last seen, pixels.
        velocities: (K, 2) of the head points, pixels a second.
        unseen: (K,) seconds since they were seen.
        hits: (K,) frames that showed them.
        kinds: (K,) fingerprints of their classes.
        colours: (K, B); zeros where they are unknown.
    """

    boxes: Floats
    velocities: Floats
    unseen: Floats
    hits: NDArray[np.int64]
    kinds: NDArray[np.int64]
    colours: Appearances


class Seen(NamedTuple):
    """The instances as columns, see `Known`.

    Attributes:
        boxes: (I, 4).
        kinds: (I,).
        colours: (I, B).
        overlapped: (I,) whether others may cover a part of them.
    """

    boxes: Floats
    kinds: NDArray[np.int64]
    colours: Appearances
    overlapped: NDArray[np.bool_]


class Association(NamedTuple):
    """Who is who.

    Attributes:
        found: (I,) the known object that each instance is, -1 for a new one.
        merged: Young objects that turned out to be ones that were lost.
    """

    found: NDArray[np.int64]
    merged: NDArray[np.int64]


def associate(seen: Seen, known: Known, settings: Parameters) -> Association:
    """Find out which known object each instance is."""
    found = np.full(len(seen.boxes), -1)
    if not len(found) or not len(known.boxes):
        return Association(found, found[:0])
    colours = colour_distances(seen.colours, known.colours)
    blind = np.isnan(colours)
    way = moved(known.velocities, known.unseen, settings.velocity_decay_seconds)
    expected = known.boxes.copy()
    expected[:, :2] += way
    gap = heads(seen.boxes)[:, None] - heads(expected)[None]
    height = 0.5 * (seen.boxes[:, 3][:, None] + known.boxes[:, 3][None])
    distance = np.hypot(gap[..., 0], gap[..., 1]) / np.maximum(height, 1.0)
    other = seen.kinds[:, None] != known.kinds[None]
    buffered = intersection_over_union(
        widened(seen.boxes, settings.widened), widened(expected, settings.widened)
    )
    trust = np.where(seen.overlapped, settings.overlapped_colour, 1.0)[:, None]
    cost = (
        settings.colour_weight * trust * np.where(blind, settings.unknown_colour, colours)
        + settings.head_weight * distance
        + settings.overlap_weight * (1.0 - buffered)
        + settings.size_weight * _size_changes(seen.boxes, known.boxes)
    )
    speed = np.where(blind, settings.blind_speed, settings.reach_speed)
    far = distance > settings.reach + speed * known.unseen
    with np.errstate(invalid="ignore"):
        unlike = (colours > settings.colour_most) & ~seen.overlapped[:, None]
    cost[other | far | unlike] = _NEVER
    confirmed = known.hits >= settings.confirmed_hits
    lately = known.unseen <= settings.tracked_seconds
    _assign(found, cost, confirmed & lately, settings.tracked_cost)
    _assign(found, cost, ~confirmed, settings.young_cost)
    reach = np.minimum(
        settings.relink_reach + settings.relink_speed * known.unseen, settings.relink_most
    )
    reach = np.where(blind, settings.blind_reach, reach)
    again = settings.relink_head_weight * distance / reach + np.where(blind, 0.0, colours)
    again[other | (distance > reach)] = _NEVER
    _assign(found, again, confirmed, settings.relink_colour)
    young = (found >= 0) & ~confirmed[found]
    adopted = np.where(young, -1, found)
    _assign(adopted, again, confirmed, settings.adopt_colour)
    merged = found[young & (adopted >= 0)]
    return Association(np.where(adopted >= 0, adopted, found), merged)


def _size_changes(seen: Floats, known: Floats) -> Floats:
    """Return (I, K): logarithm of the ratio of heights, without its sign."""
    a, b = np.log(np.maximum(seen[:, 3], 1.0)), np.log(np.maximum(known[:, 3], 1.0))
    changes: Floats = np.abs(a[:, None] - b[None])
    return changes


def _assign(found: NDArray[np.int64], cost: Floats, wanted: NDArray[np.bool_], most: float) -> None:
    """Pair the instances that are free with wanted objects that are free, at most at some cost."""
    free = wanted.copy()
    free[found[found >= 0]] = False
    rows, columns = np.flatnonzero(found < 0), np.flatnonzero(free)
    if not len(rows) or not len(columns):
        return
    part = np.minimum(cost[np.ix_(rows, columns)], most)
    for i, k in zip(*linear_sum_assignment(part), strict=True):
        if part[i, k] < most:
            found[rows[i]] = columns[k]
