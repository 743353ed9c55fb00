"""Colours under masks."""

import numpy as np
import pytest

from segmentation.instances import ArrayMask, Instances
from segmentation.letterbox import Fit
from tests.tracking_parts import filled
from tracking import observe
from tracking.appearance import SIZE, blend, colour_distances, measure_appearance
from tracking.colour_kernel import BANDS, BINS, CHANNELS, count_colours

RANDOM = np.random.default_rng(2)


def _spread(difference: int) -> int:
    share = 138 * abs(difference) // (abs(difference) + 20)
    return 128 + (share if difference > 0 else -share)


def _expected(picture: np.ndarray, mask: np.ndarray, left: int, top: int) -> np.ndarray:
    counts = np.zeros((BANDS, CHANNELS, BINS), np.int64)
    for y, x in np.argwhere(mask):
        red, green, blue = picture[top + y, left + x].tolist()
        band = y * BANDS // len(mask)
        values = (
            (red + 2 * green + blue) // 4,
            _spread(red - green),
            _spread((red + green) // 2 - blue),
        )
        for channel, value in enumerate(values):
            low, share = divmod(min(max(value * BINS // 16 - 8, 0), 16 * (BINS - 1)), 16)
            counts[band, channel, low] += 16 - share
            if share:
                counts[band, channel, low + 1] += share
    return counts


def test_the_kernel_counts_as_plain_loops_do() -> None:
    picture = RANDOM.integers(0, 256, (40, 50, 3), np.uint8)
    mask = RANDOM.random((17, 12)) < 0.6
    counts = count_colours(picture, mask, 20, 11, 1.0, 1.0, 10_000)
    assert np.array_equal(counts, _expected(picture, mask, 20, 11))
    assert counts.sum() == 16 * CHANNELS * mask.sum()


def test_only_what_is_under_the_mask_counts() -> None:
    picture = RANDOM.integers(0, 256, (40, 50, 3), np.uint8)
    mask = np.zeros((20, 10), np.bool_)
    mask[4:18, 3:7] = True
    instances = Instances.of(
        (40, 50), ("person",), [0], [1.0], [(9.0, 9.0)], [56], [ArrayMask(mask, (5, 5, 10, 20),
        (40, 50))],
    )  # fmt: skip
    before = measure_appearance(instances, picture)
    other = 255 - picture
    other[5:25, 5:15][mask] = picture[5:25, 5:15][mask]
    assert np.array_equal(measure_appearance(instances, other), before)
    assert not np.array_equal(measure_appearance(instances, 255 - picture), before)


def test_a_frame_that_was_shrunk_for_the_model_has_the_same_colours() -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[40:120, 100:140] = (180, 40, 40)
    frame[80:120, 100:140] = (30, 30, 120)
    fit = Fit.of((200, 300), (96, 128))
    instances = filled((100, 40, 40, 80), size=(200, 300))
    whole = measure_appearance(instances, frame)
    shrunk = measure_appearance(instances, fit.apply(frame), fit)
    assert colour_distances(whole, shrunk)[0, 0] < 0.03


@pytest.mark.parametrize("scale", [1, 2])
def test_an_object_at_the_edge_of_the_picture_is_measured(scale: int) -> None:
    fit = Fit.of((48, 64), (48 * scale, 64 * scale))
    picture = fit.apply(RANDOM.integers(0, 256, (48, 64, 3), np.uint8))
    instances = filled((0, 0, 64, 48), (63, 47, 1, 1), size=(48, 64))
    found = measure_appearance(instances, picture, fit)
    assert (found.reshape(2, BANDS * CHANNELS, BINS)[0].max(axis=1) > 0).all()
    assert found[1].any()


def test_an_object_without_a_pixel_in_the_picture_has_no_colours() -> None:
    fit = Fit.of((4000, 4000), (16, 16))
    instances = filled((30, 30, 3, 3), size=(4000, 4000))
    found = observe(instances, np.zeros((16, 16, 3), np.uint8), fit).appearance
    assert found is not None
    assert not found.any()


def test_large_objects_are_sampled() -> None:
    picture = np.full((900, 900, 3), (200, 30, 30), np.uint8)
    counts = count_colours(picture, np.ones((900, 900), np.bool_), 0, 0, 1.0, 1.0, 1500)
    assert 1000 < counts[:, 0].sum() / 16 < 3000


def test_without_a_picture_there_are_no_colours() -> None:
    assert observe(filled((1, 1, 5, 5))).appearance is None


def test_colours_are_as_far_apart_as_they_share_bins() -> None:
    known = RANDOM.integers(0, 256, (3, SIZE), np.uint8)
    distances = colour_distances(known, known)
    assert np.allclose(np.diag(distances), 0)
    left, right = np.zeros((2, 1, SIZE), np.uint8)
    left[0, 0], right[0, 5] = 255, 255
    assert colour_distances(left, right)[0, 0] == 1.0
    assert np.isnan(colour_distances(np.zeros((1, SIZE), np.uint8), known)).all()


def test_a_running_mean_moves_by_its_share() -> None:
    known, seen = np.full((2, SIZE), 100, np.uint8), np.full((2, SIZE), 200, np.uint8)
    found = blend(known, seen, np.array([0.25, 1.0]))
    assert (found[0] == 125).all()
    assert (found[1] == seen[1]).all()
