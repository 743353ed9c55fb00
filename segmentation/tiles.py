"""Large frames in overlapping tiles at native scale: where tiles lie, how their maps become one.

The network is fully convolutional and its offsets count from each pixel, so a tile's maps are the
frame's own wherever its border is far enough. Each pixel is taken from the tile in which it lies
deepest, and the whole map is clustered once: objects that cross tiles have no seams, and there is
nothing to blend or to match. Pure: no input or output.

Shape letters: T tiles, H, W a tile, S bandwidths; H0, W0 the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.artifact import STRIDE
from segmentation.engines.base import Predictions
from segmentation.letterbox import PADDING

OVERLAP = 96
"""Pixels that neighbouring tiles share: half of it is the least distance to a tile's border at
which a map counts. On the models that ship, 48 pixels keep the foreground's IoU with the untiled
map above 0.99 (``benchmarks/bench_tiles.py``); more costs tiles and gains nothing."""

MAX_TILES = 512
"""Most tiles of one frame, in tiles of the declared input size, so that no device refuses what
another takes: 42 megapixels with an input of 384x384, about 0.9 GB of maps."""

MAX_TILE_PIXELS = 2**20
"""Most pixels of a tile whose size may vary. One run of such a tile takes up to 0.2 GB of memory
(`benchmarks/bench_tile_sizes.py`); larger ones save little more, since less of them is overlap."""


def choose_tile_size(frame_size: tuple[int, int], input_size: tuple[int, int]) -> tuple[int, int]:
    """Return the tiles' size that is the least work for a frame, where it may vary.

    The whole frame, padded to multiples of the stride, is one tile if it is small enough. All sizes
    are (height, width) in pixels.

    Args:
        frame_size: Of the frame.
        input_size: That the model declares; a tile may be as large, or have `MAX_TILE_PIXELS`.
    """
    limit = max(MAX_TILE_PIXELS, input_size[0] * input_size[1])
    heights, widths = (_divisions(side) for side in frame_size)
    plans = (
        (rows * columns * height * width, rows * columns, (height, width))
        for (rows, height), (columns, width) in product(heights, widths)
        if height * width <= limit
    )
    return min(plans)[2]


def _divisions(frame: int) -> list[tuple[int, int]]:
    """Ways to cover one axis: how many tiles, and how long each is, overlap included.

    Tiles are not shorter than four times the overlap, which bounds what is done twice.
    """
    most = max(1, (frame - OVERLAP) // (3 * OVERLAP))
    return [
        (n, -(-(frame + (n - 1) * OVERLAP) // (n * STRIDE)) * STRIDE) for n in range(1, most + 1)
    ]


class Span(NamedTuple):
    """A tile on one axis, in pixels of the frame.

    Attributes:
        first: Where the tile begins.
        start: First pixel that is taken from it.
        end: Where the next tile takes over.
    """

    first: int
    start: int
    end: int


@dataclass(frozen=True)
class Tiling:
    """How frames of one size are cut into tiles of one size.

    A side of the frame that is shorter than the tile's is padded right or below, not enlarged.

    Attributes:
        frame_size: (H0, W0) in pixels.
        tile_size: (H, W) of each tile in pixels.
        rows: Tiles from top to bottom.
        columns: Tiles from left to right.
    """

    frame_size: tuple[int, int]
    tile_size: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @classmethod
    def of(
        cls, frame_size: tuple[int, int], tile_size: tuple[int, int], overlap: int = OVERLAP
    ) -> "Tiling":
        """Plan the tiles of a frame, both sizes (height, width) in pixels.

        Raises:
            ValueError: A side is below one pixel.
        """
        if min(*frame_size, *tile_size) < 1:
            raise ValueError(
                f"frame {frame_size}, tiles {tile_size}: expected sides of at least one pixel"
            )
        rows, columns = (
            _spans(frame, side, overlap) for frame, side in zip(frame_size, tile_size, strict=True)
        )
        return cls(frame_size, tile_size, rows, columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def cut(self, image: NDArray[np.uint8], tiles: Sequence[int]) -> NDArray[np.uint8]:
        """Return tiles of a frame, numbered row by row, as model input.

        Args:
            image: uint8 (H0, W0, 3).
            tiles: Which of them.

        Returns:
            uint8 (T, H, W, 3).

        Raises:
            ValueError: The image is not of the planned size.
        """
        if image.shape != (*self.frame_size, 3):
            raise ValueError(f"image of shape {image.shape}, expected {(*self.frame_size, 3)}")
        (height, width), places = self.tile_size, self._places()
        batch = np.full((len(tiles), height, width, 3), PADDING, np.uint8)
        for tile, number in zip(batch, tiles, strict=True):
            top, left = (span.first for span in places[number])
            content = image[top : top + height, left : left + width]
            tile[: content.shape[0], : content.shape[1]] = content
        return batch

    def blank(self, n_sigma: int) -> Predictions:
        """Return maps of one whole frame, to be filled by `paste`."""
        height, width = self.frame_size
        return Predictions(
            offset=np.empty((1, 2, height, width), np.float32),
            bandwidth=np.empty((1, n_sigma, height, width), np.float32),
            seed=np.empty((1, height, width), np.float32),
            class_index=np.empty((1, height, width), np.uint8),
        )

    def map_bytes(self, n_sigma: int) -> int:
        """Return the size of the maps that `blank` makes."""
        height, width = self.frame_size
        return height * width * (4 * (2 + n_sigma + 1) + 1)

    def paste(self, whole: Predictions, tiles: Sequence[int], maps: Predictions) -> None:
        """Write the maps of tiles (T, ..., H, W), each its part, into those of the whole frame."""
        places = self._places()
        for i, number in enumerate(tiles):
            rows, columns = places[number]
            into = np.s_[..., rows.start : rows.end, columns.start : columns.end]
            part = np.s_[
                ...,
                rows.start - rows.first : rows.end - rows.first,
                columns.start - columns.first : columns.end - columns.first,
            ]
            whole.offset[0][into] = maps.offset[i][part]
            whole.bandwidth[0][into] = maps.bandwidth[i][part]
            whole.seed[0][into] = maps.seed[i][part]
            whole.class_index[0][into] = maps.class_index[i][part]

    def _places(self) -> list[tuple[Span, Span]]:
        return list(product(self.rows, self.columns))


def _spans(frame: int, side: int, overlap: int) -> tuple[Span, ...]:
    """As few tiles as cover one axis, evenly spread; the last one ends at the frame's border."""
    if frame <= side:
        return (Span(0, 0, frame),)
    shared = min(overlap, side // 4 // STRIDE * STRIDE)  # small tiles: at most a quarter
    last = frame - side
    gaps = -(-last // (side - shared))
    # Tiles that begin at multiples of the network's stride see the frame's own pixel phases.
    firsts = [-(-(last * i // gaps) // STRIDE) * STRIDE for i in range(gaps)] + [last]
    # Two tiles are equally deep in the middle of what they share.
    middles = [(before + side + after) // 2 for before, after in pairwise(firsts)]
    return tuple(map(Span, firsts, [0, *middles], [*middles, frame]))
