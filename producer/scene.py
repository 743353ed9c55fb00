"""The built-in synthetic scene ``test:``: people and vehicles that cross a street.

Everything is a pure function of the parameters and the frame's number, so a test knows where each
object is without looking. Boxes are (x, y, width, height), points (x, y), in pixels.
"""

import functools
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_ROAD = (0.55, 0.85)
"""Top and bottom of the road, as parts of the image's height."""


@dataclass(frozen=True, slots=True)
class Mover:
    """One object of the scene; see ``position``.

    Attributes:
        kind: ``person`` or ``vehicle``.
        height: Height in pixels.
        width: Width in pixels.
        base: y of its feet or wheels.
        start: x of its centre at frame 0.
        speed: Pixels per frame, negative to the left.
        colour: RGB of its body.
        accent: RGB of its legs or windows.
    """

    kind: Literal["person", "vehicle"]
    height: int
    width: int
    base: int
    start: float
    speed: float
    colour: Colour
    accent: Colour


@dataclass(frozen=True, slots=True)
class Scene:
    """A street seen by a fixed camera.

    Attributes:
        width: Width in pixels, even, 64 to 4096.
        height: Height in pixels, even, 64 to 4096.
        fps: Frames per second of the scene.
        objects: How many objects move in it, 0 to 1000.
        seed: Chooses places, speeds and colours.
        frames: How many frames there are; None for no end.
    """

    width: int = 640
    height: int = 480
    fps: float = 10.0
    objects: int = 5
    seed: int = 0
    frames: int | None = None

    @classmethod
    def parse(cls, url: str) -> "Scene":
        """Read ``test:?size=WIDTHxHEIGHT&fps=..&objects=..&seed=..&frames=..``.

        Raises:
            ValueError: An unknown parameter or a value out of range.
        """
        values: dict[str, str] = dict(parse_qsl(url.removeprefix("test:").lstrip("?")))
        unknown = values.keys() - {"size", "fps", "objects", "seed", "frames"}
        if unknown:
            raise ValueError(
                f"unknown parameter {', '.join(sorted(unknown))} of test:, expected size, fps, "
                "objects, seed or frames"
            )
        width, _, height = values.get("size", "640x480").partition("x")
        try:
            scene = cls(
                width=int(width),
                height=int(height),
                fps=float(values.get("fps", 10)),
                objects=int(values.get("objects", 5)),
                seed=int(values.get("seed", 0)),
                frames=int(values["frames"]) if "frames" in values else None,
            )
        except ValueError as error:
            raise ValueError(
                f"a parameter of test: is not a number: {error}; for instance "
                "test:?size=640x480&fps=10&objects=5&seed=1"
            ) from error
        scene._check()
        return scene

    def _check(self) -> None:
        sides = (self.width, self.height)
        if not all(64 <= side <= 4096 and side % 2 == 0 for side in sides):
            raise ValueError(
                f"size of test: is {self.width}x{self.height}, expected even sides of 64..4096"
            )
        if not (0.001 <= self.fps <= 1000 and 0 <= self.objects <= 1000 and self.seed >= 0):
            raise ValueError(
                f"test: has fps {self.fps:g}, objects {self.objects} and seed {self.seed}, "
                "expected 0 < fps <= 1000 and at least 0.001, 0 <= objects <= 1000, seed >= 0"
            )
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames of test: is {self.frames}, expected at least 1")

    def movers(self) -> tuple[Mover, ...]:
        """Return the objects, farthest first: a later one covers an earlier one."""
        return _movers(self)

    def position(self, mover: Mover, number: int) -> float:
        """Return x of the centre in frame ``number``; what leaves comes back opposite."""
        span = self.width + 2 * mover.width
        return (mover.start + mover.speed * number + mover.width) % span - mover.width

    def render(self, number: int) -> tuple[Image, npt.NDArray[np.uint16]]:
        """Draw frame ``number``.

        Returns:
            The image, uint8 (height, width, 3), RGB, and its instance map, uint16
            (height, width): 0 background, i + 1 where ``movers()[i]`` is visible.
        """
        image = _background(self.width, self.height, self.seed).copy()
        instances = np.zeros((self.height, self.width), np.uint16)
        for index, mover in enumerate(self.movers()):
            draw = _draw_person if mover.kind == "person" else _draw_vehicle
            draw(image, instances, mover, round(self.position(mover, number)), number, index + 1)
        return image, instances


@functools.lru_cache(maxsize=64)
def _movers(scene: Scene) -> tuple[Mover, ...]:
    random = np.random.default_rng(scene.seed)
    movers = [_mover(scene, random, index) for index in range(scene.objects)]
    return tuple(sorted(movers, key=lambda mover: mover.base))


def _mover(scene: Scene, random: np.random.Generator, index: int) -> Mover:
    vehicle = index % 3 == 2  # two people to one vehicle
    road_top, road_bottom = (part * scene.height for part in _ROAD)
    if vehicle:
        base = random.uniform(road_top + 0.08 * scene.height, road_bottom)
        height = 0.16 * scene.height * random.uniform(0.85, 1.15)
        width, pace = 2.2 * height, random.uniform(0.12, 0.25)
    else:
        near = bool(random.integers(2))
        band = (road_bottom + 0.02 * scene.height, scene.height - 4.0)
        band = band if near else (0.48 * scene.height, road_top)
        base = random.uniform(*band)
        height = 0.22 * scene.height * random.uniform(0.85, 1.15)
        width, pace = 0.4 * height, random.uniform(0.03, 0.08)
    direction = 1 if random.integers(2) else -1
    body, accent = (
        (int(values[0]), int(values[1]), int(values[2]))
        for values in random.integers(20, 236, (2, 3))
    )
    return Mover(
        kind="vehicle" if vehicle else "person",
        height=round(height),
        width=round(width),
        base=round(base),
        start=float(random.uniform(0, scene.width)),
        speed=direction * pace * scene.width / scene.fps,
        colour=body,
        accent=accent,
    )


@functools.lru_cache(maxsize=16)
def _background(width: int, height: int, seed: int) -> Image:
    random = np.random.default_rng([seed, 7])
    image = np.empty((height, width, 3), np.float32)
    image[:] = (150, 146, 140)  # pavement
    top, bottom = (round(part * height) for part in _ROAD)
    facade = round(0.4 * height)
    image[:facade] = (168, 140, 118)
    image[top:bottom] = (84, 86, 90)
    pane_width, pane_height = width // 16, height // 12
    for y in range(pane_height // 2, facade - pane_height, 2 * pane_height):
        for x in range(pane_width // 2, width - pane_width, 2 * pane_width):
            shade = random.uniform(40, 110)
            image[y : y + pane_height, x : x + pane_width] = (shade, shade + 8, shade + 20)
    lane = (top + bottom) // 2
    for x in range(0, width, max(width // 12, 2)):
        image[lane - 1 : lane + 2, x : x + width // 24] = (210, 208, 200)
    # Texture of two scales: fine grain, and soft patches as of wear and shade.
    image += random.normal(0, 5, image.shape).astype(np.float32)
    patches = random.normal(0, 14, (height // 32 + 1, width // 32 + 1)).astype(np.float32)
    image += cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return image.clip(0, 255).astype(np.uint8)


class _Brush:
    """Draws one shape into the image and, alike to the pixel, into the instance map."""

    def __init__(self, image: Image, instances: npt.NDArray[np.uint16], label: int) -> None:
        self._image, self._instances, self._label = image, instances, label

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        corners = np.array(points, np.float64).round().astype(np.int32)
        cv2.fillPoly(self._image, [corners], colour)
        cv2.fillPoly(self._instances, [corners], self._label)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        center, axes = (round(x), round(y)), (max(round(rx), 1), max(round(ry), 1))
        cv2.ellipse(self._image, center, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(self._instances, center, axes, 0, 0, 360, self._label, -1)


def _draw_person(
    image: Image, instances: npt.NDArray[np.uint16], mover: Mover, x: int, number: int, label: int
) -> None:
    brush, h, w = _Brush(image, instances, label), mover.height, mover.width
    top, hip, foot = mover.base - h, mover.base - 0.47 * h, mover.base
    stride = 0.3 * w * np.sin(number * 0.9 + mover.start)
    for side in (-1, 1):
        end = x + side * stride
        brush.polygon(
            [
                (x - 0.16 * w, hip),
                (x + 0.16 * w, hip),
                (end + 0.1 * w, foot),
                (end - 0.1 * w, foot),
            ],
            mover.accent,
        )
    brush.polygon(
        [
            (x - 0.32 * w, top + 0.2 * h),
            (x + 0.32 * w, top + 0.2 * h),
            (x + 0.26 * w, hip + 0.04 * h),
            (x - 0.26 * w, hip + 0.04 * h),
        ],
        mover.colour,
    )
    brush.ellipse(x, top + 0.1 * h, 0.2 * w, 0.1 * h, (205, 160, 130))


def _draw_vehicle(
    image: Image, instances: npt.NDArray[np.uint16], mover: Mover, x: int, number: int, label: int
) -> None:
    del number  # a vehicle does not change its shape
    brush, h, w = _Brush(image, instances, label), mover.height, mover.width
    top, belt, sill = mover.base - h, mover.base - 0.58 * h, mover.base - 0.14 * h
    left, right = x - w / 2, x + w / 2
    cabin = [(x - 0.3 * w, belt), (x - 0.2 * w, top), (x + 0.18 * w, top), (x + 0.32 * w, belt)]
    brush.polygon(cabin, mover.accent)
    brush.polygon([(left, sill), (left, belt), (right, belt), (right, sill)], mover.colour)
    for wheel in (x - 0.28 * w, x + 0.28 * w):
        brush.ellipse(wheel, sill, 0.09 * w, 0.14 * h, (25, 25, 28))
