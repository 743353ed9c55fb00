"""Colours that follow an object from frame to frame: by its track, else by where it was."""

import cv2
import numpy as np

from segmentation.instances import Box, Instances

Color = tuple[int, int, int]
"""Red, green, blue, 0..255."""

PALETTE: tuple[Color, ...] = (
    (230, 60, 70),
    (40, 190, 90),
    (70, 130, 255),
    (250, 190, 40),
    (200, 80, 230),
    (30, 200, 220),
    (255, 130, 50),
    (160, 210, 40),
    (255, 110, 180),
    (130, 110, 255),
    (60, 220, 170),
    (210, 150, 110),
)
"""Colours of neighbouring numbers differ most."""

_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: multiples of it lie evenly on a circle of 2**64."""

_CHROMA = 62.0
_LIGHTNESS = (66.0, 76.0, 56.0)


def track_color(track: int) -> Color:
    """Return the colour of a track, always the same; neighbouring numbers differ most.

    Their hues are spread evenly by the golden ratio over the circle of CIELAB, where equal steps
    look equal; three lightnesses take turns.
    """
    angle = 2 * np.pi * (track * _GOLDEN % 2**64) / 2**64
    lab = (_LIGHTNESS[track % 3], _CHROMA * np.cos(angle), _CHROMA * np.sin(angle))
    rgb = cv2.cvtColor(np.array([[lab]], np.float32), cv2.COLOR_Lab2RGB)[0, 0]
    red, green, blue = (round(255 * float(part)) for part in rgb.clip(0, 1))
    return red, green, blue


def track_label(track: int) -> str:
    """Return a track's number as it is written beside the object: long ones by the last digits."""
    return f"#{track}" if track < _LONG else f"#{track % _LONG:04d}"


_LONG = 10_000


def instance_colors(instances: Instances) -> dict[int, Color]:
    """Return the colour of each instance id: its track's, else that of the palette."""
    ids = instances.ids.tolist()
    if instances.identities is not None:
        colors = [track_color(who.track) for who in instances.identities]
        return dict(zip(ids, colors, strict=True))
    return {number: PALETTE[(number - 1) % len(PALETTE)] for number in ids}


class ColorMemory:
    """Gives an instance the colour of its track, or of the one before that it overlaps most.

    Args:
        min_overlap: Least intersection over union of two boxes that count as one object, 0..1.
    """

    def __init__(self, min_overlap: float = 0.3) -> None:
        self._min_overlap = min_overlap
        self._before: list[tuple[Box, int]] = []
        self._next = 0

    def assign(self, instances: Instances) -> dict[int, Color]:
        """Return the colour of each instance id, and remember it for the next frame."""
        if instances.identities is not None:
            return instance_colors(instances)
        pairs = sorted(
            (
                (overlap, place, number)
                for place, mask in enumerate(instances)
                for number, (box, _) in enumerate(self._before)
                if (overlap := box_overlap(mask.box, box)) >= self._min_overlap
            ),
            reverse=True,
        )
        numbers: dict[int, int] = {}
        taken: set[int] = set()
        for _, place, number in pairs:
            if place not in numbers and number not in taken:
                numbers[place] = self._before[number][1]
                taken.add(number)
        for place in range(len(instances)):
            if place not in numbers:
                numbers[place] = self._next
                self._next += 1
        self._before = [(mask.box, numbers[place]) for place, mask in enumerate(instances)]
        return {
            number: PALETTE[numbers[place] % len(PALETTE)]
            for place, number in enumerate(instances.ids.tolist())
        }


def box_overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (first[2] * first[3] + second[2] * second[3] - shared)
