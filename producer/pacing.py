"""When to keep a frame, when to show it and when to try again: pure functions of time.

No clock is read here; every time comes in as an argument, in seconds.
"""


class FrameCap:
    """Keeps at most ``fps`` frames a second of those that arrive, evenly spread.

    A frame may come half a period early, so that a camera whose frames jitter around the cap
    loses none; the schedule moves on by whole periods, so the average never exceeds the cap.

    Args:
        fps: Frames a second to keep; None keeps all.
    """

    def __init__(self, fps: float | None) -> None:
        self._period = None if fps is None else 1.0 / fps
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
