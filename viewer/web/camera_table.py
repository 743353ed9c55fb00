"""What is known of each camera: whether it is live, when it was last seen, how fast. Pure."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["live", "offline", "waiting"]

OFFLINE_SECONDS = 2.5
"""A camera is told to be offline no later than 3 s after its last result: the rest of the 3 s is
for looking and telling."""

_OFFLINE_INTERVALS = 2.5
_GONE_SECONDS = 60.0
"""A camera that Redis has forgotten stays in the table so long: an empty Redis fills again."""

_RATE_SECONDS = 5.0
_ARRIVALS = 128
_WHOLE_SECONDS = 1.0
"""Redis tells when a camera was seen in whole seconds."""


@dataclass
class Camera:
    """One camera; moments are monotonic seconds.

    Attributes:
        seen: When its newest result was stored, as far as is known.
        interval: Seconds between two results, as far as is known.
        state: What is told of it.
        listed: When Redis last listed it.
        has_picture: Whether a picture of it was ever read.
    """

    seen: float
    interval: float | None = None
    state: State = "live"
    listed: float = 0.0
    has_picture: bool = False
    arrivals: "deque[float]" = field(default_factory=lambda: deque(maxlen=_ARRIVALS))
    changed: int = 0

    def fps(self, now: float) -> float | None:
        """Return announced results a second, over the last seconds; None where too few came."""
        while self.arrivals and now - self.arrivals[0] > _RATE_SECONDS:
            self.arrivals.popleft()
        if len(self.arrivals) < 2:
            return None
        span = self.arrivals[-1] - self.arrivals[0]
        quiet = now - self.arrivals[-1]
        mean = max(span / (len(self.arrivals) - 1), 1e-3)
        # A gap that is longer than usual counts, else the rate would stay when nothing comes.
        return len(self.arrivals) / (now - self.arrivals[0]) if quiet > 2 * mean else 1 / mean

    @property
    def offline_after(self) -> float:
        """How old the newest result of a camera may become until it counts as offline, seconds."""
        return max(OFFLINE_SECONDS, _OFFLINE_INTERVALS * (self.interval or 0.0))


@dataclass
class CameraTable:
    """All cameras, and what of them has changed since when.

    Attributes:
        version: Counts the changes.
        cameras: By id.
        gone: Id of each camera that was removed -> the version since which it is gone.
    """

    version: int = 1
    cameras: dict[str, Camera] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def listed(self, ages: Mapping[str, float], now: float, watched: Collection[str]) -> bool:
        """Take what Redis lists, and return whether the state of a camera has changed.

        Args:
            ages: Camera -> seconds since its newest result, in whole seconds.
            now: Monotonic seconds.
            watched: Cameras that are watched.
        """
        for name, age in ages.items():
            seen = now - max(0.0, age)
            camera = self.cameras.get(name)
            if camera is None:
                self.gone.pop(name, None)
                camera = self.cameras[name] = Camera(seen, changed=self.version)
            step = seen - camera.seen
            if step > _WHOLE_SECONDS / 2:
                # Steps of a second may hide many results: only longer ones tell an interval.
                if name not in watched:
                    camera.interval = step if step > 1.5 * _WHOLE_SECONDS else None
                camera.seen = seen
            camera.listed = now
        for name in [n for n, each in self.cameras.items() if now - each.listed > _GONE_SECONDS]:
            del self.cameras[name]
            self.gone[name] = self.version
        if len(self.gone) > len(self.cameras) + 1000:
            self.gone.clear()
        return self.judge(self.cameras, now, watched)

    def announced(self, name: str, moments: Iterable[float]) -> None:
        """Take when results of a watched camera were announced."""
        camera = self.cameras.get(name)
        if camera is None:
            return
        for moment in moments:
            if camera.arrivals and moment - camera.arrivals[-1] < 60.0:
                step = moment - camera.arrivals[-1]
                before = step if camera.interval is None else camera.interval
                camera.interval = before + 0.2 * (step - before)
            camera.arrivals.append(moment)
            camera.seen = max(camera.seen, moment)

    def pictured(self, name: str) -> None:
        """Note that a picture of a camera was read."""
        if (camera := self.cameras.get(name)) is not None:
            camera.has_picture = True

    def judge(self, names: Iterable[str], now: float, watched: Collection[str]) -> bool:
        """Tell anew whether cameras are live; return whether the state of one has changed."""
        any_changed = False
        for name in names:
            camera = self.cameras.get(name)
            if camera is None:
                continue
            state: State = "live"
            if now - camera.seen > camera.offline_after:
                state = "offline"
            elif name in watched and not camera.has_picture:
                state = "waiting"
            if state != camera.state:
                camera.state, camera.changed, any_changed = state, self.version, True
        return any_changed

    def touch(self, names: Iterable[str]) -> None:
        """Note that what is told of watched cameras has changed: age and rate always do."""
        for name in names:
            if (camera := self.cameras.get(name)) is not None:
                camera.changed = self.version
