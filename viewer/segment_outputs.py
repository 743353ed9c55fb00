"""What `seedstream segment` writes for one input: documents, instance maps, overlays."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
from tracking import Moment, State, advance
from tracking.mot_text import mot_lines
from tracking.offline import find_and_observe
from viewer.colors import ColorMemory
from viewer.growing_file import GrowingFile
from viewer.overlay import draw_overlay, fit_inside
from viewer.trails import TrailMemory
from viewer.video import VideoWriter

_MAX_INSTANCES = 65_535  # what a 16-bit picture can number
_JPEG_QUALITY = 90
_MAX_VIDEO_SIDE = 8192
"""Longest side of an overlay video in pixels: what players of H.264 (level 6) are made for."""


class UnwritableOutputError(SeedstreamError):
    """The output folder takes no more files; those before are whole."""


@contextmanager
def writing_to(out: Path, option: str = "--out") -> Iterator[None]:
    """Let what fails in the block be the fault of the place that the option names.

    Raises:
        UnwritableOutputError: Something could not be written.
    """
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnwritableOutputError(
            f"{out}: cannot be written to: {why}; free space there, or choose another folder by "
            f"{option}"
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


VIDEO_ENDINGS = (".jsonl", ".overlay.mp4")
"""Of the documents and of the overlay of a video."""


class VideoOutputs:
    """The growing outputs of one video: a context manager.

    Lines are kept however it ends, once there is one; the overlay only after a good end.

    Args:
        source: The video.
        out: Folder for the documents and the overlay.
        track: Whether objects are tracked; they are numbered from 1.
        appearance: Whether the tracker looks at colours.
        tracks: File for the tracks as MOTChallenge text, unless it is None.

    Raises:
        UnwritableOutputError: A folder takes no more files.
    """

    def __init__(
        self,
        source: Source,
        out: Path,
        *,
        track: bool = True,
        appearance: bool = True,
        tracks: Path | None = None,
    ) -> None:
        self.count = 0
        self._source = source
        lines, overlay = (out / f"{source.name}{ending}" for ending in VIDEO_ENDINGS)
        self._overlay_path = overlay
        self._out = out
        self._tracks_path = tracks
        self._appearance = appearance
        self._state = State.empty(1) if track else None
        self._tracks: GrowingFile | None = None
        with ExitStack() as opened:
            if tracks is not None:
                with writing_to(tracks, "--tracks"):
                    tracks.parent.mkdir(parents=True, exist_ok=True)
                    self._tracks = GrowingFile(tracks)
                opened.callback(self._tracks.finish, keep=False, failed=True)
            with writing_to(out):
                self._lines = GrowingFile(lines)
            opened.pop_all()  # both are there
        self._overlay: VideoWriter | None = None
        self._colors, self._trails = ColorMemory(), TrailMemory()
        self._shape = (0, 0)

    def write(self, segmenter: Segmenter, batch: Sequence[VideoFrame]) -> None:
        """Segment the frames of a batch; those of another size than the first are drawn fitted.

        Raises:
            UnreadableInputError: A frame needs too many tiles.
        """
        images = [frame.image for frame in batch]
        instances = self._found(segmenter, batch, images)
        for frame, image, found in zip(batch, images, instances, strict=True):
            result = self._source.result(segmenter, image, frame.number, frame.seconds, found)
            shown = draw_overlay(
                image,
                result,
                colors=self._colors.assign(found),
                trails=self._trails.add(frame.seconds, found),
            )
            if self._tracks is not None and self._tracks_path is not None:
                with writing_to(self._tracks_path, "--tracks"):
                    self._tracks.write(mot_lines(frame.number + 1, found).encode())
            with writing_to(self._out):
                self._write(encode_result(result) + b"\n", shown, frame.seconds)

    def _found(
        self, segmenter: Segmenter, batch: Sequence[VideoFrame], images: Sequence[Image]
    ) -> list[Instances]:
        if self._state is None:
            return _segmented(images, segmenter, self._source)
        tracked = []
        with _named(self._source):
            sources = [self._source.path.name] * len(images)
            pairs = find_and_observe(segmenter, images, sources, appearance=self._appearance)
            seen = list(pairs)
        for frame, (found, observed) in zip(batch, seen, strict=True):
            moment = Moment(frame.seconds, self._source.session)
            self._state, identities, *_ = advance(self._state, observed, moment)
            tracked.append(found.tracked(identities))
        return tracked

    def _write(self, line: bytes, shown: Image, seconds: float) -> None:
        self._lines.write(line)
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
        try:
            with writing_to(self._out):
                self._lines.finish(keep=self.count > 0, failed=kind is not None)
                if self._overlay is not None:
                    self._overlay.__exit__(kind, error, trace)
        finally:
            if self._tracks is not None and self._tracks_path is not None:
                with writing_to(self._tracks_path, "--tracks"):
                    self._tracks.finish(keep=self.count > 0, failed=kind is not None)


def _segmented(images: Sequence[Image], segmenter: Segmenter, source: Source) -> list[Instances]:
    with _named(source):
        return segmenter.segment(images, sources=[source.path.name] * len(images))


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Let what a picture needs too much of be the fault of its file."""
    try:
        yield
    except InvalidMessageError as error:
        raise UnreadableInputError(source.path, str(error)) from error


def _video_shape(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _MAX_VIDEO_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
