"""Pictures that an exported file is calibrated and compared on, fitted as the worker fits them.

Shape letters: N pictures, H, W the model's input.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from media.picture_files import (
    PICTURE_ENDINGS,
    VIDEO_ENDINGS,
    NotAPictureError,
    UnreadableInputError,
)
from media.pictures import read_image
from media.videos import Video
from model.data.open import detect, open_data_set
from segmentation.letterbox import Fit

ENDINGS = {*PICTURE_ENDINGS, *VIDEO_ENDINGS}

_DOCUMENT_ENDINGS = (".json", ".yaml", ".yml")
"""Of files that may be a data set by themselves."""

_EVERY = 10
"""Of a video this many frames lie between two pictures."""


def make_pictures(height: int, width: int, count: int = 2) -> NDArray[np.uint8]:
    """Make pictures with smooth ground, edges and noise, where real ones are not at hand.

    Returns:
        uint8 (count, height, width, 3), the same ones each time.
    """
    rng = np.random.default_rng(0)
    pictures = np.empty((count, height, width, 3), np.uint8)
    for picture in pictures:
        ground = rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)
        picture[:] = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            center = (int(rng.integers(width)), int(rng.integers(height)))
            axes = (int(rng.integers(4, 5 + width // 16)), int(rng.integers(4, 5 + height // 8)))
            color = rng.integers(0, 255, 3).tolist()
            cv2.ellipse(picture, center, axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        noise = rng.normal(0, 4, picture.shape)
        picture[:] = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return pictures


def read_pictures(
    paths: Path | Sequence[Path], height: int, width: int, count: int = 4
) -> NDArray[np.uint8]:
    """Read real pictures, fitted into the model's input.

    Args:
        paths: Images, videos, folders of them (with the folders inside), and data sets, of which
            the pictures to learn from are taken and not their label maps. Of many pictures some
            are taken, evenly spread over all of them; of a video every tenth frame.
        height: Height of the model's input in pixels.
        width: Width of the model's input in pixels.
        count: Most pictures to take.

    Returns:
        uint8 (N, height, width, 3) RGB, N from 1 to ``count``.

    Raises:
        ConfigurationError: A file cannot be read or holds no picture; all of them are listed.
    """
    files = _spread(_files([paths] if isinstance(paths, Path) else paths), count)
    each = -(-count // len(files))
    images: list[NDArray[np.uint8]] = []
    faults: list[str] = []
    for file in files:
        try:
            images += list(_decode(file, each))
        except UnreadableInputError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError(faults)
    size = (height, width)
    return np.stack([Fit.of(image.shape[:2], size).apply(image) for image in images[:count]])


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that ``paths`` name, sorted within each folder."""
    files: list[Path] = []
    for path in paths:
        if _is_data_set(path):
            files += _labelled(path)
        elif path.is_dir():
            inside = (file for file in path.rglob("*") if file.is_file())
            files += sorted(file for file in inside if file.suffix.lower() in ENDINGS)
        else:
            files.append(path)
    if not files:
        raise ConfigurationError(
            f"{', '.join(map(str, paths))}: holds no picture: expected images "
            f"({', '.join(PICTURE_ENDINGS)}) or videos ({', '.join(VIDEO_ENDINGS)})"
        )
    return files


def _is_data_set(path: Path) -> bool:
    is_document = path.is_file() and path.suffix.lower() in _DOCUMENT_ENDINGS
    if not (path.is_dir() or is_document):
        return False
    try:
        detect(path)
    except ConfigurationError:
        return False
    return True


def _labelled(path: Path) -> list[Path]:
    """Return the pictures of a data set: those to learn from, or all where there are none."""
    data = open_data_set(path, split="train") or open_data_set(path)
    return [data.files(index)[0] for index in range(len(data))]


def _spread(files: list[Path], count: int) -> list[Path]:
    if len(files) <= count:
        return files
    return [files[i * len(files) // count] for i in range(count)]


def _decode(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield 1 to ``count`` pictures of an image or a video as uint8 (H, W, 3) RGB."""
    try:
        yield read_image(path)
    except NotAPictureError:
        found = 0
        with Video(path) as video:
            for frame in islice(video, 0, _EVERY * count, _EVERY):
                found += 1
                yield frame.image
        if not found:
            raise UnreadableInputError(path, "holds no picture") from None
