"""Where training pictures come from: videos of fixed cameras and photographs with polygons.

Legend: S pixels of the square crop, B crops of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from contract.errors import ConfigurationError
from model.augment.compose import Composer
from model.data.labels import IGNORE, CutOut, Image, Labelled, Polygon, Scene, fill
from model.motion.camera import Camera, Motion


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video of a fixed camera in which one kind of thing moves.

    Attributes:
        path: Video file below the data folder.
        label: Class index of what moves, 1..K.
        weight: Share of the crops, relative to the other sources.
        scale: Smallest and largest pixels of a crop per pixel of the video.
        motion: What one object looks like.
        first: First frame used, counted from 1.
        last: Last frame used; frames after it are never decoded.
        step: Use every ``step``-th frame.
        occluders: Polygons of things that stand in front, each with the row of its foot.
        parked: Polygons of static objects, each with its class index.
        upside_down: Whether frames may be flipped vertically.
    """

    path: str
    label: int
    weight: float
    scale: tuple[float, float]
    motion: Motion = field(default_factory=Motion)
    first: int = 1
    last: int | None = None
    step: int = 1
    occluders: Sequence[tuple[int, Polygon]] = ()
    parked: Sequence[tuple[int, Polygon]] = ()
    upside_down: bool = False

    def load(self, data: Path) -> tuple[Scene, list[CutOut]]:
        """Decode, label and cut; takes about a second per 60 frames."""
        frames = read_frames(data / self.path, self.first, self.last, self.step)
        camera = Camera(frames, self.label, self.motion, self.occluders, self.parked)
        return camera.label_frames(self.weight, self.scale, self.upside_down)


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs with polygon labels in the text format of COCO128-seg.

    Attributes:
        images: Folder of ``NAME.jpg`` below the data folder.
        polygons: Folder of ``NAME.txt``: ``class x1 y1 x2 y2 ...`` a line, coordinates 0..1.
        classes: Class index 1..K, or 255 for ignore, by class number of the files; others are
            background.
        weight: Share of the crops, relative to the other sources.
        scale: Smallest and largest pixels of a crop per pixel of a photograph.
    """

    images: str
    polygons: str
    classes: Mapping[int, int]
    weight: float
    scale: tuple[float, float]

    def load(self, data: Path) -> tuple[Scene, list[CutOut]]:
        """Read every photograph; those without labels serve as background."""
        files = sorted((data / self.images).glob("*.jpg"))
        if not files:
            raise ConfigurationError(f"{data / self.images}: no photographs (*.jpg) here")
        pictures = [self._read(file, data / self.polygons / f"{file.stem}.txt") for file in files]
        return Scene(pictures, self.weight, self.scale), []

    def _read(self, file: Path, polygons: Path) -> Labelled:
        image = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        instances = np.zeros(image.shape[:2], np.int32)
        labels = np.zeros(image.shape[:2], np.uint8)
        lines = polygons.read_text().splitlines() if polygons.is_file() else []
        shapes = [(int(line.split()[0]), np.array(line.split()[1:], float)) for line in lines]
        # Smaller objects are drawn last: they are usually the nearer ones where two overlap.
        for number, (label, xy) in enumerate(sorted(shapes, key=lambda s: -_extent(s[1])), 1):
            if label in self.classes:
                corners = xy.reshape(-1, 2) * image.shape[1::-1]
                own = fill(image.shape, [(x, y) for x, y in corners])
                labels[own] = self.classes[label]
                instances[own] = 0 if self.classes[label] == IGNORE else number
        return Labelled(image, instances, labels)


class Crops(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Crop ``index`` of an endless row of composed crops, a function of ``(seed, index)``.

    Items are image (3, S, S) float32 0..1, instances (S, S) int64 and labels (S, S) int64.
    """

    def __init__(self, composer: Composer, seed: int, first: int, count: int) -> None:
        """Prepare the crops ``first .. first + count - 1``; nothing is drawn yet."""
        self._composer, self._seed, self._first, self._count = composer, seed, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([self._seed, self._first + index])
        crop = self._composer.draw(rng)
        image = torch.from_numpy(crop.image).permute(2, 0, 1).float() / 255
        instances = torch.from_numpy(crop.instances.astype(np.int64))
        return image, instances, torch.from_numpy(crop.labels.astype(np.int64))


def read_frames(path: Path, first: int, last: int | None, step: int) -> list[Image]:
    """Decode frames ``first, first + step, ... <= last`` (counted from 1) as (H, W, 3) RGB.

    Raises:
        ConfigurationError: The file is missing, is no video, or ends before ``last``.
    """
    video = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    number = 0
    while last is None or number < last:
        good, frame = video.read()
        if not good:
            break
        number += 1
        if number >= first and (number - first) % step == 0:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    video.release()
    if not frames or (last is not None and number < last):
        expected = f"frames {first}..{last or 'end'}"
        raise ConfigurationError(
            f"{path}: expected {expected} of a video, could decode {number} frames; is the data "
            "folder complete (--data)?"
        )
    return frames


def _extent(xy: NDArray[np.float64]) -> float:
    return float(np.ptp(xy[0::2]) * np.ptp(xy[1::2]))
