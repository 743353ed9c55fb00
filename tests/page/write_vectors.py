"""What the page's modules are held to: masks by pycocotools, colours and labels by
`viewer`'s overlay.

``python -m tests.page.write_vectors`` writes ``vectors.json`` beside this file.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from viewer.colors import PALETTE, track_color, track_label
from viewer.label_places import place_labels

PATH = Path(__file__).with_name("vectors.json")
SIZES = ((1, 1), (1, 9), (9, 1), (5, 7), (16, 12), (23, 31), (48, 64))
TRACKS = (*range(1, 40), 100, 9_999, 10_000, 123_456, 2**31, 2**53 - 1)


def masks() -> list[npt.NDArray[np.bool_]]:
    """Return masks of all sorts: empty, full, single pixels, bands, discs, noise."""
    random = np.random.default_rng(18)
    made = []
    for height, width in SIZES:
        rows, columns = np.mgrid[:height, :width]
        made += [
            np.zeros((height, width), np.bool_),
            np.ones((height, width), np.bool_),
            rows == 0,
            rows == height - 1,
            columns == width - 1,
            (rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (min(height, width) / 2.5) ** 2,
            (rows + columns) % 2 == 0,
            random.random((height, width)) < 0.5,
            random.random((height, width)) < 0.03,
        ]
    rows, columns = np.mgrid[:720, :1280]  # counts of several groups, and falling ones
    return [*made, ((rows - 500) / 180) ** 2 + ((columns - 400) / 90) ** 2 < 1]


def vectors() -> dict[str, Any]:
    """Return the vectors; a mask is told by its pixels row by row, as runs that begin outside."""
    return {
        "masks": [_vector(mask) for mask in masks()],
        "tracks": [
            {"track": track, "color": track_color(track), "label": track_label(track)}
            for track in TRACKS
        ],
        "palette": PALETTE,
        "labels": [_labelled(crowd) for crowd in (1, 2, 5, 12, 40)],
    }


def _labelled(count: int) -> dict[str, Any]:
    random = np.random.default_rng(count)
    boxes = [
        (int(x), int(y), int(width) + 1, int(height) + 1)
        for x, y, width, height in random.integers(0, (300, 200, 60, 90), (count, 4))
    ]
    sizes = [(int(width), 18) for width in random.integers(20, 80, count)]
    picture = (260, 340)
    places = place_labels(boxes, sizes, picture)
    return {"boxes": boxes, "sizes": sizes, "picture": picture, "places": places}


def _vector(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    decoded = coco.decode(encoded)
    flat = np.concatenate(([0], decoded.ravel().astype(np.int8), [1 - decoded.flat[-1]]))
    edges = np.flatnonzero(np.diff(flat))
    return {
        "size": list(mask.shape),
        "counts": encoded["counts"].decode(),
        "area": int(coco.area(encoded)),
        "runs_by_row": np.diff(np.concatenate(([0], edges))).tolist(),
    }


def text() -> str:
    """Return the file's text."""
    return json.dumps(vectors(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
