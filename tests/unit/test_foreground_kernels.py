"""Gathering the foreground: as plain NumPy does it, for every kind of row."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segmentation.foreground_kernels import Maps, gather, scan, settle
from segmentation.sorting_kernels import LAST_PIXEL, Points, scores_of

STEP = np.array([0.01, 0.02], np.float32)
FURTHEST = np.float32(1.01)
UNSOUND = (np.nan, np.inf, -np.inf, 1.5, -1.5)


def rows_of(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return bool (H, W): foreground of one kind."""
    height, width = shape
    x = np.arange(width)
    if kind == "all":
        return np.ones(shape, bool)
    if kind == "none":
        return np.zeros(shape, bool)
    if kind == "noise":
        return rng.random(shape) < 0.5
    if kind == "single":
        return np.asarray(x == rng.integers(0, width, (height, 1)))
    if kind == "two pieces in a block":
        return np.tile((x % 64 < 10) | (x % 64 > 40), (height, 1))
    begin = rng.integers(0, width, (height, 1))  # one run a row, up to the row's end or not
    return np.asarray((x >= begin) & (x < begin + rng.integers(1, width + 1, (height, 1))))


@pytest.mark.parametrize("kind", ["all", "none", "noise", "single", "two pieces in a block", "run"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 63), (7, 64), (5, 65), (9, 200), (3, 513)])
@pytest.mark.parametrize("unsound", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("n_classes", [0, 1, 3])
def test_the_foreground_is_that_of_plain_numpy(
    kind: str, shape: tuple[int, int], unsound: float, n_classes: int
) -> None:
    rng = np.random.default_rng(shape[1])
    wanted = rows_of(kind, shape, rng)
    seed = np.where(wanted, rng.uniform(0.51, 1, shape), rng.uniform(0, 0.5, shape))
    seed = seed.astype(np.float32)
    offset = rng.uniform(-1, 1, (2, *shape)).astype(np.float32)
    broken = rng.random(shape) < unsound
    for map_ in (offset[0], offset[1], seed):
        here = broken & (rng.random(shape) < 0.5)
        map_[here] = rng.choice(UNSOUND[: 5 if map_ is not seed else 2], int(here.sum()))
    label = rng.integers(0, max(1, n_classes), shape).astype(np.uint8)

    found, found_label = Points.of(seed.size), np.empty(seed.size, np.uint8)
    counts, ends = np.zeros(256, np.int64), np.empty(shape[0], np.int32)
    n = scan(
        Maps(offset, seed, seed.view(np.int32), STEP),
        label if n_classes else np.empty((0, 0), np.uint8),
        np.float32(0.5),
        FURTHEST,
        counts,
        found,
        found_label,
        ends,
    )

    with np.errstate(invalid="ignore"):
        is_sound = (np.abs(offset) <= FURTHEST).all(0) & np.isfinite(seed)
        kept = (seed > 0.5) & is_sound
    y, x = np.nonzero(kept)
    assert n == len(y)
    np.testing.assert_array_equal(ends, np.cumsum(kept.sum(1)))
    np.testing.assert_allclose(found.x[:n], offset[0][kept] + x * STEP[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.y[:n], offset[1][kept] + y * STEP[1], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores_of(found.key[:n]), seed[kept])
    np.testing.assert_array_equal(LAST_PIXEL - (found.key[:n] & LAST_PIXEL), np.flatnonzero(kept))
    np.testing.assert_array_equal(counts, np.bincount(label[kept], minlength=256))
    if n_classes:
        np.testing.assert_array_equal(found_label[:n], label[kept])

    with np.errstate(invalid="ignore"):
        place = np.flatnonzero(seed > 0.5).astype(np.int32)
    sent = [values.ravel()[place] for values in (offset[0], offset[1], seed, label)]
    again, again_label = Points.of(seed.size), np.empty(seed.size, np.uint8)
    again_counts = np.zeros(256, np.int64)
    n_again = gather(
        *(place, sent[0], sent[1], sent[2].view(np.int32), sent[3], shape[1], STEP, FURTHEST),
        *(again_counts, again, again_label),
    )
    assert n_again == n
    for one, other in zip(again.first(n), found.first(n), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again_counts, counts)
    np.testing.assert_array_equal(again_label[:n], label[kept])


def test_points_without_a_grid_get_it_and_their_scores() -> None:
    rng = np.random.default_rng(0)
    shape = (11, 150)
    raw = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    raw[2, 4] = -1  # a row without any
    found, ends = Points.of(raw[0].size), np.empty(shape[0], np.int32)
    n = scan(
        Maps(raw[:2], raw[2], raw[2].view(np.int32), np.zeros(2, np.float32)),
        np.empty((0, 0), np.uint8),
        np.float32(0),
        np.finfo(np.float32).max,
        np.zeros(256, np.int64),
        found,
        np.empty(raw[0].size, np.uint8),
        ends,
    )
    points = found.first(n)
    settle(points, np.exp(-scores_of(points.key)), ends, STEP, shape[1])

    kept = raw[2] > 0
    y, x = np.nonzero(kept)
    np.testing.assert_allclose(points.x, raw[0][kept] + x * STEP[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(points.y, raw[1][kept] + y * STEP[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores_of(points.key), 1 / (1 + np.exp(-raw[2][kept])), rtol=1e-6)
    np.testing.assert_array_equal(LAST_PIXEL - (points.key & LAST_PIXEL), np.flatnonzero(kept))
