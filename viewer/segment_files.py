"""Segment images and videos offline, with the worker's own engine and clustering.

Library: rich for the progress bars.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from contract.frame import new_session
from contract.result import Result, encode_result
from segmentation import open_segmenter
from segmentation.engines import Provider
from segmentation.instances import Instances
from segmentation.letterbox import Resize
from segmentation.pictures import (
    Image,
    NotAPictureError,
    UnreadableInputError,
    Video,
    VideoFrame,
    read_image,
)
from segmentation.segmenter import Segmenter
from viewer.colors import ColorMemory
from viewer.overlay import draw_overlay
from viewer.video import VideoWriter

_MAX_INSTANCES = 65_535  # what a 16-bit picture can number
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class _Source:
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


def segment(
    inputs: Sequence[Path],
    model: Path,
    out: Path,
    score: float | None = None,
    provider: Provider = "auto",
    *,
    resize: Resize = "letterbox",
    batch_size: int = 1,
    intra_op_threads: int = 0,
    show_progress: bool = True,
) -> int:
    """Segment files; one that cannot be read is named, the others go on.

    An image gives ``NAME.instances.png`` (16-bit instance ids), ``NAME.json`` (the result document)
    and ``NAME.overlay.jpg``; a video ``NAME.jsonl`` (a document a line) and ``NAME.overlay.mp4``.
    NAME is the file's name without its ending. The capture time in the documents is the file's time
    of modification, in a video plus the position in it.

    Args:
        inputs: Image and video files.
        model: The model artifact.
        out: Folder for the outputs, made where it is missing.
        score: Lowest instance score that is reported, 0..1; None takes the artifact's.
        provider: What runs the network.
        resize: How pictures are fitted into the model's input.
        batch_size: Video frames that run through the network together.
        intra_op_threads: Threads of the network on the CPU; 0 leaves the choice to ONNX Runtime.
        show_progress: Whether to draw progress bars.

    Returns:
        0, or 1 where an input could not be read (said on standard error).

    Raises:
        ConfigurationError: The model or the provider does not fit.
        DeviceError: The accelerator failed.
    """
    segmenter = open_segmenter(
        model,
        provider,
        score_threshold=score,
        resize=resize,
        threads=intra_op_threads,
        batch_size=batch_size,
    )
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    console = Console(stderr=True)
    with _progress(console, show_progress) as progress:
        for path, name in zip(inputs, output_names(inputs), strict=True):
            try:
                _segment_file(path, name, segmenter, out, progress, batch_size)
            except UnreadableInputError as error:
                failed += 1
                console.print(f"seedstream: {error}", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


def output_names(inputs: Sequence[Path]) -> list[str]:
    """Return a name for each input: its own without the ending, numbered where two are equal."""
    taken: set[str] = set()
    names = []
    for path in inputs:
        candidates = (path.stem if n == 1 else f"{path.stem}-{n}" for n in range(1, sys.maxsize))
        names.append(next(name for name in candidates if name not in taken))
        taken.add(names[-1])
    return names


def _progress(console: Console, show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not show)


def _segment_file(
    path: Path, name: str, segmenter: Segmenter, out: Path, progress: Progress, batch_size: int
) -> None:
    try:
        modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise UnreadableInputError(path, f"cannot be read: {error.strerror}") from error
    source = _Source(path, name, modified_at, new_session())
    try:
        image = read_image(path)
    except NotAPictureError:
        task = progress.add_task(path.name, total=None)
        _segment_video(source, segmenter, out, progress, task, batch_size)
        return
    task = progress.add_task(path.name, total=1)
    (found,) = segmenter.segment([image], sources=[path.name])
    result = source.result(segmenter, image, 0, 0.0, found)
    Pillow.fromarray(instance_picture(found, source.path)).save(out / f"{name}.instances.png")
    (out / f"{name}.json").write_bytes(encode_result(result) + b"\n")
    overlay = simplejpeg.encode_jpeg(draw_overlay(image, result), _JPEG_QUALITY, "RGB")
    (out / f"{name}.overlay.jpg").write_bytes(overlay)
    progress.advance(task)


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


def _segment_video(
    source: _Source, segmenter: Segmenter, out: Path, progress: Progress, task: TaskID, size: int
) -> None:
    """Write the outputs of a video; both appear when it is complete, or not at all."""
    with Video(source.path) as video, _VideoOutputs(source, out) as outputs:
        progress.update(task, total=video.length)
        batch: list[VideoFrame] = []
        for frame in video:
            batch.append(frame)
            if len(batch) == size:
                outputs.write(segmenter, batch)
                progress.advance(task, size)
                batch = []
        if batch:
            outputs.write(segmenter, batch)
        if not outputs.count:
            raise UnreadableInputError(source.path, "a video without pictures")
    progress.update(task, total=outputs.count, completed=outputs.count)


class _VideoOutputs:
    """The growing outputs of one video: a context manager that keeps them only on success."""

    def __init__(self, source: _Source, out: Path) -> None:
        self.count = 0
        self._source = source
        self._lines_path = out / f"{source.name}.jsonl"
        self._partial = out / f".{source.name}.jsonl.partial"
        self._overlay_path = out / f"{source.name}.overlay.mp4"
        self._lines = self._partial.open("wb")
        self._overlay: VideoWriter | None = None
        self._colors = ColorMemory()
        self._shape: tuple[int, ...] | None = None

    def write(self, segmenter: Segmenter, batch: Sequence[VideoFrame]) -> None:
        """Segment the frames of a batch.

        Raises:
            UnreadableInputError: Their size is not that of the first frame.
        """
        images = [frame.image for frame in batch]
        for image in images:
            self._shape = self._shape or image.shape
            if image.shape != self._shape:
                raise UnreadableInputError(
                    self._source.path,
                    f"frame {self.count} has shape {image.shape}, the first has {self._shape}",
                )
        names = [self._source.path.name] * len(images)
        instances = segmenter.segment(images, sources=names)
        for frame, image, found in zip(batch, images, instances, strict=True):
            result = self._source.result(segmenter, image, self.count, frame.seconds, found)
            self._lines.write(encode_result(result) + b"\n")
            if self._overlay is None:
                height, width, _ = image.shape
                self._overlay = VideoWriter(self._overlay_path, width, height)
            shown = draw_overlay(image, result, colors=self._colors.assign(found))
            self._overlay.write(shown, frame.seconds)
            self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        if self._overlay is not None:
            self._overlay.__exit__(kind, error, trace)
        if kind is None:
            self._partial.replace(self._lines_path)
        else:
            self._partial.unlink()
