"""When to keep a frame, when it was captured, when it is due and when to try again.

Pure functions of time: no clock is read here, every time comes in as an argument, in seconds.
"""

_LEAST_FPS = 0.00001
"""Lowest cap of frames a second: about one frame a day. The period of a lower one may be infinite,
after which no frame would be early."""

_RISE = 2e-2
"""How fast an anchor rises, in seconds per second: faster than cameras that stamp their nominal
frame rate stray from it (29.7 frames a second stamped as 30 are 1e-2), since what is taken for age
makes a live worker skip frames; a true backlog of two seconds counts as 1.4 after half a minute."""

_FARTHEST_BEHIND_SECONDS = 10.0
"""A live stream that seems farther behind does not have a backlog, but wrong time stamps."""

_RESTARTS = 3
"""Anchors that may turn out wrong in that way before a stream's time stamps are not used at all."""


class FrameCap:
    """Keeps at most ``fps`` frames a second of those that arrive, evenly spread.

    A frame may come half a period early, so that a camera whose frames jitter around the cap
    loses none; the schedule moves on by whole periods, so the average never exceeds the cap.

    Args:
        fps: Frames a second to keep; None keeps all.
    """

    def __init__(self, fps: float | None) -> None:
        self._period = None if fps is None else 1.0 / max(fps, _LEAST_FPS)
        self._due: float | None = None

    def admit(self, time_seconds: float) -> bool:
        """Return whether the frame of ``time_seconds`` (any steady origin) is kept."""
        if self._period is None:
            return True
        if self._due is None:
            self._due = time_seconds
        if time_seconds < self._due - self._period / 2:
            return False
        # After a pause the schedule begins anew: no burst to catch up.
        late = time_seconds > self._due + self._period
        self._due = (time_seconds if late else self._due) + self._period
        return True


class MediaClock:
    """Turns a stream's time stamps into times that always ascend.

    Streams lack time stamps (the first H.264 frame over RTSP), repeat them, or jump back.

    Args:
        fps: Nominal frame rate, the step where a time stamp is no use.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1.0 / fps
        self._shift = 0.0
        self._last: float | None = None

    def time(self, stamp_seconds: float | None) -> float:
        """Return the time of the next frame, in seconds, the first one at or near 0."""
        if self._last is None:
            self._shift = -(stamp_seconds or 0.0)
            self._last = 0.0
            return 0.0
        time = self._last + self._step if stamp_seconds is None else stamp_seconds + self._shift
        if time <= self._last:
            time = self._last + self._step
            if stamp_seconds is not None:
                self._shift = time - stamp_seconds
        self._last = time
        return time


class ArrivalAnchor:
    """Tells how long ago the frames of a live stream were captured.

    How long a frame travels is unknown, but not how much longer than another one of its stream: the
    frame with the smallest difference between arrival and time stamp is the anchor, taken as
    captured when it arrived, and what another's difference exceeds it by is that frame's age. So
    a backlog in the camera, the network or the decoder shows, and a constant delay does not. The
    anchor rises slowly, since two clocks never run alike.

    A frame whose time stamp says nothing (none, before the last one, far behind) was captured when
    it arrived, and the anchor is sought anew.
    """

    def __init__(self) -> None:
        self._stamp: float | None = None
        self._arrived = 0.0
        self._captured = 0.0
        self._anchor = 0.0
        self._restarts = 0

    def age_seconds(self, stamp_seconds: float | None, arrived_seconds: float) -> float:
        """Return the age of the frame that arrives now; arrival less age never descends.

        Args:
            stamp_seconds: The frame's time stamp, None where it has none.
            arrived_seconds: Monotonic time of its arrival.
        """
        if self._restarts >= _RESTARTS:
            return 0.0
        captured = arrived_seconds
        if stamp_seconds is not None:
            offset = arrived_seconds - stamp_seconds
            if self._stamp is None or stamp_seconds < self._stamp:
                self._anchor = offset
            else:
                risen = self._anchor + _RISE * (arrived_seconds - self._arrived)
                self._anchor = min(offset, risen)
            if offset - self._anchor > _FARTHEST_BEHIND_SECONDS:
                self._anchor = offset
                self._restarts += 1
            captured = min(max(stamp_seconds + self._anchor, self._captured), arrived_seconds)
        self._stamp, self._arrived, self._captured = stamp_seconds, arrived_seconds, captured
        return arrived_seconds - captured


class CaptureClock:
    """Turns ages into times of the wall clock, which may be set while a session lasts."""

    def __init__(self) -> None:
        self._latest = 0.0

    def time(self, age_seconds: float, wall_seconds: float) -> float:
        """Return when a frame was captured: never in the future, nor before the frame before it.

        Args:
            age_seconds: How long ago that was, at least 0.
            wall_seconds: The time now. Where it lies before the last frame the clock was set back,
                and the times go back with it.
        """
        captured = wall_seconds - age_seconds
        if captured < self._latest <= wall_seconds:
            captured = self._latest
        self._latest = captured
        return captured


class Schedule:
    """Real-time pacing of a file: when each frame is due.

    Args:
        slack_seconds: Being later than this (a full buffer, a slow disk) moves the schedule
            instead of playing faster to catch up.
        longest_seconds: A longer wait (a gap in the time stamps: joined recordings, a damaged
            file) is cut to this and moves the schedule as well.
    """

    def __init__(self, slack_seconds: float = 0.5, longest_seconds: float = 10.0) -> None:
        self._slack = slack_seconds
        self._longest = longest_seconds
        self._anchor: float | None = None

    def wait_seconds(self, media_seconds: float, now_seconds: float) -> float:
        """Return how long to wait at ``now_seconds`` before the frame of ``media_seconds``."""
        if self._anchor is None:
            self._anchor = now_seconds - media_seconds
        wait = self._anchor + media_seconds - now_seconds
        if wait < -self._slack:
            self._anchor -= wait
        if wait > self._longest:
            self._anchor -= wait - self._longest
        return min(max(wait, 0.0), self._longest)

    def late_seconds(self, media_seconds: float, now_seconds: float) -> float:
        """Return for how long the frame of ``media_seconds`` has been due at ``now_seconds``."""
        return max(now_seconds - media_seconds - (self._anchor or 0.0), 0.0)


def backoff_seconds(failures: int, initial: float, ceiling: float, draw: float) -> float:
    """Return how long to wait before the next try: exponential backoff with full jitter.

    Many cameras that were lost together (a switch, a site) must not all come back together.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        failures: Tries that failed in a row, at least 1.
        initial: Upper bound of the first wait, in seconds.
        ceiling: Upper bound of every wait, in seconds.
        draw: A uniform random number, 0 <= draw < 1.
    """
    # The exponent is bounded first: 2.0 ** 1100 overflows after a night without the camera.
    return draw * min(ceiling, initial * 2.0 ** min(failures - 1, 60))
