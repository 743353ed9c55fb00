"""Where tiles lie on a frame, and maps that are the frame's own again."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segmentation.engines.base import Predictions
from segmentation.letterbox import PADDING
from segmentation.tiles import MAX_TILE_PIXELS, OVERLAP, Tiling, choose_tile_size

SIDES = st.integers(1, 12).map(lambda n: 8 * n)
FRAMES = st.tuples(st.integers(1, 150), st.integers(1, 150))


def maps_of(batch: NDArray[np.uint8]) -> Predictions:
    """Maps that say of each pixel what it shows."""
    values = batch.astype(np.float32)
    return Predictions(
        offset=np.moveaxis(values[..., :2], -1, 1),
        bandwidth=np.moveaxis(values[..., 2:], -1, 1),
        seed=values[..., 0],
        class_index=batch[..., 1],
    )


@given(frame=FRAMES, side=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_stitched_maps_are_those_of_the_frame(
    frame: tuple[int, int], side: tuple[int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*frame, 3), np.uint8)
    tiling = Tiling.of(frame, side)
    whole = tiling.blank(n_sigma=1)
    for first in range(0, len(tiling), 3):
        tiles = range(first, min(first + 3, len(tiling)))
        tiling.paste(whole, tiles, maps_of(tiling.cut(image, tiles)))
    expected = maps_of(image[None])
    for name in ("offset", "bandwidth", "seed", "class_index"):
        assert np.array_equal(getattr(whole, name), getattr(expected, name))


@given(frame=FRAMES, side=SIDES)
@settings(max_examples=150, deadline=None)
def test_each_pixel_is_taken_from_the_tile_in_which_it_lies_deepest(
    frame: tuple[int, int], side: int
) -> None:
    length = frame[0]
    spans = Tiling.of(frame, (side, side)).rows
    pixels = np.arange(length)
    # The frame's own borders are no cuts.
    before = [pixels - s.first + (length if s.first == 0 else 0) for s in spans]
    after = [s.first + side - pixels + (length if s.first + side >= length else 0) for s in spans]
    depth = np.minimum(np.array(before) + 1, after)
    for span, own in zip(spans, depth, strict=True):
        here = slice(span.start, span.end)
        assert (own[here] >= depth.max(axis=0)[here] - 1).all()  # the middle may be either's
        assert (own[here] > 0).all()


@given(frame=st.integers(385, 6000))
@settings(max_examples=200, deadline=None)
def test_tiles_share_the_overlap_end_at_the_border_and_keep_the_pixel_phase(frame: int) -> None:
    spans = Tiling.of((frame, 8), (384, 384)).rows
    firsts = [span.first for span in spans]
    assert firsts[0] == 0
    assert firsts[-1] == frame - 384
    assert all(first % 8 == 0 for first in firsts[:-1])
    shared = 384 - np.diff(firsts)
    assert shared.min() >= OVERLAP
    # One tile fewer would share less.
    assert (len(spans) - 2) * (384 - OVERLAP) < frame - 384


def test_the_cost_of_a_4k_frame_is_as_stated() -> None:
    assert len(Tiling.of((2160, 3840), (384, 384))) == 8 * 13
    assert len(Tiling.of((2160, 3840), (384, 512))) == 8 * 9
    assert len(Tiling.of((1080, 1920), (384, 512))) == 4 * 5
    assert Tiling.of((2160, 3840), (384, 384)).map_bytes(n_sigma=2) == 3840 * 2160 * 21
    blank = Tiling.of((100, 70), (64, 64)).blank(n_sigma=2)
    parts = (blank.offset, blank.bandwidth, blank.seed, blank.class_index)
    assert sum(part.nbytes for part in parts) == Tiling.of((100, 70), (64, 64)).map_bytes(2)


@given(frame=st.tuples(st.integers(1, 9000), st.integers(1, 9000)))
@settings(max_examples=200, deadline=None)
def test_tiles_of_variable_size_are_bounded_and_never_more_work_than_fixed_ones(
    frame: tuple[int, int],
) -> None:
    height, width = choose_tile_size(frame, (384, 512))
    assert height % 8 == width % 8 == 0
    assert height * width <= MAX_TILE_PIXELS
    tiling, fixed = Tiling.of(frame, (height, width)), Tiling.of(frame, (384, 512))
    assert len(tiling) <= len(fixed)
    # Up to 7 pixels on each side make the multiple of 8.
    assert len(tiling) * (height - 7) * (width - 7) <= len(fixed) * 384 * 512
    for spans, side in ((tiling.rows, height), (tiling.columns, width)):
        assert all(a.first + side - b.first >= OVERLAP - 8 for a, b in pairwise(spans))


@pytest.mark.parametrize(
    ("frame", "expected", "tiles"),
    [
        ((520, 696), (520, 696), 1),
        ((603, 1271), (608, 1272), 1),
        ((1080, 1920), (1080, 704), 3),
        ((1, 30000), (8, 30000), 1),
    ],
)
def test_a_frame_is_one_tile_up_to_a_megapixel_and_else_as_few_pixels_as_do(
    frame: tuple[int, int], expected: tuple[int, int], tiles: int
) -> None:
    assert choose_tile_size(frame, (384, 512)) == expected
    assert len(Tiling.of(frame, expected)) == tiles


def test_tiles_may_be_as_large_as_the_input_that_a_model_declares() -> None:
    assert choose_tile_size((1024, 2048), (1024, 2048)) == (1024, 2048)


def test_a_side_that_is_shorter_than_a_tile_is_padded_and_not_enlarged() -> None:
    image = np.full((20, 100, 3), 9, np.uint8)
    (first, *_) = Tiling.of((20, 100), (32, 48)).cut(image, [0])
    assert (first[:20] == 9).all()
    assert (first[20:] == PADDING).all()


def test_an_image_of_another_size_and_an_empty_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="expected \\(20, 100, 3\\)"):
        Tiling.of((20, 100), (32, 48)).cut(np.zeros((20, 99, 3), np.uint8), [0])
    with pytest.raises(ValueError, match="at least one pixel"):
        Tiling.of((0, 100), (32, 48))
