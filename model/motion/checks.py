"""Whether a video is one that motion can label, said before anything is written.

Legend: H, W pixels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.errors import ConfigurationError
from model.data.labels import Image
from model.motion.background import steadiness
from model.motion.camera import Camera
from model.motion.pieces import LEAST_OBJECTS, Piece, fit_perspective, shape_fault

_CORNERS = 40
"""With fewer corners the picture is too smooth to tell whether it shifts."""
_FOUND = 0.2
_SHIFT_PIXELS = 1.2
_NOISE = 10.0
_NOISY_SHARE = 0.2
_CHANGED_SHARE = 0.3


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
    """Look for moving pieces in some frames."""
    count, changed, largest = 0, 0, 0
    shaped: list[Piece] = []
    unclear: Counter[str] = Counter()
    for frame in frames:
        count += 1
        pieces = camera.pieces(frame)
        changed += pieces is None
        for piece in pieces or ():
            largest = max(largest, piece.pixels)
            fault = shape_fault(piece, camera.motion, camera.shape)
            if fault is None:
                shaped.append(piece)
            else:
                unclear[fault] += 1
    return Survey(count, changed, shaped, unclear, largest)


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
        signs.append(f"every fourth frame lies {steady.shift:.1f} pixels or more aside")
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
            "are there several shots in the video? Take them one by one (--first, --last)"
        )
    if not seen.shaped and not seen.unclear:
        raise ConfigurationError(
            f"{video}: nothing moves in {seen.frames} frames, expected moving objects; record when "
            f"there are some, or lower --threshold (now {camera.motion.threshold:g})"
        )
    if len(seen.shaped) < LEAST_OBJECTS:
        raise ConfigurationError(
            f"{video}: {len(seen.shaped)} moving pieces of plausible shape in {seen.frames} "
            f"frames, expected at least {LEAST_OBJECTS}. Others: {_reasons(seen.unclear)}. The "
            f"largest has {seen.largest} pixels ({camera.motion.min_pixels:.0f} to "
            f"{camera.motion.max_pixels:.0f} are accepted). Choose --preset for what moves, record "
            "longer, or widen the [motion] limit that most pieces fail"
        )


def find_perspective(video: Path, seen: Survey, camera: Camera) -> tuple[float, float] | None:
    """Return the (slope, intercept) of the objects' height over the row of their feet.

    Returns:
        None where the options expect no perspective.

    Raises:
        ConfigurationError: The heights do not agree.
    """
    if not camera.motion.height_tolerance:
        return None
    line = fit_perspective(seen.shaped)
    if line is None:
        raise ConfigurationError(
            f"{video}: the heights of {len(seen.shaped)} moving objects do not depend on where "
            "they stand, expected a camera that looks along the ground; set height_tolerance to 0 "
            "in [motion] (--height-tolerance 0)"
        )
    return line


def _reasons(unclear: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in unclear.most_common()) or "none"
