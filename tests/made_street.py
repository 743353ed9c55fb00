"""A made street: walking figures before a wall, as label maps."""

import json
from pathlib import Path

import cv2
import numpy as np

STREET_RECIPE = """
classes = ["person"]
input_size = [192, 256]
learn_center = true
validate_every = 1000
seed_threshold = 0.5
score_threshold = 0.5
min_pixels = 100
[loss]
foreground = 5.0
[optimizer]
decay_by = "step"
clip_norm = 20.0
[augment]
centered = 0.9
off_center = 0.3
light = {{ share = 0.0, blur_share = 0.0, noise_share = 0.0, jpeg_share = 0.0 }}
[[stages]]
crop = 96
epochs = 1
batch = 4
crops_per_epoch = {crops}
learning_rate = 5e-4
"""


def write_street(root: Path, learned: int = 10, validated: int = 6, seed: int = 3) -> Path:
    """Write pictures of 192x256 pixels with three to six people each, some behind others."""
    rng = np.random.default_rng(seed)
    for folder in ("images", "instances"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    wall = _wall(rng)
    names = [f"{number:03d}" for number in range(learned + validated)]
    for name in names:
        image, instances = wall.copy(), np.zeros(wall.shape[:2], np.uint16)
        feet = sorted(rng.integers(90, 185, int(rng.integers(3, 7))).tolist())
        for number, foot in enumerate(feet, start=1):
            _draw_person(image, instances, number, foot, rng)
        image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(0, 4, image.shape)
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
        cv2.imwrite(str(root / "instances" / f"{name}.png"), instances)
    (root / "dataset.json").write_text(json.dumps({"validation": names[learned:]}))
    return root


def _wall(rng: np.random.Generator) -> np.ndarray:
    """float32 (192, 256, 3): bricks above, a pavement with slabs below."""
    image = np.full((192, 256, 3), (95.0, 110.0, 130.0), np.float32)
    image[80:] = (125.0, 128.0, 126.0)
    image[:80] += rng.normal(0, 14, (10, 16, 3)).astype(np.float32).repeat(8, 0).repeat(16, 1)
    image[80:] += rng.normal(0, 7, (7, 8, 1)).astype(np.float32).repeat(16, 0).repeat(32, 1)
    for left in (30, 120, 200):  # doors and windows, as dark as coats
        cv2.rectangle(image, (left, 20), (left + 26, 70), (50.0, 45.0, 45.0), -1)
    return image


def _draw_person(
    image: np.ndarray, instances: np.ndarray, number: int, foot: int, rng: np.random.Generator
) -> None:
    height = 0.3 * foot + rng.uniform(8, 14)  # nearer ones are taller
    x, width = int(rng.integers(10, 246)), height * 0.13
    coat, trousers = rng.uniform(20, 220, 3), rng.uniform(20, 140, 3)
    shape = np.zeros(instances.shape, np.uint8)

    def draw(color, kind, *where) -> None:
        part = np.zeros(instances.shape, np.uint8)
        kind(part, *where)
        image[part > 0], shape[part > 0] = color, 1

    step = height * rng.uniform(0.03, 0.1)
    hip = foot - 0.48 * height
    for side in (-1, 1):
        leg = ((x, round(hip)), (round(x + side * step), foot), 255, max(2, round(width * 0.8)))
        draw(trousers, cv2.line, *leg)
    axes = (round(width * 1.1), round(0.22 * height))
    draw(coat, cv2.ellipse, (x, round(hip - 0.16 * height)), axes, 0, 0, 360, 255, -1)
    head = (x, round(foot - 0.9 * height))
    draw(rng.uniform(90, 200, 3), cv2.circle, head, round(height * 0.085), 255, -1)
    instances[shape > 0] = number
