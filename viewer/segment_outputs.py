"""What `seedstream segment` writes for one input: documents, instance maps, overlays."""

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import av.error
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pillow

from contract.errors import InvalidMessageError, SeedstreamError
from contract.result import Result, encode_result
from media.picture_files import UnreadableInputError
from media.pictures import Image
from media.video_frame import VideoFrame
from segmentation.instances import Instances
from segmentation.segmenter import Segmenter
from viewer.colors import ColorMemory
from viewer.overlay import draw_overlay, fit_inside
from viewer.video import VideoWriter

_MAX_INSTANCES = 65_535  # what a 16-bit picture can number
_JPEG_QUALITY = 90
_MAX_VIDEO_SIDE = 8192
"""Longest side of an overlay video in pixels: what players of H.264 (level 6) are made for."""


class UnwritableOutputError(SeedstreamError):
    """The output folder takes no more files; those before are whole."""


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Let what fails in the block be the fault of the output folder.

    Raises:
        UnwritableOutputError: Something could not be written.
    """
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnwritableOutputError(
            f"{out}: cannot be written to: {why}; free space there, or choose another folder by "
            "--out"
        ) from error


@dataclass(frozen=True)
class Source:
    """One input and the name that its outputs carry."""

    path: Path
    name: str
    modified_at: datetime
    session: str

    def result(
        self,
        segmenter: Segmenter,
        image: Image,
        sequence: int,
        seconds: float,
        found: Instances,
    ) -> Result:
        """Return the document of a picture ``seconds`` into the input."""
        captured_at = self.modified_at + timedelta(seconds=seconds)
        processed_at = datetime.now(UTC)
        return Result(
            camera=re.sub(r"[^A-Za-z0-9._:-]", "-", self.name)[:128],
            session=self.session,
            sequence=sequence,
            captured_at=captured_at,
            processed_at=processed_at,
            width=image.shape[1],
            height=image.shape[0],
            model=segmenter.reference,
            latency_seconds=(processed_at - captured_at).total_seconds(),
            instances=found.documents(),
        )


def write_image(source: Source, segmenter: Segmenter, image: Image, out: Path) -> None:
    """Segment a picture and write its instance map, document and overlay.

    Raises:
        UnreadableInputError: There are more instances than 16 bits can number, or too many tiles.
        UnwritableOutputError: The folder takes no more files.
    """
    (found,) = _segmented([image], segmenter, source)
    result = source.result(segmenter, image, 0, 0.0, found)
    numbers = instance_picture(found, source.path)
    png = io.BytesIO()
    Pillow.fromarray(numbers).save(png, "png")
    overlay = simplejpeg.encode_jpeg(draw_overlay(image, result), _JPEG_QUALITY, "RGB")
    with writing_to(out):
        _write(out / f"{source.name}.instances.png", png.getvalue())
        _write(out / f"{source.name}.json", encode_result(result) + b"\n")
        _write(out / f"{source.name}.overlay.jpg", overlay)


def _write(path: Path, data: bytes) -> None:
    """Write a file that appears when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def instance_picture(instances: Instances, path: Path) -> NDArray[np.uint16]:
    """Return the instances of the file ``path`` as a picture of their ids, 0 for background.

    Returns:
        uint16 (H, W).

    Raises:
        UnreadableInputError: There are more instances than 16 bits can number.
    """
    if len(instances) > _MAX_INSTANCES:
        raise UnreadableInputError(
            path,
            f"{len(instances)} instances, a 16-bit picture holds {_MAX_INSTANCES}; raise --score",
        )
    return instances.to_map().astype(np.uint16)


class VideoOutputs:
    """The growing outputs of one video: a context manager.

    Lines are kept however it ends, once there is one; the overlay only after a good end.

    Raises:
        UnwritableOutputError: The folder takes no more files.
    """

    def __init__(self, source: Source, out: Path) -> None:
        self.count = 0
        self._source = source
        self._lines_path = out / f"{source.name}.jsonl"
        self._partial = out / f".{source.name}.jsonl.partial"
        self._overlay_path = out / f"{source.name}.overlay.mp4"
        self._out = out
        self._whole = 0  # bytes of lines that are written to their ends
        with writing_to(out):
            self._lines = self._partial.open("wb")
        self._overlay: VideoWriter | None = None
        self._colors = ColorMemory()
        self._shape = (0, 0)

    def write(self, segmenter: Segmenter, batch: Sequence[VideoFrame]) -> None:
        """Segment the frames of a batch; those of another size than the first are drawn fitted.

        Raises:
            UnreadableInputError: A frame needs too many tiles.
        """
        images = [frame.image for frame in batch]
        instances = _segmented(images, segmenter, self._source)
        for frame, image, found in zip(batch, images, instances, strict=True):
            result = self._source.result(segmenter, image, frame.number, frame.seconds, found)
            shown = draw_overlay(image, result, colors=self._colors.assign(found))
            with writing_to(self._out):
                self._write(encode_result(result) + b"\n", shown, frame.seconds)

    def _write(self, line: bytes, shown: Image, seconds: float) -> None:
        self._lines.write(line)
        self._lines.flush()  # a full disk is told now
        self._whole = self._lines.tell()
        self.count += 1
        if self._overlay is None:
            self._shape = _video_shape(*shown.shape[:2])
            self._overlay = VideoWriter(self._overlay_path, *self._shape[::-1])
        self._overlay.write(fit_inside(shown, *self._shape), seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with writing_to(self._out):
            with suppress(*((OSError,) if kind else ())):  # it tries once more what did not fit
                self._lines.close()
            os.truncate(self._partial, self._whole)
            if self.count:
                self._partial.replace(self._lines_path)
            else:
                self._partial.unlink()
            if self._overlay is not None:
                self._overlay.__exit__(kind, error, trace)


def _segmented(images: Sequence[Image], segmenter: Segmenter, source: Source) -> list[Instances]:
    try:
        return segmenter.segment(images, sources=[source.path.name] * len(images))
    except InvalidMessageError as error:
        raise UnreadableInputError(source.path, str(error)) from error


def _video_shape(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _MAX_VIDEO_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
