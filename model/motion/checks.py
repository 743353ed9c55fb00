"""Whether a video is one that motion can label, said before anything is written.

Legend: H, W pixels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from model.data.labels import Image, fill
from model.motion.background import edges, steadiness
from model.motion.fixed_camera import GHOST, RESTLESS, Camera, Sizes
from model.motion.motion_options import Options
from model.motion.object_scale import adapted, fit_perspective, searched
from model.motion.pieces import LEAST_OBJECTS, Piece, shape_fault

_CORNERS = 40
"""With fewer corners the picture is too smooth to tell whether it shifts."""
_FOUND = 0.2
_SHIFT_PIXELS = 1.2
_NOISE = 10.0
_NOISY_SHARE = 0.2
_CHANGED_SHARE = 0.3

TAKEN_FOR_BACKGROUND = (
    "Things stand in one place for half of the time and are taken for background; name a stretch "
    "of the video in which that place is free (--background)"
)
"""What to do where `stands_still`."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What moves in some frames of a video.

    Attributes:
        frames: Number of frames looked at.
        changed: How many of them differ as a whole.
        shaped: Pieces that have the shape of one object.
        unclear: How many pieces have not, by the reason.
        largest: Pixels of the largest piece.
    """

    frames: int
    changed: int
    shaped: Sequence[Piece]
    unclear: Counter[str]
    largest: int


def survey(camera: Camera, frames: Iterable[Image]) -> Survey:
    """Look for moving pieces in some frames; those of all sizes that an object may have."""
    limits = searched(camera.motion)
    count, changed, largest = 0, 0, 0
    shaped: list[Piece] = []
    unclear: Counter[str] = Counter()
    for frame in frames:
        count += 1
        pieces = camera.pieces(frame)
        changed += pieces is None
        steep = edges(frame)
        for piece in pieces or ():
            largest = max(largest, piece.pixels)
            ghost = camera.is_ghost(piece, steep)
            fault = GHOST if ghost else shape_fault(piece, limits, camera.shape)
            if fault is None:
                shaped.append(piece)
            else:
                unclear[fault] += 1
    return Survey(count, changed, shaped, unclear, largest)


def fit_limits(seen: Survey, camera: Camera) -> tuple[Survey, Camera]:
    """Return survey and camera with the smallest and largest object that the video suggests."""
    inside = [piece for piece in seen.shaped if piece.is_inside(*camera.shape)]
    limits = adapted(camera.motion, inside)
    fitting = camera.limited(limits)
    faults = [shape_fault(piece, limits, camera.shape) for piece in seen.shaped]
    shaped = [piece for piece, fault in zip(seen.shaped, faults, strict=True) if fault is None]
    unclear = seen.unclear + Counter(fault for fault in faults if fault is not None)
    return replace(seen, shaped=shaped, unclear=unclear), fitting


def check_outlines(video: Path, options: Options, height: int, width: int) -> None:
    """Refuse outlines of which nothing lies in the picture; they may reach beyond its edges.

    Raises:
        ConfigurationError: There are some; all are named.
    """
    outlines = {f"occluders.{i}.polygon": one.polygon for i, one in enumerate(options.occluders)}
    outlines |= {f"parked.{i}.polygon": one.polygon for i, one in enumerate(options.parked)}
    outlines |= {f"ignore.{i}": polygon for i, polygon in enumerate(options.ignore)}
    faults = [
        f"{video}: {key} is {[list(corner) for corner in polygon]!s:.80}, wholly outside the "
        f"picture of {width}x{height} pixels; expected corners [x, y] in pixels of this video "
        "(--options)"
        for key, polygon in outlines.items()
        if not fill((height, width), polygon).any()
    ]
    if faults:
        raise ConfigurationError(faults)


def check_limits(video: Path, options: Options, height: int, width: int) -> None:
    """Refuse limits between which no object can lie in a picture of this size.

    Raises:
        ConfigurationError: The smallest object is larger than the largest one.
    """
    given, used = options.motion, options.motion.for_picture(height, width)
    if used.min_pixels > used.max_pixels:
        raise ConfigurationError(
            f"{video}: motion.min_pixels is {given.min_pixels:g} and motion.max_pixels is "
            f"{given.max_pixels:g}: in the picture of {width}x{height} pixels objects of "
            f"{used.min_pixels:.0f} to {used.max_pixels:.0f} pixels, expected the smallest first; "
            "below 1 they are shares of the picture (--min-pixels, --max-pixels)"
        )


def check_steady(video: Path, samples: Sequence[Image], camera: Camera) -> None:
    """Refuse a camera that moves.

    Raises:
        ConfigurationError: It does; the message says how that shows.
    """
    noisy = float((camera.background.noise > _NOISE).mean())
    steady = steadiness(samples, camera.background.image)
    signs = []
    if noisy > _NOISY_SHARE:
        signs.append(f"{noisy:.0%} of the picture never comes to rest")
    if steady.corners >= _CORNERS and steady.found < _FOUND:
        signs.append(
            f"of {steady.corners} corners of the background a frame shows {steady.found:.0%}"
        )
    elif steady.corners >= _CORNERS and steady.shift > _SHIFT_PIXELS:
        signs.append(f"every fourth frame is shifted by {steady.shift:.1f} pixels or more")
    if signs:
        raise ConfigurationError(
            f"{video}: {' and '.join(signs)}, expected a fixed camera that sees its background "
            "most of the time; fix the camera, cut the moving part off (--first, --last), or label "
            "the frames by hand"
        )


def check_survey(video: Path, seen: Survey, camera: Camera) -> None:
    """Refuse a video in which nothing, everything or too little moves.

    Raises:
        ConfigurationError: There is too little to learn from; the message says what was seen.
    """
    if seen.changed > _CHANGED_SHARE * seen.frames:
        raise ConfigurationError(
            f"{video}: in {seen.changed} of {seen.frames} frames nearly everything differs from "
            "the background, expected few such frames; did the light change (sunset, lamps), or "
            "are there several shots in the video? Process them one by one (--first, --last)"
        )
    if not seen.shaped and not seen.unclear:
        raise ConfigurationError(
            f"{video}: nothing moves in {seen.frames} frames, expected moving objects; record when "
            f"there are some, or lower --threshold (now {camera.motion.threshold:g})"
        )
    if len(seen.shaped) < LEAST_OBJECTS:
        raise ConfigurationError(_too_few(video, seen, camera, len(seen.shaped), seen.unclear))


def find_sizes(video: Path, seen: Survey, camera: Camera) -> Sizes:
    """Return how large objects are, after `check_survey`.

    Raises:
        ConfigurationError: The heights do not agree, or hardly a piece is an object by all tests.
    """
    line = None
    if camera.motion.height_tolerance:
        line = fit_perspective([p for p in seen.shaped if camera.fault(p, Sizes()) is None])
        if line is None:
            raise ConfigurationError(
                f"{video}: the heights of {len(seen.shaped)} moving pieces do not depend on where "
                "they stand, expected a camera that looks along the ground; set height_tolerance "
                "to 0 (--height-tolerance 0) if it looks down. Are they parts of what moves? Other "
                f"pieces: {_reasons(seen.unclear)}"
            )
    whole = [piece.pixels for piece in seen.shaped if piece.is_inside(*camera.shape)]
    typical = float(np.median(whole)) if whole and camera.motion.largest else None
    sizes = Sizes(line, typical)
    faults = [camera.fault(piece, sizes) for piece in seen.shaped]
    objects = faults.count(None)
    if objects < LEAST_OBJECTS:
        unclear = seen.unclear + Counter(fault for fault in faults if fault is not None)
        raise ConfigurationError(_too_few(video, seen, camera, objects, unclear))
    return sizes


def _too_few(video: Path, seen: Survey, camera: Camera, objects: int, unclear: Counter[str]) -> str:
    text = (
        f"{video}: {objects} moving objects in {seen.frames} frames, expected at least "
        f"{LEAST_OBJECTS}. Other pieces: {_reasons(unclear)}. The largest has {seen.largest} "
        f"pixels ({camera.motion.min_pixels:.0f} to {camera.motion.max_pixels:.0f} are accepted). "
    )
    if stands_still(unclear, objects):
        return text + TAKEN_FOR_BACKGROUND
    return text + (
        "Choose --preset for what moves, record longer, or widen the [motion] limit that most "
        "pieces fail"
    )


def stands_still(unclear: Counter[str], objects: int) -> bool:
    """Tell whether more pieces come from what stood still than there are objects."""
    return unclear[RESTLESS] + unclear[GHOST] > objects


def _reasons(unclear: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in unclear.most_common()) or "none"
