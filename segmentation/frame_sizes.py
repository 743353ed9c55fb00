"""How frames of each size run through a model: as a whole, or in tiles."""

import logging
from typing import Literal

from contract.artifact import Artifact
from contract.errors import ConfigurationError, InvalidMessageError
from segmentation.letterbox import Fit, Resize
from segmentation.tiles import Tiling, choose_tile_size

_MAX_SIZES = 1000
"""Frame sizes that are told about once each; a source of ever new sizes must not fill the log."""

log = logging.getLogger(__name__)


class FrameSizes:
    """Plans the runs of a frame by its size, and says once for each size what they cost.

    Args:
        artifact: The model.
        resize: How images are fitted into its input.
        any_size: Whether tiles may have other sizes than the input.
        max_tiles: Most tiles of one image if they had the input's size.

    Raises:
        ConfigurationError: ``auto``, but the artifact does not say how large objects are.
    """

    def __init__(
        self, artifact: Artifact, resize: Resize, *, any_size: bool, max_tiles: int
    ) -> None:
        if resize == "auto" and artifact.object_pixels is None:
            raise ConfigurationError(
                f"model {artifact.name}/{artifact.version} does not carry "
                "object_pixels, the median size of the objects that it was trained on, which "
                "resize 'auto' needs: choose letterbox or tile, or train or sweep it again"
            )
        self._artifact = artifact
        self._resize: Resize = resize
        self._any_size = any_size
        self._max_tiles = max_tiles
        self._told: set[tuple[int, ...]] = set()

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the model's input, pixels."""
        return self._artifact.height, self._artifact.width

    def fit(self, size: tuple[int, ...]) -> Fit:
        """Return how an image of (H, W) pixels lies in the input as a whole."""
        whole: Literal["letterbox", "stretch"] = (
            "stretch" if self._resize == "stretch" else "letterbox"
        )
        return Fit.of((size[0], size[1]), self.input_size, whole)

    def tiling(self, size: tuple[int, ...]) -> Tiling | None:
        """Return the tiles of an image of (H, W) pixels; None where it runs as one picture.

        Raises:
            InvalidMessageError: ``too_many_tiles``, above the bound.
        """
        height, width = self.input_size
        if self._resize not in ("tile", "auto") or (size[0] <= height and size[1] <= width):
            return None
        frame_size = size[0], size[1]
        tiling = Tiling.of(frame_size, self.input_size)
        if len(tiling) > self._max_tiles:
            raise InvalidMessageError(
                "too_many_tiles",
                f"{size[1]}x{size[0]} pixels need {len(tiling)} tiles of {width}x{height}, "
                f"expected at most {self._max_tiles}; scale it down, cut it, or let it be "
                "letterboxed",
            )
        if self._any_size:
            return Tiling.of(frame_size, choose_tile_size(frame_size, self.input_size))
        return tiling

    def tell(self, size: tuple[int, ...], source: str) -> None:
        """Say once for each size what it costs, or what is lost."""
        if size in self._told or len(self._told) == _MAX_SIZES:
            return
        self._told.add(size)
        whose = f"{source}: " if source else ""
        pixels, scale = self._artifact.object_pixels, self.fit(size).area_scale
        tiling = self.tiling(size)
        if tiling is not None:
            log.info(
                "%simages of %dx%d pixels: %s, %.0f MB of maps",
                *(whose, size[1], size[0], _count_tiles(tiling)),
                tiling.map_bytes(self._artifact.n_sigma) / 1e6,
            )
        elif pixels is not None and pixels * scale < self._artifact.min_pixels:
            log.warning(
                "%simages of %dx%d pixels are shrunk to %.0f %% of their sides: an object of the "
                "training data's median size, %d pixels, would have %.0f left, fewer than the "
                "model's min_pixels %d; if objects are that small here, segment them at native "
                "scale with --resize tile (WORKER_RESIZE=tile)",
                *(whose, size[1], size[0], 100 * scale**0.5),
                *(pixels, pixels * scale, self._artifact.min_pixels),
            )


def _count_tiles(tiling: Tiling) -> str:
    height, width = tiling.tile_size
    size = f"{width}x{height}"
    return f"one tile of {size}" if len(tiling) == 1 else f"{len(tiling)} tiles of {size} each"
