"""A small data set of bright discs with label maps, and a recipe that learns it in seconds."""

from pathlib import Path

import cv2
import numpy as np

RECIPE = """
classes = ["disc"]
input_size = [64, 64]
learn_center = true
min_pixels = 8
seed_threshold = 0.6
[augment]
centered = 0.8
off_center = 0.3
scale = [0.8, 1.2]
[[stages]]
crop = 32
epochs = 2
batch = 4
crops_per_epoch = 12
[[stages]]
crop = 64
epochs = 1
batch = 2
freeze_batch_norm = true
"""


def write_discs(root: Path, count: int = 12, side: int = 64, seed: int = 0) -> Path:
    """Write ``count`` pictures with two to four discs each as a data set of label maps."""
    rng = np.random.default_rng(seed)
    for folder in ("images", "instances"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = rng.normal(40, 6, (side, side, 3))
        instances = np.zeros((side, side), np.uint16)
        for disc in range(1, int(rng.integers(3, 6))):
            center = tuple(int(v) for v in rng.integers(8, side - 8, 2))
            radius = int(rng.integers(5, 9))
            cv2.circle(instances, center, radius, disc, -1)
            image[instances == disc] = rng.uniform(150, 230, 3)
        name = f"{number:03d}.png"
        cv2.imwrite(str(root / "images" / name), np.clip(image, 0, 255).astype(np.uint8))
        cv2.imwrite(str(root / "instances" / name), instances)
    return root


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe of its own."""
    path = folder / "discs.toml"
    path.write_text(text)
    return path
