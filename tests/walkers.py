"""Made videos of people who walk past a fixed camera, one after another, every pixel known.

Legend: H, W pixels. Images are uint8 RGB.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Hidden = Literal["none", "coat", "upper half"]


@dataclass(frozen=True)
class Walker:
    """Someone who crosses the picture once.

    Attributes:
        enters: Frame in which the middle is at the border, maybe before the first.
        foot: Row of the feet.
        height: In pixels.
        speed: Pixels a frame; negative to the left.
        coat: Colour of the upper body.
        legs: Colour of the legs.
    """

    enters: int
    foot: int
    height: int
    speed: float
    coat: tuple[int, int, int]
    legs: tuple[int, int, int] = (28, 28, 36)


@dataclass(frozen=True)
class Street:
    """A street in front of a camera.

    Attributes:
        walkers: Who walks there.
        hidden: What of them has the colour of the background.
        trace: Share of the coat that is seen nevertheless, 0..1.
        height: H.
        width: W.
    """

    walkers: tuple[Walker, ...]
    hidden: Hidden = "none"
    trace: float = 0.0
    height: int = 270
    width: int = 360

    def background(self) -> Image:
        """Return what is there without anybody (H, W, 3)."""
        random = np.random.default_rng(3)
        coarse = random.normal(0, 9, (self.height // 24 + 1, self.width // 24 + 1, 1))
        image = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        image = image[..., None] + (128, 124, 116) + random.normal(0, 4, (*image.shape, 3))
        image[::30, :, :] -= 25  # joints of the paving
        return np.asarray(image.clip(0, 255), np.uint8)

    def render(self, number: int) -> tuple[Image, npt.NDArray[np.int32]]:
        """Return frame ``number`` (H, W, 3), and who is where (H, W): index of the walker + 1."""
        ground = self.background().astype(np.float32)
        image = ground.copy()
        truth = np.zeros((self.height, self.width), np.int32)
        by_distance = sorted(enumerate(self.walkers, start=1), key=lambda one: one[1].foot)
        for index, walker in by_distance:
            parts = _parts(walker, self._middle(walker, number), number)
            for name, corners, colour in parts:
                mask = np.zeros(truth.shape, np.uint8)
                cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
                own = mask.astype(bool)
                share = self.trace if _is_hidden(name, self.hidden) else 1.0
                image[own] = share * np.array(colour, np.float32) + (1 - share) * ground[own]
                truth[own] = index
        image += np.random.default_rng([5, number]).normal(0, 2, image.shape)
        return image.clip(0, 255).round().astype(np.uint8), truth

    def whole(self, index: int, number: int) -> int:
        """Return how many pixels walker ``index + 1`` has in frame ``number``, covered or not."""
        walker = self.walkers[index]
        reach = 2 * walker.height
        mask = np.zeros((self.height + reach, self.width + 2 * reach), np.uint8)
        for _, corners, _ in _parts(walker, self._middle(walker, number), number):
            cv2.fillPoly(mask, [np.round(corners + np.array((reach, 0))).astype(np.int32)], 1)
        return int(mask.sum())

    def _middle(self, walker: Walker, number: int) -> float:
        way = walker.speed * (number - walker.enters)
        return way if walker.speed > 0 else self.width + way

    def write(self, path: Path, frames: int, rate: int = 10) -> Path:
        """Write the first frames as a video and return its path."""
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
            stream.bit_rate = 4_000_000
            for number in range(frames):
                image, _ = self.render(number)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return path


def procession(frames: int, seed: int = 0, scale: float = 0.4, every: int = 14) -> Street:
    """Return a street in which someone new comes every few frames, as tall as the row says."""
    random = np.random.default_rng(seed)
    walkers = []
    for enters in range(-60, frames, every):
        foot = int(random.integers(120, 262))
        height = round(scale * foot * random.uniform(0.95, 1.05))
        speed = float(random.uniform(0.05, 0.08)) * height * (1 if random.random() < 0.5 else -1)
        red, green, blue = (int(v) for v in random.integers(20, 236, 3))
        walkers.append(Walker(enters, foot, height, speed, (red, green, blue)))
    return Street(tuple(walkers))


def enlarged(street: Street, factor: float) -> Street:
    """Return the street seen by a camera with more pixels."""
    walkers = tuple(
        replace(
            one,
            foot=round(factor * one.foot),
            height=round(factor * one.height),
            speed=factor * one.speed,
        )
        for one in street.walkers
    )
    height, width = round(factor * street.height), round(factor * street.width)
    return replace(street, walkers=walkers, height=height, width=width)


def crowded(street: Street, *more: Walker) -> Street:
    """Return the street with further movers."""
    return replace(street, walkers=street.walkers + more)


def _is_hidden(part: str, hidden: Hidden) -> bool:
    return part == hidden or (hidden == "upper half" and part != "leg")


def _parts(
    walker: Walker, x: float, number: int
) -> Iterator[tuple[str, npt.NDArray[np.float64], tuple[int, int, int]]]:
    h, top = walker.height, walker.foot - walker.height
    hip = walker.foot - 0.48 * h
    stride = 0.1 * h * np.sin(0.7 * number + walker.foot)
    for side in (-1, 1):
        end = x + side * stride
        yield (
            "leg",
            np.array(
                [
                    (x - 0.09 * h, hip),
                    (x + 0.09 * h, hip),
                    (end + 0.05 * h, walker.foot),
                    (end - 0.05 * h, walker.foot),
                ]
            ),
            walker.legs,
        )
    yield (
        "coat",
        np.array(
            [
                (x - 0.13 * h, top + 0.17 * h),
                (x + 0.13 * h, top + 0.17 * h),
                (x + 0.12 * h, hip + 0.02 * h),
                (x - 0.12 * h, hip + 0.02 * h),
            ]
        ),
        walker.coat,
    )
    angle = np.linspace(0, 2 * np.pi, 16)
    head = np.stack([x + 0.07 * h * np.cos(angle), top + 0.09 * h + 0.09 * h * np.sin(angle)], 1)
    yield "head", head, (205, 160, 130)
