"""Whether a frame shows anything that the last published one does not: the motion gate of a camera.

A pixel has changed if it differs from the last published frame and has a brightness that it does
not often have. The first alone would publish a lamp that flickers, the second alone a car that has
parked. How often a pixel has which brightness is OpenCV's mixture of Gaussians (Zivkovic, 2004),
which also learns its noise. The exposure's changes are taken out before: a gain and an offset for
the whole picture.

What a car that leaves uncovers is usual, too. So a pixel has also changed if it differs from the
last published frame by more than it has jumped from frame to frame of late: noise and a lamp that
flickers jump again and again, a car comes and goes.

Pure: no clock is read here. Library: OpenCV. Legend: H, W pixels of the small picture.
"""

import math
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from contract.number_fields import NumberFields

WIDTH = 160
"""Width of the small picture, in pixels."""

Luma = npt.NDArray[np.uint8]
"""uint8 (H, W): brightness."""

Verdict = Literal["start", "motion", "hold", "keep_alive", "static"]
"""Why a frame is published, or ``static``: it is not."""

_MOST_GAIN = 2.0
"""Exposure changes by more than this factor count as motion."""

_FIT_PIXELS = 4
"""Of the small picture every fourth row and column tell the exposure."""

_VARIANCES = 16.0
"""A brightness within four standard deviations of one that a pixel often has is that one."""

_KERNEL = np.ones((3, 3), np.uint8)

_JUMPS = 4.0
"""A pixel that has jumped as far as often as this of late is restless."""

_LATE_SHARE = 0.25
"""How long of late is, as a share of ``learn_seconds``."""

_LATE_FRAMES = 64
"""How many frames that is at least: enough to know a pixel's noise, of which four standard
deviations are then no change."""


class MotionSettings(NumberFields):
    """When a frame of a camera counts as motion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    threshold: float = Field(default=16, ge=1, le=255)
    """Smallest change of a pixel's brightness, of 255."""

    area: float = Field(default=0.0003, gt=0, le=1)
    """Smallest part of the picture that must change, as a share: 0.001 is a thousandth."""

    hold_seconds: float = Field(default=2.0, ge=0, le=3600)
    """How long frames are published after the last motion, in seconds."""

    keep_alive_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Without motion a frame is published this often, in seconds."""

    learn_seconds: float = Field(default=60.0, ge=1, le=86_400)
    """Over how long the brightness that is usual for a pixel is learned, in seconds: a lamp that
    flickers counts as motion for about a tenth of it."""


class MotionGate:
    """Decides about the frames of one connection, in order.

    Args:
        settings: When a frame counts as motion.
    """

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        self._usual: Any = None
        self._published: Luma | None = None
        self._jumps = _Jumps(settings.learn_seconds * _LATE_SHARE)
        self._published_at = self._seen_at = self._moved_at = 0.0
        self._frames = 0

    def judge(self, luma: Luma, time_seconds: float) -> Verdict:
        """Return whether and why a frame is to be published.

        Args:
            luma: The frame's brightness, made by `small`.
            time_seconds: Its time, from any steady origin.
        """
        if self._published is None or self._published.shape != luma.shape:
            self._begin(luma, time_seconds)
            return "start"
        verdict = self._verdict(luma, time_seconds)
        if verdict != "static":
            self._published, self._published_at = luma, time_seconds
        return verdict

    def owes_again(self, time_seconds: float) -> bool:
        """Return whether the last picture, which has not changed since, is to be published again.

        Only to keep alive: a hold is for what comes after a motion. It counts as published then.
        """
        due = self._is_due(time_seconds)
        if due:
            self._published_at = time_seconds
        return due

    def _is_due(self, time_seconds: float) -> bool:
        return time_seconds - self._published_at >= self._settings.keep_alive_seconds

    def _begin(self, luma: Luma, time_seconds: float) -> None:
        self._usual = cv2.createBackgroundSubtractorMOG2(
            varThreshold=_VARIANCES, detectShadows=False
        )
        self._usual.apply(luma, learningRate=1.0)
        self._jumps.begin(luma)
        self._published, self._frames = luma, 1
        self._published_at = self._seen_at = self._moved_at = time_seconds

    def _verdict(self, luma: Luma, time_seconds: float) -> Verdict:
        assert self._published is not None
        settings = self._settings
        passed, self._seen_at = max(0.0, time_seconds - self._seen_at), time_seconds
        self._frames += 1
        rate = max(passed / settings.learn_seconds, 1 / self._frames if self._frames < 10 else 0.0)
        even = exposed_as(luma, self._usual.getBackgroundImage())
        unusual = self._usual.apply(even, learningRate=min(rate, 1.0))
        self._jumps.add(even, passed)
        change = cv2.absdiff(exposed_as(luma, self._published), self._published)
        changed = change >= settings.threshold
        if self._is_large(changed & (unusual != 0)):
            self._moved_at = time_seconds
            return "motion"
        if time_seconds - self._moved_at < settings.hold_seconds:
            return "hold"
        # Once and without a hold: what has gone is not to be seen a second time.
        if self._is_large(changed & self._jumps.are_fewer_than(change)):
            return "motion"
        return "keep_alive" if self._is_due(time_seconds) else "static"

    def _is_large(self, changed: npt.NDArray[np.bool_]) -> bool:
        opened = cv2.morphologyEx(changed.view(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        return cv2.countNonZero(opened) >= max(1.0, self._settings.area * changed.size)


class _Jumps:
    """How far each pixel has jumped from frame to frame of late: squares, which fade.

    Args:
        seconds: How long of late is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._frames = 0.0

    def begin(self, luma: Luma) -> None:
        """Forget all pictures, and take the first."""
        self._before, self._frames = luma, 0.0
        self._squares = np.zeros(luma.shape, np.float32)

    def add(self, luma: Luma, passed_seconds: float) -> None:
        """Take the next picture, in the exposure of the one before."""
        fade = max(math.exp(-passed_seconds / self._seconds), 1 - 1 / _LATE_FRAMES)
        self._squares *= fade
        cv2.accumulateSquare(cv2.absdiff(luma, self._before), self._squares)
        self._before, self._frames = luma, self._frames * fade + 1

    def are_fewer_than(self, change: Luma) -> npt.NDArray[np.bool_]:
        """Return where a change is more than what a pixel does again and again, bool (H, W)."""
        # The first few frames tell as little of a pixel's noise as they are few.
        expected = self._squares * (max(1.0, _LATE_FRAMES / self._frames) / _JUMPS)
        squares = np.square(change, dtype=np.float32)
        return np.asarray(squares > expected)


def small(luma: Luma) -> Luma:
    """Return a picture's brightness in the size that gates look at, its noise averaged out."""
    height, width = luma.shape
    if width > 2 * WIDTH:
        step = width // (2 * WIDTH)
        luma = luma[::step, ::step]
    size = (min(WIDTH, width), max(1, round(height * min(WIDTH, width) / width)))
    shrunk = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(shrunk, (3, 3)), np.uint8)


def exposed_as(luma: Luma, reference: Luma) -> Luma:
    """Return a picture as it would be with the exposure of another.

    A gain and an offset for all pixels, fitted to those that differ least.
    """
    x = luma[::_FIT_PIXELS, ::_FIT_PIXELS].astype(np.float32).ravel()
    y = reference[::_FIT_PIXELS, ::_FIT_PIXELS].astype(np.float32).ravel()
    gain, offset = 1.0, float(np.median(y - x))
    for _ in range(2):
        rest = np.abs(gain * x + offset - y)
        kept = rest <= max(2.0, float(np.median(rest)) * 2)
        left, right = x[kept], y[kept]
        spread = float(left.var())
        if spread < 1.0:
            break
        gain = float(((left - left.mean()) * (right - right.mean())).mean() / spread)
        gain = min(max(gain, 1 / _MOST_GAIN), _MOST_GAIN)
        offset = float(right.mean() - gain * left.mean())
    return np.asarray(cv2.convertScaleAbs(luma, alpha=gain, beta=offset), np.uint8)
