"""Seed clustering against golden values of the published method, and what they do not cover."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segmentation.cluster import PAPER_GRID_STEP, Clusters, cluster, cluster_maps
from segmentation.map_kernels import count_pixels, measure, seed_pieces
from tests.golden import golden_file


@pytest.mark.parametrize("name", [f"cluster_{i}.npz" for i in range(5)])
def test_every_pixel_and_score_equals_the_golden_values(name: str) -> None:
    golden = np.load(golden_file(name))
    instance_map, scores = cluster_maps(
        golden["prediction"].astype(np.float32),
        n_sigma=int(golden["n_sigma"]),
        seed_threshold=float(golden["seed_threshold"]),
        min_pixels=128,
    )
    assert instance_map.dtype == np.int32
    np.testing.assert_array_equal(instance_map, golden["instance_map"])
    np.testing.assert_allclose(scores, golden["scores"], atol=1e-6)


def squares(
    n: int, side: int = 12, gap: int = 4, per_row: int = 20
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    """Perfect maps of ``n`` squares: every offset points at the centre of its square."""
    pitch = side + gap
    shape = (-(-n // per_row) * pitch + 8, per_row * pitch + 8)
    truth = np.zeros(shape, np.int32)
    offset = np.zeros((2, *shape), np.float32)
    for i in range(n):
        row, column = divmod(i, per_row)
        top, left = row * pitch + 4, column * pitch + 4
        here = np.s_[top : top + side, left : left + side]
        truth[here] = i + 1
        y, x = np.mgrid[here]
        offset[0][here] = (left + side / 2 - x) * PAPER_GRID_STEP[0]
        offset[1][here] = (top + side / 2 - y) * PAPER_GRID_STEP[1]
    maps = {
        "offset": offset,
        "bandwidth": np.ones((2, *shape), np.float32),
        "seed": np.where(truth > 0, 0.95, 0.05).astype(np.float32),
        "class_index": np.zeros(shape, np.uint8),
    }
    return maps, truth


def run(maps: dict[str, NDArray[Any]], **changes: Any) -> Clusters:
    settings: dict[str, Any] = {
        "grid_step": PAPER_GRID_STEP,
        "seed_threshold": 0.9,
        "min_pixels": 100,
        "n_classes": 1,
    }
    return cluster(**maps, **(settings | changes))


def test_more_than_255_instances_keep_their_ids() -> None:
    maps, truth = squares(400)
    found = run(maps)
    assert len(found.scores) == 400
    np.testing.assert_array_equal(found.instance_map, truth)


def test_instances_come_in_order_of_falling_score_and_ties_in_image_order() -> None:
    maps, truth = squares(4)
    maps["seed"][truth == 3] = 0.99
    found = run(maps)
    order = [int(found.instance_map[truth == i][0]) for i in (1, 2, 3, 4)]
    assert order == [2, 3, 1, 4]
    np.testing.assert_allclose(found.scores, [0.99, 0.95, 0.95, 0.95])


def with_stray(side: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    """Maps of 30 squares, and noise right of the last row that points at the last square's middle.

    Returns:
        The maps, and the squares without the noise.
    """
    maps, truth = squares(30)
    top, left = 20, 164 + 60
    here = np.s_[top : top + side, left : left + side]
    assert not truth[here].any()
    rows, columns = np.nonzero(truth == 30)
    y, x = np.mgrid[here]
    maps["offset"][0][here] = (columns.mean() - x) * PAPER_GRID_STEP[0]
    maps["offset"][1][here] = (rows.mean() - y) * PAPER_GRID_STEP[1]
    maps["seed"][here] = 0.8
    return maps, truth


def test_a_stray_piece_far_from_the_seed_is_left_out_of_the_instance() -> None:
    maps, truth = with_stray(side=10)
    published = run(maps)
    assert (published.instance_map > 0).sum() == (truth > 0).sum() + 100

    np.testing.assert_array_equal(published.without_strays().instance_map, truth)


def test_the_piece_of_the_seed_stays_even_where_another_is_larger() -> None:
    maps, truth = with_stray(side=14)
    np.testing.assert_array_equal(run(maps).without_strays().instance_map, truth)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    instance_map = np.kron(np.eye(2, dtype=np.int32), np.ones((3, 3), np.int32))
    found = Clusters(instance_map, np.ones(1), np.zeros(1, np.int32), np.zeros(1, np.int32))
    np.testing.assert_array_equal(found.without_strays().instance_map, instance_map)


def test_of_an_instance_whose_seed_was_taken_by_a_later_one_the_largest_piece_stays() -> None:
    instance_map = np.array([[1, 1, 2, 1, 1, 1, 0, 1]], np.int32)
    seeds = np.array([2, 2], np.int32)
    found = Clusters(instance_map, np.ones(2), np.zeros(2, np.int32), seeds)
    assert found.without_strays().instance_map.tolist() == [[0, 0, 2, 1, 1, 1, 0, 0]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (23, 31), (64, 64)])
@pytest.mark.parametrize("n_instances", [1, 3, 12])
def test_pieces_and_measures_are_those_of_plain_loops(
    shape: tuple[int, int], n_instances: int
) -> None:
    rng = np.random.default_rng(n_instances)
    coarse = rng.integers(0, n_instances + 1, shape)
    for side in (1, 2, 5):  # from noise to blobs that touch at borders and corners
        blocks = np.kron(coarse, np.ones((side, side)))[: shape[0], : shape[1]].astype(np.int32)
        blocks *= rng.random(shape) < 0.95
        seeds = rng.integers(0, blocks.size, n_instances).astype(np.int32)
        expected = np.zeros_like(blocks)
        for number in range(1, n_instances + 1):
            _, pieces = cv2.connectedComponents((blocks == number).astype(np.uint8), connectivity=8)
            sizes = np.bincount(pieces.ravel(), minlength=2)
            sizes[0] = 0
            at = seeds[number - 1]
            largest = pieces.flat[np.argmax(sizes[pieces])]  # of equal ones the first in the image
            wanted = pieces.flat[at] if blocks.flat[at] == number else largest
            if sizes.any():
                expected[pieces == wanted] = number
        np.testing.assert_array_equal(seed_pieces(blocks, seeds), expected)
        table = measure(blocks, n_instances)
        counts = count_pixels(blocks, n_instances)
        for number in range(1, n_instances + 1):
            rows, columns = np.nonzero(blocks == number)
            assert counts[number - 1] == table[number - 1, 4] == len(rows)
            if len(rows):
                assert table[number - 1].tolist() == [
                    columns.min(), rows.min(), columns.max(), rows.max(),
                    len(rows), columns.sum(), rows.sum(),
                ]  # fmt: skip


def test_classes_are_clustered_apart_and_ids_run_on() -> None:
    maps, truth = squares(6)
    maps["class_index"] = np.where(truth % 2 == 0, 0, 2).astype(np.uint8)
    # A second class inside one object stays apart although the embeddings meet.
    maps["class_index"][4:16, 4:10] = 1
    found = run(maps, n_classes=3, min_pixels=60)
    assert found.classes.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert sorted(np.unique(found.instance_map)) == list(range(8))
    for number, index in enumerate(found.classes, start=1):
        here = found.instance_map == number
        assert set(maps["class_index"][here].tolist()) == {index}


def test_an_instance_of_exactly_min_pixels_counts_and_a_smaller_one_does_not() -> None:
    maps, _ = squares(2, side=10)
    assert len(run(maps, min_pixels=100).scores) == 2
    assert len(run(maps, min_pixels=101).scores) == 0


def test_no_seed_above_the_threshold_gives_an_empty_map() -> None:
    maps, _ = squares(3)
    found = run(maps, seed_threshold=0.96)
    assert len(found.scores) == 0
    assert not found.instance_map.any()


@pytest.mark.parametrize("name", ["offset", "bandwidth", "seed"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_maps_that_are_not_finite_end_and_leave_the_rest_alone(name: str, value: float) -> None:
    maps, truth = squares(3)
    broken = truth == 2
    maps[name][..., broken] = value
    found = run(maps)
    np.testing.assert_array_equal(found.instance_map[truth == 1] > 0, True)
    np.testing.assert_array_equal(found.instance_map[truth == 3] > 0, True)
    maps[name][:] = value
    run(maps)


@pytest.mark.parametrize("value", [-11.0, -1e30])
def test_a_precision_that_underflows_to_zero_reaches_all_of_the_foreground(value: float) -> None:
    maps, truth = squares(3)
    maps["bandwidth"][:] = value
    found = run(maps)
    np.testing.assert_array_equal(found.instance_map, truth > 0)


def test_offsets_beyond_the_range_of_tanh_are_background() -> None:
    maps, truth = squares(3)
    maps["offset"][0][truth == 2] = 3e38
    maps["offset"][1][truth == 2] = -3e38
    maps["offset"][:, 0, 0] = -3e38, 3e38
    maps["seed"][0, 0] = 0.99
    found = run(maps)
    np.testing.assert_array_equal(found.instance_map > 0, (truth == 1) | (truth == 3))


def test_scattered_embeddings_end_within_bounds() -> None:
    rng = np.random.default_rng(0)
    shape = (128, 256)
    maps = {
        "offset": np.tanh(rng.normal(0, 2, (2, *shape))).astype(np.float32),
        "bandwidth": rng.normal(0, 2, (1, *shape)).astype(np.float32),
        "seed": rng.random(shape, dtype=np.float32),
        "class_index": rng.integers(0, 3, shape).astype(np.uint8),
    }
    found = run(maps, n_classes=3)
    assert found.instance_map.max() == len(found.scores)


def naive(maps: dict[str, NDArray[Any]], min_pixels: int) -> NDArray[np.int32]:
    """The paper's loop over all pixels, without cells or sorting."""
    height, width = maps["seed"].shape
    x = np.arange(width, dtype=np.float32) * np.float32(PAPER_GRID_STEP[0])
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(PAPER_GRID_STEP[1])
    ex, ey = maps["offset"][0] + x, maps["offset"][1] + y
    precision = np.exp(np.float32(10) * maps["bandwidth"])
    free = maps["seed"] > 0.5
    inside = free.copy()
    result = np.zeros((height, width), np.int32)
    count = 0
    while free.sum() >= min_pixels:
        masked = np.where(free, maps["seed"], -1)
        at = np.unravel_index(int(masked.argmax()), masked.shape)
        if masked[at] < 0.9:
            break
        free[at] = False
        exponent = (ex - ex[at]) ** 2 * precision[0][at] + (ey - ey[at]) ** 2 * precision[-1][at]
        proposal = inside & (np.exp(-exponent) > 0.5)
        if proposal.sum() >= min_pixels and free[proposal].mean() > 0.5:
            count += 1
            result[proposal] = count
        free &= ~proposal
    return result


def noisy(number: int, n_sigma: int = 2) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(number)
    maps, truth = squares(30, per_row=6)
    shape = truth.shape
    maps["offset"] += rng.normal(0, 0.004, (2, *shape)).astype(np.float32)
    maps["bandwidth"] = rng.normal(0.95, 0.15, (n_sigma, *shape)).astype(np.float32)
    maps["seed"] = rng.random(shape, dtype=np.float32) * np.where(truth > 0, 1, 0.55).astype("f4")
    return maps


@pytest.mark.parametrize("n_sigma", [1, 2])
@pytest.mark.parametrize("number", range(4))
def test_noisy_maps_give_what_the_plain_loop_gives(number: int, n_sigma: int) -> None:
    maps = noisy(number, n_sigma)
    expected = naive(maps, min_pixels=20)
    assert expected.max() > 5
    np.testing.assert_array_equal(run(maps, min_pixels=20).instance_map, expected)


@pytest.mark.parametrize("steps", [1, 8, 1000])
def test_many_equal_scores_give_what_the_plain_loop_gives(steps: int) -> None:
    maps = noisy(4)
    maps["seed"] = np.ceil(maps["seed"] * steps).astype(np.float32) / np.float32(steps)
    expected = naive(maps, min_pixels=20)
    assert expected.max() > 5
    np.testing.assert_array_equal(run(maps, min_pixels=20).instance_map, expected)


def test_several_noisy_classes_give_what_the_plain_loop_gives_for_each() -> None:
    maps = noisy(5)
    maps["class_index"] = (np.arange(maps["seed"].size) // 640 % 4).reshape(maps["seed"].shape)
    found = run(maps, min_pixels=20, n_classes=3)  # pixels of a fourth class count for none
    seen = np.where(found.instance_map > 0, maps["class_index"], 3)
    for index in range(3):
        alone = maps | {"seed": np.where(maps["class_index"] == index, maps["seed"], 0)}
        expected = naive(alone, min_pixels=20)
        assert expected.max() > 0
        np.testing.assert_array_equal(seen == index, expected > 0)


def test_one_image_leaves_nothing_behind_for_the_next_of_another_size() -> None:
    small, large = noisy(6), squares(400)[0]
    before = run(small, min_pixels=20).instance_map
    run(large)
    np.testing.assert_array_equal(run(small, min_pixels=20).instance_map, before)


def test_threads_cluster_at_once_without_touching_each_other() -> None:
    images = [noisy(number) for number in range(8)]
    alone = [run(maps, min_pixels=20).instance_map for maps in images]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda maps: run(maps, min_pixels=20).instance_map, images * 4)
        for i, found in enumerate(together):
            np.testing.assert_array_equal(found, alone[i % 8])


def test_maps_that_are_views_of_others_count_as_well() -> None:
    maps = noisy(7)
    views = {name: np.repeat(part, 2, axis=-1)[..., ::2] for name, part in maps.items()}
    expected = run(maps, min_pixels=20).instance_map
    np.testing.assert_array_equal(run(views, min_pixels=20).instance_map, expected)


@pytest.mark.parametrize("shape", [(37, 333), (128, 256), (1, 5000)])
def test_raw_maps_give_what_their_activated_maps_give(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    raw = rng.normal(0, 0.02, (5, *shape)).astype(np.float32)
    raw[2:4] += 0.9
    raw[4] = rng.normal(0, 2, shape)
    # Around the lowest score that is foreground, whole ties, and scores that round to 1.
    raw[4, :, ::7] = np.linspace(-3e-7, 3e-7, raw[4, :, ::7].size).reshape(raw[4, :, ::7].shape)
    raw[4, :, ::11] = 3
    raw[4, :, ::97] = 40
    activated = {
        "offset": np.tanh(raw[:2]),
        "bandwidth": raw[2:4],
        "seed": 1 / (1 + np.exp(-raw[4])),
        "class_index": np.zeros(shape, np.uint8),
    }
    expected = run(activated, min_pixels=5)
    assert len(expected.scores) > 3
    found, scores = cluster_maps(raw, n_sigma=2, seed_threshold=0.9, min_pixels=5)
    np.testing.assert_array_equal(found, expected.instance_map)
    np.testing.assert_array_equal(scores, expected.scores)


def test_labels_beyond_the_number_of_classes_are_background() -> None:
    maps, truth = squares(4)
    maps["class_index"] = np.where(truth == 2, 3, 0).astype(np.uint8)
    np.testing.assert_array_equal(run(maps).instance_map > 0, (truth > 0) & (truth != 2))


def test_maps_of_another_n_sigma_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(5, H, W\)"):
        cluster_maps(np.zeros((4, 8, 8), np.float32), n_sigma=2, seed_threshold=0.9)


def test_boxes_areas_and_sums_are_measured_in_one_pass() -> None:
    instance_map = np.zeros((6, 7), np.int32)
    instance_map[1:3, 2:6] = 1
    instance_map[5, 0] = 3
    table = measure(instance_map, 3)
    assert table[0].tolist() == [2, 1, 5, 2, 8, 2 * (2 + 3 + 4 + 5), 4 * (1 + 2)]
    assert table[1, 4] == 0
    assert table[2].tolist() == [0, 5, 0, 5, 1, 0, 5]
