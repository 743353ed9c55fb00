"""Frames of a video, decoded once and kept on disk: memory does not grow with the video.

Legend: H, W pixels. Images are uint8 RGB.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from contract.errors import ConfigurationError
from media.picture_files import UnreadableInputError
from media.pictures import read_image
from media.video_frame import VideoFrame
from media.videos import Video
from model.data.labels import Image
from model.motion.motion_options import Options

log = logging.getLogger(__name__)

LEAST_FRAMES = 20
"""A background needs so many frames."""

LEAST_STILL = 9
"""Of them, so many in a stretch that was named for it."""

Progress = Callable[[str, int, int], None]
"""Called with a sentence, the steps done and all steps."""


@dataclass(frozen=True)
class StoredFrames(Sequence[Image]):
    """Frames of a video as pictures in a folder; each is decoded when it is asked for.

    Attributes:
        folder: Where they lie.
        numbers: Their numbers in the video, counted from 1.
        ending: Ending of the files.
        seconds: How long they last; 0 where the video does not say.
    """

    folder: Path
    numbers: tuple[int, ...]
    ending: str
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]  # no slices
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """Return the file of frame ``index``."""
        return self.folder / f"{self.numbers[index]:06d}.{self.ending}"

    def between(self, numbers: tuple[int, int] | None) -> "StoredFrames":
        """Return the frames whose number lies between two, both included; None: all."""
        first, last = numbers or (1, self.numbers[-1])
        chosen = tuple(number for number in self.numbers if first <= number <= last)
        return replace(self, numbers=chosen)

    def spread(self, count: int) -> Iterator[Image]:
        """Yield at most ``count`` frames, evenly spaced."""
        for index in spread(len(self), count):
            yield self[index]


def spread(length: int, count: int) -> list[int]:
    """Return at most ``count`` evenly spaced indices of ``length``."""
    chosen: list[int] = (
        np.unique(np.linspace(0, length - 1, min(count, length)).round()).astype(int).tolist()
    )
    return chosen


def store_frames(video: Path, folder: Path, options: Options, progress: Progress) -> StoredFrames:
    """Decode the frames that the options choose and write them to ``folder``.

    Raises:
        ConfigurationError: The file is missing, is no video, or ends too early.
    """
    try:
        found = video.is_file()
    except OSError as error:
        raise ConfigurationError(f"{video}: cannot be read: {error.strerror}") from error
    if not found:
        raise ConfigurationError(f"{video}: no such file, expected a video")
    try:
        return _store(video, folder, options, progress)
    except UnreadableInputError as error:
        raise ConfigurationError(str(error)) from error


def _store(video: Path, folder: Path, options: Options, progress: Progress) -> StoredFrames:
    last = options.last or _length(video)
    step = options.step or max(1, -(-(last - options.first + 1) // options.max_frames))
    folder.mkdir(parents=True)
    number = 0
    numbers: list[int] = []
    times: list[float] = []
    shape: tuple[int, ...] | None = None
    with Video(video) as opened:
        for frame in _good_frames(opened):
            if frame.number >= last:
                break
            number = frame.number + 1
            if number >= options.first and (number - options.first) % step == 0:
                image = frame.image
                shape = shape or image.shape
                if image.shape != shape:
                    raise ConfigurationError(
                        f"{video}: frame {number} has {image.shape[1]}x{image.shape[0]} pixels, "
                        f"those before it {shape[1]}x{shape[0]}; expected one size, of a fixed "
                        "camera (--last ends before it)"
                    )
                _write(folder / f"{number:06d}.{options.image}", image)
                numbers.append(number)
                times.append(frame.seconds)
                progress(f"{video.name}: decoding", number, last)
                if len(numbers) == options.max_frames:
                    break
    if options.last and number < options.last and len(numbers) < options.max_frames:
        raise ConfigurationError(
            f"{video}: ends after frame {number}, expected {options.last} (--last)"
        )
    if len(numbers) < LEAST_FRAMES:
        raise ConfigurationError(
            f"{video}: {len(numbers)} usable frames ({number} decoded, first {options.first}, step "
            f"{step}), expected at least {LEAST_FRAMES} of a fixed camera; record longer or lower "
            "--step"
        )
    seconds = (times[-1] - times[0]) * len(times) / (len(times) - 1)
    return StoredFrames(folder, tuple(numbers), options.image, seconds)


def _good_frames(video: Video) -> Iterator[VideoFrame]:
    """Yield what can be read, and say once what cannot."""
    try:
        yield from video
    except UnreadableInputError as error:
        log.warning("%s; what was read is used", error)
    if video.damaged:
        log.warning("%s: %d damaged frames are left out", video.path, video.damaged)


def _length(video: Path) -> int:
    """Count the frames of a video; the container's own figure is often a guess or missing."""
    with Video(video) as opened:
        if opened.length is not None:
            return opened.length
        count = 0
        with contextlib.suppress(UnreadableInputError):
            for _ in opened:
                count += 1
        return count


def _write(path: Path, image: Image) -> None:
    quality = [
        cv2.IMWRITE_JPEG_QUALITY,
        95,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), frame, quality if path.suffix == ".jpg" else []):
        raise ConfigurationError(f"{path}: cannot be written; is the disk full?")
