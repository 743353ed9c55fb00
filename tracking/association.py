"""Which instance is which known object. Pure.

Hungarian assignment in three stages: confirmed objects seen lately, then young ones, then objects
that were lost are found again by their colours. Shape letters: I instances, K known objects.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracking.appearance import Appearances, colour_distances
from tracking.motion import Floats, heads, intersection_over_union, moved, widened
from tracking.parameters import Parameters

_NEVER = 1e6
"""Cost of a pair that may not be."""


class Known(NamedTuple):
    """The known objects as columns.

    Attributes:
        boxes: (K, 4) when last seen, pixels.
        velocities: (K, 2) of the head points, pixels a second.
        unseen: (K,) seconds since they were seen.
        confirmed: (K,) whether they were seen often enough.
        kinds: (K,) fingerprints of their classes.
        colours: (K, B); zeros where they are unknown.
        returning: (K,) whether they are found again when they were lost.
    """

    boxes: Floats
    velocities: Floats
    unseen: Floats
    confirmed: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    colours: Appearances
    returning: NDArray[np.bool_]


class Seen(NamedTuple):
    """The instances as columns, see `Known`.

    Attributes:
        boxes: (I, 4).
        kinds: (I,).
        colours: (I, B).
        overlapped: (I,) whether others may hide a part of them.
    """

    boxes: Floats
    kinds: NDArray[np.int64]
    colours: Appearances
    overlapped: NDArray[np.bool_]


class _Pairs(NamedTuple):
    """All pairs, (I, K) each.

    Attributes:
        colours: Colour distance; NaN where either has none.
        distance: Between seen and expected head point (or feet, see `_gaps`), in heights.
        overlap: IoU of widened boxes.
        resized: Whether the heights differ much: one shows a part of the object.
        other: Whether the classes differ.
        unseen: Seconds.
    """

    colours: Floats
    distance: Floats
    overlap: Floats
    resized: NDArray[np.bool_]
    other: NDArray[np.bool_]
    unseen: Floats


def associate(seen: Seen, known: Known, settings: Parameters) -> NDArray[np.int64]:
    """Return (I,): the known object that each instance is, -1 for a new one."""
    found = np.full(len(seen.boxes), -1)
    if not len(found) or not len(known.boxes):
        return found
    pairs = _compare(seen, known, settings)
    cost = _cost(pairs, seen, settings)
    lately = known.unseen <= settings.tracked_seconds
    _assign(found, cost, known.confirmed & lately, settings.tracked_cost)
    _assign(found, cost, ~known.confirmed, settings.young_cost)
    lost = known.confirmed & known.returning
    _assign(found, _relink_cost(pairs, settings), lost, settings.relink_colour)
    return found


def _compare(seen: Seen, known: Known, settings: Parameters) -> _Pairs:
    expected = known.boxes.copy()
    expected[:, :2] += moved(known.velocities, known.unseen, settings.velocity_decay_seconds)
    tall, was_tall = np.maximum(seen.boxes[:, 3], 1.0)[:, None], np.maximum(known.boxes[:, 3], 1.0)
    share = settings.widened
    resized = np.maximum(tall / was_tall, was_tall / tall) > settings.resized
    gap = _gaps(seen, expected, resized)
    return _Pairs(
        colours=colour_distances(seen.colours, known.colours),
        distance=np.sqrt((gap * gap).sum(axis=2)) / (0.5 * (tall + was_tall)),
        overlap=intersection_over_union(widened(seen.boxes, share), widened(expected, share)),
        resized=resized,
        other=seen.kinds[:, None] != known.kinds[None],
        unseen=known.unseen[None],
    )


def _gaps(seen: Seen, expected: Floats, resized: NDArray[np.bool_]) -> Floats:
    """Return the ways from where objects are expected to where instances are (I, K, 2), in pixels.

    They are those of the head points. If something may hide the head of an instance, as its height
    has changed and nobody overlaps it, the feet count where they are nearer.
    """
    gaps = heads(seen.boxes)[:, None] - heads(expected)[None]
    partial = resized & ~seen.overlapped[:, None]
    if partial.any():
        up = gaps[..., 1]
        low = up + seen.boxes[:, None, 3] - expected[None, :, 3]
        gaps[..., 1] = np.where(partial & (np.abs(low) < np.abs(up)), low, up)
    return gaps


def _cost(pairs: _Pairs, seen: Seen, settings: Parameters) -> Floats:
    """Return what it costs that an object simply went on."""
    blind = np.isnan(pairs.colours)
    colours = np.where(blind, settings.unknown_colour, pairs.colours)
    cost: Floats = (
        settings.colour_weight * np.minimum(colours, settings.colour_cap)
        + settings.head_weight * pairs.distance
        + settings.overlap_weight * (1.0 - pairs.overlap)
    )
    speed = np.where(blind, settings.blind_speed, settings.reach_speed)
    far = pairs.distance > settings.reach + speed * pairs.unseen
    partial = seen.overlapped[:, None] | pairs.resized
    never = pairs.other | far
    unlike = (colours > settings.colour_most) & ~partial & ~never
    if unlike.any():
        never |= unlike & ~_goes_on(pairs, settings)
    cost[never] = _NEVER
    return cost


def _goes_on(pairs: _Pairs, settings: Parameters) -> NDArray[np.bool_]:
    """Return whether an object is where it must be, whatever its colours have become (I, K).

    A lamp was switched on, or the mask has a part of what stands before it; unless the colours are
    those of someone else who may be there.
    """
    there = (pairs.overlap > settings.going_on) & (pairs.unseen <= settings.going_on_seconds)
    near = pairs.distance <= _relink_reach(pairs, settings)
    fits = (pairs.colours <= settings.relink_colour) & near & ~pairs.other
    goes_on: NDArray[np.bool_] = there & ~fits.any(axis=1, keepdims=True)
    return goes_on


def _relink_cost(pairs: _Pairs, settings: Parameters) -> Floats:
    """Return what it costs that a lost object is found again: colours, and hardly the way."""
    blind = np.isnan(pairs.colours)
    reach = np.where(blind, settings.blind_reach, _relink_reach(pairs, settings))
    cost: Floats = settings.relink_head_weight * pairs.distance / reach
    cost += np.where(blind, 0.0, pairs.colours)
    cost[pairs.other | (pairs.distance > reach)] = _NEVER
    return cost


def _relink_reach(pairs: _Pairs, settings: Parameters) -> Floats:
    """Return how far from where it is expected a lost object is looked for (1, K), in heights."""
    grown = settings.relink_reach + settings.relink_speed * pairs.unseen
    reach: Floats = np.minimum(grown, settings.relink_most)
    return reach


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
