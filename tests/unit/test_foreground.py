"""What a GPU sends: clustered as the whole maps are, and as maps for who asks for them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segmentation.cluster import cluster, cluster_foreground
from segmentation.engines.base import Predictions
from segmentation.engines.foreground import Foreground, Pixels

STEP = (2 / 2047, 1 / 1023)


def sent(maps: Predictions, n: int) -> Foreground:
    """Return the foreground of maps, as that of the first n images."""
    with np.errstate(invalid="ignore"):
        place = np.flatnonzero(maps.seed > 0.5).astype(np.int32)
    channels = [*np.moveaxis(maps.offset, 1, 0), *np.moveaxis(maps.bandwidth, 1, 0), maps.seed]
    values = np.array([channel.ravel()[place] for channel in channels], np.float32)
    pixels = Pixels(place, values, maps.class_index.ravel()[place])
    return Foreground(pixels, (n, *maps.seed.shape[1:]))


def broken(
    values: NDArray[np.float32], rng: np.random.Generator, worst: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return values of which some are none, or far from all others."""
    if rng.random() < 0.5:
        here = rng.random(values.shape) < 0.1
        values[here] = rng.choice(np.array(worst, np.float32), int(here.sum()))
    return values


def random_maps(rng: np.random.Generator, n_classes: int) -> Predictions:
    n, height, width = (int(value) for value in rng.integers((1, 1, 1), (4, 50, 50)))
    n_sigma = int(rng.integers(1, 3))
    seed = rng.random((n, height, width))
    if rng.random() < 0.5:
        seed = np.maximum(seed, 0.6)  # all of it
    if rng.random() < 0.3:
        seed[rng.integers(n)] = 0  # an image with none, among others
    offset = rng.normal(0, 0.003, (n, 2, height, width)).astype(np.float32)
    bandwidth = rng.normal(0.4, 0.3, (n, n_sigma, height, width)).astype(np.float32)
    unknown = rng.random() < 0.2
    labels = rng.integers(0, n_classes + unknown, seed.shape).astype(np.uint8)
    return Predictions(
        broken(offset, rng, (np.nan, np.inf, -np.inf, 5.0, 1.0)),
        broken(bandwidth, rng, (np.nan, np.inf, -np.inf, -20.0)),
        broken(seed.astype(np.float32), rng, (np.nan, np.inf, 0.5)),
        labels,
    )


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_the_foreground_alone_gives_the_same_instances(first: int) -> None:
    n_found = 0
    for number in range(first, first + 50):
        rng = np.random.default_rng(number)
        n_classes = int(rng.integers(1, 4))
        maps = random_maps(rng, n_classes)
        n = int(rng.integers(1, len(maps) + 1))
        said = sent(maps, n)
        least, lowest = int(rng.integers(1, 20)), float(rng.choice([0.0, 0.5, 0.9]))
        assert len(said) == n
        for i in range(n):
            expected = cluster(
                *(maps.offset[i], maps.bandwidth[i], maps.seed[i], maps.class_index[i]),
                grid_step=STEP, seed_threshold=lowest, min_pixels=least, n_classes=n_classes,
            )  # fmt: skip
            found = cluster_foreground(
                *said.of_image(i), said.size,
                grid_step=STEP, seed_threshold=lowest, min_pixels=least, n_classes=n_classes,
            )  # fmt: skip
            for one, other in zip(vars(found).values(), vars(expected).values(), strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other), number
            n_found += len(found.scores)
    assert n_found > 100


def test_maps_are_made_for_who_asks_and_are_0_elsewhere() -> None:
    maps = random_maps(np.random.default_rng(3), 3)
    said = sent(maps, len(maps))
    with np.errstate(invalid="ignore"):
        inside = maps.seed > 0.5
    assert 0 < inside.mean() < 1
    assert np.array_equal(said.seed, np.where(inside, maps.seed, 0), equal_nan=True)
    assert np.array_equal(said.class_index, np.where(inside, maps.class_index, 0))
    for made, whole in ((said.offset, maps.offset), (said.bandwidth, maps.bandwidth)):
        assert made.dtype == np.float32
        assert np.array_equal(made, np.where(inside[:, None], whole, 0), equal_nan=True)


def test_nothing_at_all_is_no_instance_and_maps_of_0() -> None:
    none = Pixels(np.empty(0, np.int32), np.empty((5, 0), np.float32), np.empty(0, np.uint8))
    said = Foreground(none, (2, 16, 24))
    assert len(said) == 2
    assert said.bandwidth.shape == (2, 2, 16, 24)
    assert not said.seed.any()
    found = cluster_foreground(
        *said.of_image(1), said.size, grid_step=STEP, seed_threshold=0.9, min_pixels=1, n_classes=1
    )
    assert not found.instance_map.any()
    assert len(found.scores) == 0
