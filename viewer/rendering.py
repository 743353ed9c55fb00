"""``seedstream render``: frames and results read back as an overlay video and a picture."""

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image
from rich.console import Console

from contract.errors import ConfigurationError, InvalidMessageError
from contract.frame import MAX_SIDE_PIXELS, Frame
from contract.process import EXIT_FAILED, EXIT_OK, configure_logging
from contract.result import Result
from contract.settings import warn_of_unknown_variables
from segmentation.decode import decode_image
from segmentation.instances import Instances
from servers.redis import Redis
from viewer.colors import ColorMemory
from viewer.history import (
    FrameId,
    JoinCounts,
    ResultReader,
    frame_id,
    join,
    read_frames,
    window_start,
)
from viewer.overlay import RgbImage, draw_overlay
from viewer.settings import ViewerSettings
from viewer.trails import TrailMemory
from viewer.video import VideoWriter

_FPS_WINDOW_SECONDS = 2.0


@dataclass(frozen=True)
class Rendering:
    """What was made of a camera.

    Attributes:
        camera: Camera id.
        video: The overlay video.
        picture: The frame with the most instances, of equal ones that with the longest trails.
        counts: Frames and results that were joined, or were not.
        most_instances: Instances in the picture.
    """

    camera: str
    video: Path
    picture: Path
    counts: JoinCounts
    most_instances: int


def run(settings: ViewerSettings) -> int:
    """Render the cameras that the settings name and say what was written.

    Returns:
        Exit code: 1 where a camera has nothing to show.

    Raises:
        ConfigurationError: The Redis URL or the folder cannot be used.
        UnavailableError: Kafka or Redis does not answer.
    """
    configure_logging("render", settings.log_level, settings.log_format)
    warn_of_unknown_variables(type(settings))
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    with contextlib.closing(Redis(settings)) as server:
        reader = ResultReader(server)
        cameras = [settings.camera] if settings.camera else reader.cameras()
        if not cameras:
            console.print("no camera has results in Redis: is a worker running?")
            failed = True
        for camera in cameras:
            try:
                made = render_camera(settings, reader, camera)
            except InvalidMessageError as error:
                console.print(f"{camera}: cannot be shown: {error}")
                failed = True
                continue
            if made is None:
                console.print(f"{camera}: nothing to show: no results with frames still in Kafka")
                failed = True
            else:
                console.print(
                    f"{camera}: {made.counts.joined} frames -> {made.video}; "
                    f"{made.most_instances} instances -> {made.picture}{_unmatched(made.counts)}"
                )
    return EXIT_FAILED if failed else EXIT_OK


def render_camera(settings: ViewerSettings, reader: ResultReader, camera: str) -> Rendering | None:
    """Write ``CAMERA.mp4`` and ``CAMERA.png``.

    Args:
        settings: Where to read, what to draw, where to write.
        reader: Results.
        camera: Camera id.

    Returns:
        What was made; None where no result has its frame.

    Raises:
        ConfigurationError: The folder cannot be written.
        InvalidMessageError: What is stored of the camera is no result.
        UnavailableError: Kafka or Redis does not answer.
    """
    newest = reader.newest(camera)
    wanted = settings.frame_id
    if newest is not None and wanted is not None:
        newest = _find(reader, camera, newest, wanted)
    if newest is None:
        return None
    last, since = newest, window_start(newest, settings.last_seconds if wanted is None else 0)

    def results() -> Iterator[Result]:
        found = reader.results(camera, since, last)
        return found if wanted is None else (each for each in found if frame_id(each) == wanted)

    counts = JoinCounts()
    first, ids = newest, []
    for number, result in enumerate(results()):
        first = result if number == 0 else first
        ids.append(frame_id(result))
    pairs = join(
        read_frames(
            settings,
            settings.topic,
            camera,
            first.captured_at,
            settings.idle_timeout_seconds,
        ),
        results(),
        ids,
        counts,
    )
    out = _folder(settings.out)
    video, picture = out / f"{camera}.mp4", out / f"{camera}.png"
    most = _write(pairs, video, picture, settings.min_score, track=settings.track)
    return None if most is None else Rendering(camera, video, picture, counts, most)


def _find(reader: ResultReader, camera: str, newest: Result, wanted: FrameId) -> Result | None:
    """Return the result of one frame, None where it is not stored."""
    stored = reader.results(camera, window_start(newest, 0), newest)
    return next((each for each in stored if frame_id(each) == wanted), None)


def _write(
    pairs: Iterator[tuple[Frame, Result]],
    video: Path,
    picture: Path,
    min_score: float,
    *,
    track: bool,
) -> int | None:
    """Write both files; return the instances of the picture, None where there was no frame."""
    colors, trails, rate = ColorMemory(), TrailMemory(), _Rate()
    writer: VideoWriter | None = None
    size: tuple[int, int] | None = None
    begin: datetime | None = None
    best: tuple[tuple[int, int], RgbImage] | None = None
    with contextlib.ExitStack() as stack:
        for frame, result in pairs:
            if size is None or writer is None or begin is None:
                size, begin = (frame.width, frame.height), frame.captured_at
                writer = stack.enter_context(VideoWriter(video, *size))
            if (frame.width, frame.height) != size:
                continue  # a camera that changed its size: the video keeps its first one
            try:
                shown = Instances.from_result(result)
                shown = shown[shown.scores >= min_score]
                shown = shown if track else shown.untracked()
                behind = trails.add(frame.captured_at.timestamp(), shown)
                drawn = draw_overlay(
                    decode_image(frame, max_pixels=MAX_SIDE_PIXELS**2),
                    result,
                    min_score=min_score,
                    fps=rate.add(frame.captured_at),
                    colors=colors.assign(shown),
                    trails=behind,
                    tracks=track,
                )
            except InvalidMessageError:
                continue  # cannot be drawn, as it could not be segmented
            writer.write(drawn, (frame.captured_at - begin).total_seconds())
            worth = (len(shown), sum(len(points) for _, points in behind))
            if best is None or worth > best[0]:
                best = (worth, drawn)
    if best is None:
        return None
    (most, _), drawn = best
    Image.fromarray(drawn).save(picture)
    return most


class _Rate:
    """Frames per second over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[datetime] = deque(maxlen=1000)

    def add(self, moment: datetime) -> float | None:
        self._times.append(moment)
        while (moment - self._times[0]).total_seconds() > _FPS_WINDOW_SECONDS:
            self._times.popleft()
        span = (moment - self._times[0]).total_seconds()
        return (len(self._times) - 1) / span if span > 0 else None


def _unmatched(counts: JoinCounts) -> str:
    """Return what could not be shown, for people; empty if there is nothing."""
    found = {
        "frames without a result": counts.frames_without_result,
        "results without a frame": counts.results_without_frame,
    }
    return "".join(f"; {what}: {number}" for what, number in found.items() if number)


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"VIEWER_OUT (--out): cannot create the folder {out}: {error.strerror}"
        ) from error
    return out
