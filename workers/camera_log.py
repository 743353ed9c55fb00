"""Warnings about cameras: at most one a minute of each kind, whatever the frame rate."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 60.0
_MOST_REMEMBERED = 2000


class CameraLog:
    """Warns of what is wrong with cameras; used by one thread.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._warned: dict[tuple[str, str], float] = {}

    def warn(self, camera: str, kind: str, message: str) -> None:
        """Log a warning, unless this camera had one of this kind within the last minute.

        Args:
            camera: Camera id.
            kind: Stable word.
            message: What was seen and what it means.
        """
        now, key = self._clock(), (camera, kind)
        if now - self._warned.get(key, -_PAUSE_SECONDS) < _PAUSE_SECONDS:
            return
        if len(self._warned) >= _MOST_REMEMBERED:
            self._warned.clear()
        self._warned[key] = now
        log.warning("camera %s: %s", camera, message)
