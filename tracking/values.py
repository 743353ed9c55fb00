"""What goes in and out of the tracker besides observations. Pure."""

from typing import NamedTuple


class Moment(NamedTuple):
    """Which frame of a camera this is.

    Attributes:
        captured_at: Capture time, seconds since 1970 (or since a video's start).
        session: Session id; another one than before means that the camera was connected anew.
    """

    captured_at: float
    session: str = ""


class Identity(NamedTuple):
    """Who an instance is.

    Attributes:
        track: Number of the object, never used again for this camera.
        age_seconds: Seconds since the object was first seen.
        velocity: [x, y] in pixels of the captured frame a second.
        confirmed: Whether the object was seen often enough not to be a false find.
    """

    track: int
    age_seconds: float
    velocity: tuple[float, float]
    confirmed: bool
