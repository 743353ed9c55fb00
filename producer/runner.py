"""One camera's life: open, read, pace, encode, hand over; lose, wait, open again.

Its thread holds a lease on the camera, which the watchdog revokes when it hangs.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from logging import getLogger
from typing import Literal

from contract.frame import MAX_FRAME_PIXELS, new_session, session_start_ms
from producer.camera_pictures import DEFAULT_FPS, Pause, Picture, Source, SourceError
from producer.cameras import Camera
from producer.frame_intake import FrameIntake, Session
from producer.frame_traces import FrameTraces
from producer.lease import Clock, Lease, LeaseRevokedError
from producer.metrics import ProducerMetrics
from producer.motion_gate import MotionGate
from producer.outbox import Outbox
from producer.pacing import (
    FrameCap,
    MediaClock,
    backoff_seconds,
)
from producer.record_limit import RecordLimit
from producer.sources import open_source

log = getLogger("seedstream.producer.camera")

State = Literal["running", "done", "failed"]
OpenSource = Callable[[Camera, Callable[[], None]], Source]

_GRACE_SECONDS = 1.0
"""FFmpeg gives up by itself at the limit; the watchdog takes over this much later."""

_CLOSE_SECONDS = 5.0
"""How long FFmpeg may take to say goodbye."""

_FILE_ATTEMPTS = 3
"""How often a file that cannot be read is tried before its camera counts as failed."""

_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 30.0
"""Upper bounds of the random wait before a lost camera is opened again: the first, and of all."""


def _backoff(failures: int) -> float:
    return backoff_seconds(
        failures, _FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS, random.random()
    )


class CameraRunner:
    """Reads one camera in a thread of its own until it is done, stopped or given up.

    State is changed only by the thread whose lease holds, so a hung thread that comes back after
    its replacement changes nothing. What the end of a stream means is decided before the stream is
    closed: closing may hang, and must not cost what is known by then.

    Args:
        camera: Which one.
        outbox: Where frames go.
        metrics: Where they are counted.
        clock: Monotonic clock.
        stop: Set when the camera is to end: with the process, or because it left the list.
        max_frames: Decoded frames after which the camera is done; None for no end.
        backoff: Returns how long to wait before the next attempt, in seconds, after a number of
            failures in a row.
        open_source: Opens sources.
        wall_clock: Seconds since 1970, for the times of capture.
        max_frame_pixels: Largest frame that is published; larger ones are scaled down.
        traces: Follows a share of the frames; None follows none.
        limit: The largest record, for pictures that are published as they come; None knows none.
    """

    def __init__(
        self,
        camera: Camera,
        outbox: Outbox,
        metrics: ProducerMetrics,
        clock: Clock,
        stop: threading.Event,
        max_frames: int | None = None,
        backoff: Callable[[int], float] = _backoff,
        open_source: OpenSource = open_source,
        wall_clock: Clock = time.time,
        max_frame_pixels: int = MAX_FRAME_PIXELS,
        traces: FrameTraces | None = None,
        limit: RecordLimit | None = None,
    ) -> None:
        self.camera = camera
        self.state: State = "running"
        self.attempted = False
        """Whether it has been tried to open the camera at least once."""
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self._max_frames = max_frames
        self._backoff = backoff
        self._open_source = open_source
        self._wall_clock = wall_clock
        self._intake = FrameIntake(camera, outbox, metrics, max_frame_pixels, traces, limit)
        self._live = camera.live
        """As far as is known before the source has been opened."""
        self._captured = 0
        self._failures = 0
        self._not_before_ms = 0
        self._left_session: str | None = None
        self._began: float | None = None
        # A camera that is published when something moves owes no frames.
        self._owed_fps = camera.fps if camera.motion is None else None
        metrics.add_camera(camera.id, self._owed_fps)

    def run(self, lease: Lease) -> None:
        """Read the camera; the target of its thread."""
        try:
            while self.state == "running" and not self._stop.is_set():
                lease.enter("wait")
                if self._failures and self._stop.wait(self._backoff(self._failures)):
                    return
                self._attempt(lease)
        except LeaseRevokedError:
            log.info("camera %s: a hung thread has returned and ends", self.camera.id)

    def lose(self, what: str) -> None:
        """Note that the camera is lost; the next attempt waits. Called by the thread in charge."""
        self._metrics.up.labels(self.camera.id).set(0)
        self.attempted = True
        # A connection that held for a while was sound: begin with short waits again. Not so a
        # recording, which may be as long as it likes and still breaks at the same place each time.
        began, self._began = self._began, None
        lasted = began is not None and self._clock() - began > _LONGEST_BACKOFF_SECONDS
        if self._live and lasted:
            self._failures = 0
        self._failures += 1
        final = not self._live and self._failures >= _FILE_ATTEMPTS
        if final:
            self.state = "failed"
        log.warning(
            "camera %s: %s: %s; %s",
            self.camera.id,
            self.camera.address,
            what,
            "given up" if final else f"failure {self._failures}, trying again",
        )

    def stop(self) -> None:
        """End: no further frame is delivered. Its thread goes as soon as FFmpeg lets it."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the camera was told to end."""
        return self._stop.is_set()

    def leave(self, session: str) -> None:
        """Go on in a new session without another connection, if this one still goes on.

        Called by any thread, also twice: with its next session the camera goes to its partition.
        """
        self._left_session = session

    def _new_session(self) -> str:
        session = new_session(self._not_before_ms)
        self._not_before_ms = session_start_ms(session) + 1
        return session

    def _attempt(self, lease: Lease) -> None:
        """Open the camera and read it to its end."""
        if self._failures:
            self._metrics.reconnects.labels(self.camera.id).inc()
        session = self._new_session()
        lease.enter("open", self.camera.open_timeout_seconds + _GRACE_SECONDS)
        try:
            source = self._open_source(self.camera, self._count_bad_packet)
        except SourceError as error:
            lease.enter("wait")
            self.lose(str(error))
            return
        try:
            self._read_to_the_end(lease, session, source)
        finally:
            # Also after an error or when given up: a camera may allow only one connection.
            with suppress(LeaseRevokedError):
                lease.enter("close", _CLOSE_SECONDS)
            source.close()

    def _read_to_the_end(self, lease: Lease, id: str, source: Source) -> None:
        lease.enter("first frame", self.camera.first_frame_timeout_seconds + _GRACE_SECONDS)
        self.attempted = True
        self._live = source.live
        if self._owed_fps is not None:
            self._announce_fps(self._owed_fps, source.fps)
        session = Session(
            id,
            source.live,
            self._waits(source),
            FrameCap(self.camera.fps),
            MediaClock(source.fps or DEFAULT_FPS),
            None if self.camera.motion is None else MotionGate(self.camera.motion),
        )
        try:
            self._read(lease, session, source)
        except SourceError as error:
            lease.enter("wait")
            self.lose(str(error))
        else:
            lease.enter("wait")
            self._end(session, source)

    def _waits(self, source: Source) -> bool:
        """Return whether a full buffer stops the source: of HTTP, where that is a recording."""
        if self.camera.kind == "http" and self.camera.when_full is None:
            return not source.live
        return self.camera.waits

    def _announce_fps(self, cap: float, nominal: float | None) -> None:
        """Say how many frames a second are owed; a slower camera cannot give what the cap allows.

        A picture that is published when it changes owes none.
        """
        if nominal is None:
            self._metrics.fps_target.remove_by_labels({"camera": self.camera.id})
        else:
            self._metrics.fps_target.labels(self.camera.id).set(min(cap, nominal))

    def _end(self, session: Session, source: Source) -> None:
        """Decide what the end of the stream means."""
        count = session.frames
        if self._stop.is_set():
            return  # it is our end, and not the stream's
        if self._captured == self._max_frames:
            self._finish("all requested frames have been read")
        elif session.live:
            self.lose("the stream ended")
        elif count == 0:
            self.lose("it contains no frame")
        elif shortfall := source.shortfall():
            self._end_short(f"it ended too early: {shortfall}")
        elif self.camera.loop:
            self._failures = 0
        else:
            damaged = f", {session.damaged} of them damaged" if session.damaged else ""
            self._finish(f"the end, after {count} frames{damaged}")

    def _end_short(self, what: str) -> None:
        """Note that a file has fewer frames than it announces: reading it again gives no more."""
        if self.camera.kind == "http":
            self.lose(what)  # the connection may have been lost
            return
        log.warning("camera %s: %s: %s", self.camera.id, self.camera.address, what)
        if self.camera.loop:
            self._failures = 0
        else:
            self._metrics.finish(self.camera.id)
            self.state = "failed"

    def _finish(self, what: str) -> None:
        self._metrics.finish(self.camera.id)
        self.state = "done"
        log.info("camera %s: %s", self.camera.id, what)

    def _read(self, lease: Lease, session: Session, source: Source) -> None:
        """Read one connection to its end."""
        stall = self.camera.stall_timeout_seconds + _GRACE_SECONDS
        with closing(source.pictures()) as pictures:
            for picture in pictures:
                if isinstance(picture, Pause):
                    lease.enter("wait")
                    if self._stop.wait(picture.seconds):
                        break
                    lease.enter("next frame", stall)
                    continue
                lease.enter("deliver")
                if session.frames == 0:
                    self._connected(session)
                elif session.id == self._left_session:
                    session.id, session.first = self._new_session(), session.frames
                    log.info("camera %s: goes on as session %s", self.camera.id, session.id)
                if not self._take(picture, session):
                    break
                session.frames += 1
                if self._captured == self._max_frames:
                    break  # still delivering: the watchdog cannot have the camera opened once more
                lease.enter("next frame", stall)

    def _connected(self, session: Session) -> None:
        self._began = self._clock()
        self._metrics.up.labels(self.camera.id).set(1)
        log.info("camera %s: %s: session %s", self.camera.id, self.camera.address, session.id)

    def _take(self, picture: Picture, session: Session) -> bool:
        """Deliver a frame when it is due; return False if the process ends meanwhile."""
        if session.live:
            time = self._clock()
            age = session.anchor.age_seconds(picture.stamp_seconds, time)
        else:
            time, age = session.media.time(picture.stamp_seconds), 0.0
            if self.camera.pace == "realtime":
                self._stop.wait(session.schedule.wait_seconds(time, self._clock()))
                age = session.schedule.late_seconds(time, self._clock())
        keep = session.cap.admit(time)
        if self._stop.is_set():
            return False
        captured = session.capture.time(age, self._wall_clock())
        moment = datetime.fromtimestamp(captured, UTC)
        self._intake.take(picture, session, moment, keep=keep, at_seconds=time)
        self._captured += 1
        return True

    def _count_bad_packet(self) -> None:
        if self._stop.is_set():
            return  # a thread that hung, maybe: nothing is counted of a camera that has left
        self._metrics.decode_errors.labels(self.camera.id).inc()
