"""Contact sheet (helper D's stand-in until helper A's is here)."""

from collections.abc import Sequence

import cv2
import numpy as np

from model.data.labels import IGNORE, Image, Labelled


def contact_sheet(pictures: Sequence[Labelled], columns: int, side: int) -> Image:
    """Return a grid of pictures with coloured instances."""
    tiles = []
    for one in pictures:
        shown = one.image.copy()
        shown[one.labels == IGNORE] = shown[one.labels == IGNORE] // 2 + 64
        for number in np.unique(one.instances)[1:]:
            own = (one.instances == number).astype(np.uint8)
            outline, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            colour = [(255, 60, 60), (60, 255, 60), (60, 160, 255), (255, 255, 60)][number % 4]
            cv2.drawContours(shown, outline, -1, colour, 2)
        factor = side / max(shown.shape[:2])
        small = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        tile = np.zeros((side, side, 3), np.uint8)
        tile[: small.shape[0], : small.shape[1]] = small
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.zeros((side, side, 3), np.uint8))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)
