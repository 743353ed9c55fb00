"""Masks that are cut out and encoded at once are those that are one by one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from contract.mask import encode_mask
from segmentation.mask_kernels import cut_masks


def boxes_of(instance_map: NDArray[np.int32], numbers: list[int]) -> NDArray[np.int64]:
    boxes = []
    for number in numbers:
        rows, columns = np.nonzero(instance_map == number)
        x, y = columns.min(), rows.min()
        boxes.append((x, y, columns.max() - x + 1, rows.max() - y + 1))
    return np.array(boxes, np.int64).reshape(-1, 4)


def random_map(seed: int) -> NDArray[np.int32]:
    """Noise, blocks, and what fills rows, columns or all of it."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 50, 2)
    drawn = random.integers(0, random.integers(2, 6), (height, width)).astype(np.int32)
    if seed % 3 == 0:
        drawn = np.kron(drawn, np.ones((4, 3), np.int32))
    if seed % 5 == 0:
        drawn[:, random.integers(0, drawn.shape[1]) :] = 2
    if seed % 7 == 0:
        drawn[random.integers(0, drawn.shape[0]) :] = 1
    if seed % 31 == 0:
        drawn[:] = 1
    return drawn


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_the_masks_are_those_of_each_alone(first: int) -> None:
    checked = 0
    for seed in range(first, first + 100):
        drawn = random_map(seed)
        numbers = [number for number in range(1, 6) if (drawn == number).any()]
        boxes = boxes_of(drawn, numbers)
        pixels, text, ends = cut_masks(drawn, np.array(numbers, np.int64), boxes)
        start = begin = 0
        for number, end, (x, y, width, height) in zip(numbers, ends, boxes.tolist(), strict=True):
            expected = drawn[y : y + height, x : x + width] == number
            stop = start + width * height
            assert np.array_equal(pixels[start:stop].reshape(height, width), expected)
            counts = text[begin:end].tobytes().decode()
            size = drawn.shape[0], drawn.shape[1]
            assert counts == encode_mask(expected, size, (x, y))["counts"], seed
            decoded = coco.decode({"size": list(size), "counts": counts})
            assert np.array_equal(decoded, drawn == number), seed
            start, begin = stop, int(end)
            checked += 1
        assert (start, begin) == (len(pixels), len(text))
    assert checked > 100


def test_a_picture_without_instances_has_no_masks() -> None:
    none = np.empty(0, np.int64)
    pixels, text, ends = cut_masks(np.zeros((4, 5), np.int32), none, none.reshape(0, 4))
    assert not len(pixels)
    assert not len(text)
    assert not len(ends)


def test_counts_that_need_many_characters_find_room() -> None:
    """A comb of single pixels in a high picture: more text than there was room for at first."""
    drawn = np.zeros((3000, 900), np.int32)
    drawn[::1500, ::2] = 1
    drawn[7::1490, 1::2] = 1
    boxes = boxes_of(drawn, [1])
    _, text, ends = cut_masks(drawn, np.array([1]), boxes)
    assert len(text) > 4096
    assert ends.tolist() == [len(text)]
    assert np.array_equal(
        coco.decode({"size": [3000, 900], "counts": text.tobytes()}).astype(np.int32), drawn
    )
