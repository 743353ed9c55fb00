"""What it costs to read one object's mask back from a result, by the size of the picture.

``python -m benchmarks.bench_masks``: pycocotools decoding the whole picture and cutting the box out
of it, as this project did before, beside `contract.mask.decode_mask` of the box alone. One process,
one thread, interleaved; the least of five repetitions.
"""

import json
import timeit
from collections.abc import Callable
from datetime import datetime

import numpy as np
from pycocotools import mask as coco

from benchmarks.environment import RESULTS, describe
from contract.mask import decode_mask, encode_mask

SIZES = {"768x576": (576, 768), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
OBJECTS = {"walker 30x80": (80, 30), "car 320x240": (240, 320)}
NUMBER, REPEAT = 50, 5


def ellipse(height: int, width: int) -> np.ndarray:
    """Return a filled ellipse, bool (height, width)."""
    y, x = np.ogrid[:height, :width]
    inside = ((x - width / 2) * 2 / width) ** 2 + ((y - height / 2) * 2 / height) ** 2 < 1
    return np.asarray(inside, np.bool_)


def milliseconds(call: Callable[[], object]) -> float:
    """Return the least time of a call."""
    return min(timeit.repeat(call, number=NUMBER, repeat=REPEAT)) / NUMBER * 1e3


def measure(size: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """Return milliseconds of both ways for one object: the whole picture, its box alone."""
    (height, width), (rows, columns) = size, shape
    x, y = (width - columns) // 2, (height - rows) // 2
    mask = encode_mask(ellipse(rows, columns), size, (x, y))
    encoded = {"size": mask["size"], "counts": mask["counts"].encode()}
    box = (x, y, columns, rows)

    def whole() -> np.ndarray:
        return np.asarray(coco.decode(encoded), np.bool_)[y : y + rows, x : x + columns]

    assert np.array_equal(whole(), decode_mask(mask, box))
    return milliseconds(whole), milliseconds(lambda: decode_mask(mask, box))


def main() -> None:
    """Measure, print and keep."""
    rows = [
        (picture, name, *measure(size, shape))
        for picture, size in SIZES.items()
        for name, shape in OBJECTS.items()
    ]
    lines = [
        "| picture | object | whole picture, ms | its box, ms | ratio |",
        "|---|---|---|---|---|",
    ]
    for picture, name, whole, box in rows:
        lines.append(f"| {picture} | {name} | {whole:.3f} | {box:.3f} | {whole / box:.1f} |")
    print("\n".join(lines))
    moment = f"{datetime.now():%Y-%m-%dT%H%M%S}"
    columns = ("picture", "object", "whole_ms", "box_ms")
    found = {**describe(), "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
    *_, walker, _ = rows  # of the largest picture
    found["walker_box_share"] = round(walker[3] / walker[2], 4)
    (RESULTS / f"masks-{moment}.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "masks.md").write_text(
        "# Reading one mask back\n\n" + "\n".join(lines) + f"\n\nmasks-{moment}.json has the "
        "machine and the versions.\n"
    )


if __name__ == "__main__":
    main()
