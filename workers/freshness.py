"""When a frame is too old, and when a newer one takes its place. Pure; the one place that says so.

``complete`` mode drops nothing. In ``live`` mode a frame leaves the line for one of two reasons,
both counted in ``seedstream_frames_skipped_total`` and committed past:

- ``too_old``: its age exceeds ``max_age_seconds``. Asked when it is read, before it is decoded, and
  when the network takes it.
- ``superseded``: a newer frame of its camera waits, and either its age exceeds
  ``old_after_seconds`` (asked when its turn to be decoded comes, and when the network takes it), or
  the newcomer finds no room and pushes out the oldest frame of the camera that holds the most.

Once the network has begun a frame, it is stored however old it becomes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from contract.frame import Frame
from workers.records import Job, Record

TOO_OLD = "too_old"
SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The bounds on a frame's age; their meaning is that of the settings of the same name.

    Attributes:
        max_age_seconds: None in ``complete`` mode.
        old_after_seconds: None in ``complete`` mode.
        wall_clock: Seconds since 1970.
    """

    max_age_seconds: float | None = None
    old_after_seconds: float | None = None
    wall_clock: Callable[[], float] = time.time

    @property
    def live(self) -> bool:
        """Whether frames may be dropped at all."""
        return self.max_age_seconds is not None

    def age_seconds(self, reference_seconds: float) -> float:
        """Return the age of what counts from ``reference_seconds`` since 1970."""
        return self.wall_clock() - reference_seconds

    def too_old(self, reference_seconds: float) -> bool:
        """Return whether a frame has lost its value, whatever comes after it."""
        limit = self.max_age_seconds
        return limit is not None and self.age_seconds(reference_seconds) > limit

    def gives_way(self, job: Job) -> bool:
        """Return whether a frame is superseded where a newer one of its camera waits."""
        limit = self.old_after_seconds
        return limit is not None and self.age_seconds(job.reference_seconds) > limit


def reference_seconds(frame: Frame, record: Record) -> float:
    """Return the time that a frame's age counts from, seconds since 1970.

    It is the capture time; but a capture time after the record's own time stamp is a clock that
    runs ahead (nothing is sent before it is captured), and such a frame would never grow old. One
    that lies in the worker's future by both is as good as new.
    """
    captured = frame.captured_at.timestamp()
    sent = record.timestamp_seconds
    return captured if sent is None else min(captured, sent)
