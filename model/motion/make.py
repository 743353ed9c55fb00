"""From videos of fixed cameras to a data set: decode, look, check, label, and only then keep.

Everything is made in a folder beside the data set and moved into it at the end: a video that is
refused leaves the data set as it was.

Legend: H, W pixels. Images are uint8 RGB.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from contract.errors import ConfigurationError
from model.data.labels import IGNORE, CutOut, Labelled
from model.motion.background import Background, sample_count
from model.motion.checks import check_steady, check_survey, find_sizes, survey
from model.motion.fixed_camera import Camera, Labels, Line, Sizes
from model.motion.motion_options import Options
from model.motion.root import begin, finish
from model.motion.scene_store import StoredScene, write_cut_out, write_scene
from model.motion.stored_frames import LEAST_STILL, Progress, StoredFrames, spread, store_frames

SHOWN = 24
"""Labelled frames of a video that are kept to be looked at."""

_SURVEY = 200
"""Frames that are looked at before anything is labelled."""


@dataclass(frozen=True)
class Summary:
    """What became of one video.

    Attributes:
        name: Name of its scene.
        frames: Labelled frames.
        validation: How many of them measure and do not teach.
        changed: Frames left out since nearly everything in them changed.
        objects: Labelled moving objects, counted in every frame.
        cut_outs: Objects cut out for copy-paste.
        unclear: Ignored pieces by the reason.
        ignored: Share of the pixels that is ignored, 0..1.
        perspective: (slope, intercept) of the height over the row of the feet; None if unknown.
        size: H, W.
        samples: Some of the labelled frames, evenly spaced, to look at.
        patches: Some of the cut-outs, to look at.
    """

    name: str
    frames: int
    validation: int
    changed: int
    objects: int
    cut_outs: int
    unclear: Mapping[str, int]
    ignored: float
    perspective: Line | None
    size: tuple[int, int]
    samples: Sequence[Labelled] = field(default=(), repr=False, compare=False)
    patches: Sequence[CutOut] = field(default=(), repr=False, compare=False)


def label_from_motion(
    videos: Mapping[Path, Options],
    out: Path,
    *,
    add: bool = False,
    command: str = "",
    progress: Progress = lambda text, done, whole: None,
) -> list[Summary]:
    """Make a data set of label maps, or scenes of one, from videos of fixed cameras.

    Args:
        videos: Options by video; each video becomes one scene, named after the file.
        out: Folder of the data set.
        add: Add to the data set that is there.
        command: What the user typed, for the record in ``dataset.json``.
        progress: Told about the progress.

    Raises:
        ConfigurationError: A video cannot be labelled by motion, or ``out`` does not fit ``add``;
            all faults. Nothing was written then.
    """
    names = [scene_name(video) for video in videos]
    known = begin(out, add, names)
    moving = [options.classes() for options in videos.values()]
    classes = tuple(dict.fromkeys([*known, *(name for of_one in moving for name in of_one)]))
    faults: list[str] = []
    summaries, validation = [], []
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        stage = Path(folder)
        for video, options in videos.items():
            try:
                summary, names_held = _Maker(video, options, classes, stage, progress).make()
            except ConfigurationError as error:
                faults += error.faults
                continue
            summaries.append(summary)
            validation += names_held
        if faults:
            raise ConfigurationError(faults)
        credits = [options.credits for options in videos.values() if options.credits]
        finish(stage, out, classes, validation, credits, command)
    return summaries


def scene_name(video: Path) -> str:
    """Return the name that a video's scene gets."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", video.stem).strip("-.") or "scene"


@dataclass(frozen=True)
class _Maker:
    """Makes one scene below ``stage``."""

    video: Path
    options: Options
    classes: Sequence[str]
    stage: Path
    progress: Progress

    def make(self) -> tuple[Summary, list[str]]:
        """Return the summary and the names of the pictures that validate."""
        name = scene_name(self.video)
        frames = store_frames(self.video, self.stage / "images" / name, self.options, self.progress)
        camera = self._camera(frames)
        self.progress(f"{self.video.name}: what moves", 0, 1)
        seen = survey(camera, frames.spread(_SURVEY))
        check_survey(self.video, seen, camera)
        sizes = find_sizes(self.video, seen, camera)
        summary, held = self._label_all(name, frames, camera, sizes)
        front = camera.front if self.options.occluders else None
        write_scene(
            self.stage,
            StoredScene(name, sizes.line, front, self.options.upside_down),
            self.classes,
            self._details(summary),
        )
        return summary, held

    def _camera(self, frames: StoredFrames) -> Camera:
        still = frames.between(self.options.background)
        if len(still) < LEAST_STILL:
            raise ConfigurationError(
                f"{self.video}: {len(still)} of the used frames are in background = "
                f"{self.options.background}, expected at least {LEAST_STILL}; widen it or lower "
                "--step"
            )
        samples = list(still.spread(sample_count(*frames[0].shape[:2])))
        self.progress(f"{self.video.name}: background", 0, 1)
        camera = Camera(Background.of(samples), self.options, self.classes)
        check_steady(self.video, samples[:: max(1, len(samples) // 40)], camera)
        return camera

    def _label_all(
        self, name: str, frames: StoredFrames, camera: Camera, sizes: Sizes
    ) -> tuple[Summary, list[str]]:
        teaching = len(frames) - round(self.options.validation * len(frames))
        shown = set(spread(len(frames), SHOWN))
        count = _Count()
        for index, number in enumerate(frames.numbers):
            frame = frames[index]
            pieces = camera.pieces(frame)
            self.progress(f"{self.video.name}: labelling", index + 1, len(frames))
            if pieces is None:
                frames.path(index).unlink()
                continue
            labels = camera.label(frame, pieces, sizes)
            picture = f"{name}/{number:06d}"
            self._write(picture, labels.picture)
            count.add(labels)
            if index in shown:
                count.samples.append(labels.picture)
            if index >= teaching:
                count.held.append(picture)
            else:
                self._write_cut_outs(name, labels.cut_outs, count)
        return count.summary(name, len(frames), sizes.line, camera.shape), count.held

    def _write_cut_outs(self, name: str, cut_outs: Sequence[CutOut], count: "_Count") -> None:
        for cut_out in cut_outs:
            count.cut_outs += 1
            write_cut_out(self.stage, name, count.cut_outs, cut_out, self.classes)
        # Of the first few of a frame at most, so that the sheet shows many moments.
        count.patches += cut_outs[:2]
        if len(count.patches) > 4 * SHOWN:
            del count.patches[::2]

    def _details(self, summary: Summary) -> dict[str, Any]:
        names = ("size", "frames", "validation", "changed", "objects", "cut_outs", "ignored")
        values = {name: getattr(summary, name) for name in (*names, "unclear")}
        options = self.options.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**values, "video": self.video.name, "options": options}

    def _write(self, name: str, picture: Labelled) -> None:
        maps = {"instances": picture.instances.astype(np.uint16), "classes": picture.labels}
        for folder, array in maps.items():
            path = self.stage / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(path), array):
                raise ConfigurationError(f"{path}: cannot be written; is the disk full?")


@dataclass
class _Count:
    """What has been labelled so far."""

    frames: int = 0
    objects: int = 0
    cut_outs: int = 0
    ignored: float = 0.0
    unclear: Counter[str] = field(default_factory=Counter)
    held: list[str] = field(default_factory=list)
    samples: list[Labelled] = field(default_factory=list)
    patches: list[CutOut] = field(default_factory=list)

    def add(self, labels: Labels) -> None:
        self.frames += 1
        self.objects += labels.objects
        self.ignored += float((labels.picture.labels == IGNORE).mean())
        self.unclear += labels.unclear

    def summary(self, name: str, frames: int, line: Line | None, size: tuple[int, int]) -> Summary:
        return Summary(
            name=name,
            frames=self.frames,
            validation=len(self.held),
            changed=frames - self.frames,
            objects=self.objects,
            cut_outs=self.cut_outs,
            unclear=dict(self.unclear.most_common()),
            ignored=self.ignored / max(self.frames, 1),
            perspective=line,
            size=size,
            samples=self.samples,
            patches=self.patches,
        )
