"""From videos of fixed cameras to a data set: decode, look, check, label, and only then keep.

Everything is made in a folder beside the data set and moved into it at the end: a video that is
refused leaves the data set as it was.

Legend: H, W pixels. Images are uint8 RGB.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from contract.errors import ConfigurationError
from model.data.labels import IGNORE, CutOut, Labelled
from model.motion.background import Background, sample_count
from model.motion.checks import (
    TAKEN_FOR_BACKGROUND,
    check_limits,
    check_outlines,
    check_steady,
    check_survey,
    find_sizes,
    fit_limits,
    stands_still,
    survey,
)
from model.motion.fixed_camera import Camera, Labels, Sizes
from model.motion.motion_options import Options
from model.motion.object_scale import Line
from model.motion.plausibility import Evidence, Witness
from model.motion.root import begin, check_classes, finish, stage_for, writing
from model.motion.scene_store import StoredScene, write_cut_out, write_scene
from model.motion.stored_frames import LEAST_STILL, Progress, StoredFrames, spread, store_frames
from model.motion.stretches import held_out

SHOWN = 24
"""Labelled frames of a video that are kept to be looked at."""

_SURVEY = 200
"""Frames that are looked at before anything is labelled, and closely while it is."""


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
        pixels: Smallest and largest piece that counts as an object.
        evidence: What speaks for and against the labels.
        warnings: What is doubtful about them, one sentence each.
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
    pixels: tuple[float, float]
    evidence: Evidence
    warnings: Sequence[str]
    samples: Sequence[Labelled] = field(default=(), repr=False, compare=False)
    patches: Sequence[CutOut] = field(default=(), repr=False, compare=False)


def label_from_motion(
    videos: Mapping[Path, Options],
    out: Path,
    *,
    add: bool = False,
    force: bool = False,
    command: str = "",
    progress: Progress = lambda text, done, whole: None,
) -> list[Summary]:
    """Make a data set of label maps, or scenes of one, from videos of fixed cameras.

    Args:
        videos: Options by video; each video becomes one scene, named after the file.
        out: Folder of the data set.
        add: Add to the data set that is there.
        force: Keep labels that are hardly believable; the data set warns of them.
        command: What the user typed, for the record in ``dataset.json``.
        progress: Told about the progress.

    Raises:
        ConfigurationError: A video cannot be labelled by motion, or ``out`` does not fit ``add``
            or cannot be written; all faults. The data set is as it was then.
    """
    with writing(out):
        return _label_all(videos, out, add, force, command, progress)


def _label_all(
    videos: Mapping[Path, Options],
    out: Path,
    add: bool,
    force: bool,
    command: str,
    progress: Progress,
) -> list[Summary]:
    names = [scene_name(video) for video in videos]
    known = begin(out, add, names)
    moving = [options.classes() for options in videos.values()]
    classes = tuple(dict.fromkeys([*known, *(name for of_one in moving for name in of_one)]))
    check_classes(classes)
    faults: list[str] = []
    summaries, validation = [], []
    with stage_for(out) as stage:
        for video, options in videos.items():
            try:
                summary, names_held = _Maker(video, options, classes, stage, progress, force).make()
            except ConfigurationError as error:
                faults += error.faults
                continue
            summaries.append(summary)
            validation += names_held
        if faults:
            raise ConfigurationError(faults)
        warnings = [f"{one.name}: {text}" for one in summaries for text in one.warnings]
        credits = [options.credits for options in videos.values() if options.credits]
        finish(stage, out, classes, validation, credits, warnings, command)
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
    force: bool

    def make(self) -> tuple[Summary, list[str]]:
        """Return the summary and the names of the pictures that validate."""
        name = scene_name(self.video)
        frames = store_frames(self.video, self.stage / "images" / name, self.options, self.progress)
        height, width = frames[0].shape[:2]
        check_outlines(self.video, self.options, height, width)
        check_limits(self.video, self.options, height, width)
        camera = self._camera(frames)
        self.progress(f"{self.video.name}: what moves", 0, 1)
        seen = survey(camera, frames.spread(_SURVEY))
        seen, camera = fit_limits(seen, camera)
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
        shown, close = set(spread(len(frames), SHOWN)), set(spread(len(frames), _SURVEY))
        count, witness = _Count(), Witness(camera, len(frames), frames.seconds)
        for index, number in enumerate(frames.numbers):
            frame = frames[index]
            pieces = camera.pieces(frame)
            self.progress(f"{self.video.name}: labelling", index + 1, len(frames))
            if pieces is None:
                frames.path(index).unlink()
                continue
            labels = camera.label(frame, pieces, sizes)
            self._write(f"{name}/{number:06d}", labels.picture)
            files = [
                write_cut_out(self.stage, name, count.cut_outs + k, cut_out, self.classes)
                for k, cut_out in enumerate(labels.cut_outs, start=1)
            ]
            count.add(f"{name}/{number:06d}", labels, files)
            witness.add(index, labels)
            if index in close:
                witness.look_closely(frame, labels)
            if index in shown:
                count.samples.append(labels.picture)
        held = count.hold_out(self.options.validation)
        evidence = witness.evidence()
        warnings = self._judge(evidence, count.unclear)
        return count.summary(name, len(frames), camera, sizes, evidence, warnings), held

    def _judge(self, evidence: Evidence, unclear: Counter[str]) -> list[str]:
        """Return what is doubtful.

        Raises:
            ConfigurationError: The labels are hardly believable, and not wanted all the same.
        """
        faults = evidence.faults()
        if faults and not self.force:
            advice = "Record longer and with more contrast, or choose other limits"
            if stands_still(unclear, evidence.objects):
                advice = TAKEN_FOR_BACKGROUND
            raise ConfigurationError(
                f"{self.video}: the labels are not to be trusted: {'; '.join(faults)}. {advice} "
                "(docs/train/labels-from-a-camera.md, step 3), or keep the labels to look at them "
                "with --force"
            )
        return evidence.doubts()

    def _details(self, summary: Summary) -> dict[str, Any]:
        names = ("size", "frames", "validation", "changed", "objects", "cut_outs", "ignored")
        values = {
            name: getattr(summary, name) for name in (*names, "pixels", "unclear", "warnings")
        }
        values["evidence"] = asdict(summary.evidence)
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

    objects: list[int] = field(default_factory=list)  # of each frame
    names: list[str] = field(default_factory=list)
    files: list[list[Path]] = field(default_factory=list)  # of the cut-outs of each frame
    cut_outs: int = 0
    ignored: float = 0.0
    unclear: Counter[str] = field(default_factory=Counter)
    held: list[int] = field(default_factory=list)
    samples: list[Labelled] = field(default_factory=list)
    patches: list[CutOut] = field(default_factory=list)

    def add(self, name: str, labels: Labels, files: list[Path]) -> None:
        self.names.append(name)
        self.objects.append(labels.objects)
        self.files.append(files)
        self.cut_outs += len(files)
        self.ignored += float((labels.picture.labels == IGNORE).mean())
        self.unclear += labels.unclear
        # Of the first few of a frame at most, so that the sheet shows many moments.
        self.patches += labels.cut_outs[:2]
        if len(self.patches) > 4 * SHOWN:
            del self.patches[::2]

    def hold_out(self, share: float) -> list[str]:
        """Choose the pictures that validate, return their names, and remove their cut-outs."""
        self.held = held_out(self.objects, share)
        for index in self.held:
            for file in self.files[index]:
                file.unlink()
            self.cut_outs -= len(self.files[index])
        return [self.names[index] for index in self.held]

    def summary(
        self,
        name: str,
        frames: int,
        camera: Camera,
        sizes: Sizes,
        evidence: Evidence,
        warnings: Sequence[str],
    ) -> Summary:
        done = len(self.names)
        return Summary(
            name=name,
            frames=done,
            validation=len(self.held),
            changed=frames - done,
            objects=sum(self.objects),
            cut_outs=self.cut_outs,
            unclear=dict(self.unclear.most_common()),
            ignored=self.ignored / max(done, 1),
            perspective=sizes.line,
            size=camera.shape,
            pixels=(camera.motion.min_pixels, camera.motion.max_pixels),
            evidence=evidence,
            warnings=warnings,
            samples=self.samples,
            patches=self.patches,
        )
