"""Segment images and videos offline, with the worker's own engine and clustering.

Library: rich for the progress bars.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from contract.errors import ConfigurationError
from contract.frame import new_session
from media.brightness import Levels
from media.picture_files import NotAPictureError, UnreadableInputError
from media.pictures import OWN_RANGE, read_image
from media.video_frame import VideoFrame
from media.videos import Video
from segmentation import open_segmenter
from segmentation.engines import PrecisionWanted, Provider
from segmentation.letterbox import Resize
from segmentation.segmenter import Segmenter
from viewer.segment_outputs import VIDEO_ENDINGS, Source, VideoOutputs, write_image

_MAX_NAME_BYTES = 200
"""File systems allow 255 bytes; endings and numbers follow the name."""


@dataclass(frozen=True)
class _Job:
    """What holds for all inputs."""

    segmenter: Segmenter
    out: Path
    levels: Levels
    batch_size: int
    progress: Progress
    track: bool
    appearance: bool
    tracks: Path | None


def segment(
    inputs: Sequence[Path],
    model: Path,
    out: Path,
    score: float | None = None,
    provider: Provider = "auto",
    *,
    precision: PrecisionWanted = "auto",
    resize: Resize = "letterbox",
    levels: Levels = OWN_RANGE,
    batch_size: int = 1,
    intra_op_threads: int = 0,
    track: bool = True,
    track_appearance: bool = True,
    tracks: Path | None = None,
    show_progress: bool = True,
) -> int:
    """Segment files; one that cannot be read, or not in full, is named, the others go on.

    An image gives ``NAME.instances.png`` (16-bit instance ids), ``NAME.json`` (the result document)
    and ``NAME.overlay.jpg``; a video, an animation or a file of pages
    ``NAME.jsonl`` (a document a line) and ``NAME.overlay.mp4``, of a damaged one all frames that
    are whole. NAME is the file's name without its ending. The capture time in the documents is the
    file's time of modification, in a video plus the position in it.

    Args:
        inputs: Image and video files.
        model: The model artifact.
        out: Folder for the outputs, made where it is missing.
        score: Lowest instance score that is reported, 0..1; None takes the artifact's.
        provider: What runs the network.
        precision: Which file of the artifact runs.
        resize: How pictures are fitted into the model's input.
        levels: Which brightness of more than 8 bits is shown as black and as white.
        batch_size: Video frames that run through the network together.
        intra_op_threads: Threads of the network on the CPU; 0 leaves the choice to ONNX Runtime.
        track: Whether the objects of videos are tracked.
        track_appearance: Whether that looks at colours.
        tracks: File for the tracks of the one video, as MOTChallenge text.
        show_progress: Whether to draw progress bars.

    Returns:
        0, or 1 where an input could not be read, or not in full (said on standard error).

    Raises:
        ConfigurationError: The model or the provider does not fit, ``out`` is no folder, or
            ``tracks`` are those of several inputs or of none that is tracked.
        DeviceError: The accelerator failed.
        UnwritableOutputError: The output folder takes no more files.
    """
    if tracks is not None and not track:
        raise ConfigurationError("--tracks: use only without --no-track")
    if tracks is not None and len(inputs) != 1:
        raise ConfigurationError(
            f"--tracks {tracks}: expected one video, found {len(inputs)} inputs; a file holds the "
            "tracks of one: segment them one by one"
        )
    if tracks is not None:
        (name,) = output_names(inputs)
        others = [inputs[0], *(out / f"{name}{ending}" for ending in VIDEO_ENDINGS)]
        if tracks.resolve() in [other.resolve() for other in others]:
            raise ConfigurationError(
                f"--tracks {tracks}: is the input or one of its other outputs: name a new file"
            )
    segmenter = open_segmenter(
        model,
        provider,
        precision=precision,
        score_threshold=score,
        resize=resize,
        threads=intra_op_threads,
        batch_size=batch_size,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: expected a folder, or a place for one: {error.strerror}"
        ) from error
    failed = 0
    console = Console(stderr=True)
    with _progress(console, show_progress) as progress:
        job = _Job(segmenter, out, levels, batch_size, progress, track, track_appearance, tracks)
        for path, name in zip(inputs, output_names(inputs), strict=True):
            try:
                _segment_file(path, name, job)
            except UnreadableInputError as error:
                failed += 1
                console.print(f"seedstream: {error}", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


def output_names(inputs: Sequence[Path]) -> list[str]:
    """Return a name for each input: its own without the ending, numbered where two are equal.

    One that leaves no room for the endings of the outputs is shortened.
    """
    taken: set[str] = set()
    names = []
    for path in inputs:
        stem = _short(path.stem)
        candidates = (stem if n == 1 else f"{stem}-{n}" for n in range(1, sys.maxsize))
        names.append(next(name for name in candidates if name not in taken))
        taken.add(names[-1])
    return names


def _short(stem: str) -> str:
    while len(os.fsencode(stem)) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem


def _progress(console: Console, show: bool) -> Progress:
    # No markup: file names may have brackets.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not show)


def _segment_file(path: Path, name: str, job: _Job) -> None:
    try:
        modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise UnreadableInputError(path, f"cannot be read: {error.strerror}") from error
    source = Source(path, name, modified_at, new_session())
    try:
        image = read_image(path, levels=job.levels)
    except NotAPictureError:
        _segment_video(source, job)
        return
    if job.tracks is not None:
        raise UnreadableInputError(path, "a picture, --tracks expects a video")
    task = job.progress.add_task(path.name, total=1)
    write_image(source, job.segmenter, image, job.out)
    job.progress.advance(task)


def _segment_video(source: Source, job: _Job) -> None:
    """Write the outputs of a video as far as it can be read.

    Raises:
        UnreadableInputError: It cannot be read at all, or not in full; what is good was written.
    """
    fault: UnreadableInputError | None = None
    task = job.progress.add_task(source.path.name, total=None)
    with (
        Video(source.path, levels=job.levels) as video,
        VideoOutputs(
            source, job.out, track=job.track, appearance=job.appearance, tracks=job.tracks
        ) as outputs,
    ):
        job.progress.update(task, total=video.length)
        frames = iter(video)
        while fault is None:
            batch, fault = _next_batch(frames, job.batch_size)
            if not batch:
                break
            outputs.write(job.segmenter, batch)
            job.progress.advance(task, len(batch))
        if not outputs.count:
            raise fault or UnreadableInputError(source.path, "a video without frames")
    job.progress.update(task, total=outputs.count, completed=outputs.count)
    if fault is not None:
        raise UnreadableInputError(source.path, f"{fault.reason} (what was read is kept)")
    if video.damaged:
        raise UnreadableInputError(
            source.path,
            f"{outputs.count + video.damaged} frames, {video.damaged} of them damaged (cut, or not "
            "decodable) and left out",
        )


def _next_batch(
    frames: Iterator[VideoFrame], size: int
) -> tuple[list[VideoFrame], UnreadableInputError | None]:
    """Return up to ``size`` frames, and what stopped them, if something did."""
    batch: list[VideoFrame] = []
    try:
        for frame in islice(frames, size):
            batch.append(frame)
    except UnreadableInputError as error:
        return batch, error
    return batch, None
