"""What goes in and out of the tracker besides observations. Pure."""

from typing import NamedTuple

from segmentation.instances import Identity

__all__ = ["Identity", "Moment"]


class Moment(NamedTuple):
    """Which frame of a camera this is.

    Attributes:
        captured_at: Capture time, seconds since 1970 (or since a video's start).
        session: Session id; another one than before means that the camera was connected anew.
    """

    captured_at: float
    session: str = ""
