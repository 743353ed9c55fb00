"""What becomes of a camera's frame: counted, dropped for a reason, or encoded and handed over."""

from dataclasses import dataclass, field
from datetime import datetime
from logging import getLogger
from typing import Any

from contract.frame import JPEG, Frame
from producer.camera_pictures import Damage, Picture
from producer.cameras import Camera
from producer.encoding import PictureEncoder, luma_of
from producer.frame_traces import FrameTraces
from producer.jpeg_streams import PictureDecoder
from producer.metrics import DropReason, ProducerMetrics
from producer.motion_gate import MotionGate, small
from producer.outbox import Outbox
from producer.pacing import ArrivalAnchor, CaptureClock, FrameCap, MediaClock, Schedule
from producer.record_limit import RecordLimit, record_bytes

log = getLogger("seedstream.producer.camera")

_DAMAGE: dict[Damage, str] = {
    "cut": "its data ends too early",
    "corrupt": "the decoder marks it as corrupt",
}


@dataclass
class Session:
    """One connection: its id, its clocks, and how many frames it has given.

    Attributes:
        id: Of the session; another one when the camera moves to another partition meanwhile.
        live: Whether the camera goes on by itself.
        waits: Whether a full buffer stops it instead of costing its oldest frame.
        cap: Keeps to the camera's frame rate.
        media: Tells a frame's place in a recording.
        gate: Leaves out frames in which nothing moves; None where the camera has none.
        frames: Frames that have come.
        first: Frames that came before the session of this id.
        damaged: Those of them that are damaged.
    """

    id: str
    live: bool
    waits: bool
    cap: FrameCap
    media: MediaClock
    gate: MotionGate | None = None
    schedule: Schedule = field(default_factory=Schedule)
    anchor: ArrivalAnchor = field(default_factory=ArrivalAnchor)
    capture: CaptureClock = field(default_factory=CaptureClock)
    frames: int = 0
    first: int = 0
    damaged: int = 0

    @property
    def sequence(self) -> int:
        """Number of the next frame in the session."""
        return self.frames - self.first


class FrameIntake:
    """Takes the frames of one camera, in order.

    Args:
        camera: Which one.
        outbox: Where frames go.
        metrics: Where they are counted.
        max_frame_pixels: Largest frame that is published; larger ones are scaled down.
        traces: Follows a share of the frames; None follows none.
        limit: The largest record: what came as JPEG and exceeds it is encoded anew. None knows
            none.
    """

    def __init__(
        self,
        camera: Camera,
        outbox: Outbox,
        metrics: ProducerMetrics,
        max_frame_pixels: int,
        traces: FrameTraces | None = None,
        limit: RecordLimit | None = None,
    ) -> None:
        self._camera = camera
        self._outbox = outbox
        self._metrics = metrics
        self._traces = traces
        self._limit = limit
        self._encoder = PictureEncoder(camera, max_frame_pixels)
        self._decoder: PictureDecoder | None = None

    def take(
        self,
        picture: Picture,
        session: Session,
        captured_at: datetime,
        *,
        keep: bool,
        at_seconds: float,
    ) -> None:
        """Count a frame and hand it over, unless there is a reason to drop it.

        Args:
            picture: The frame.
            session: The connection that it came by.
            captured_at: Its capture time.
            keep: Whether it is within the camera's frame cap.
            at_seconds: Its time for the motion gate, from any steady origin.

        Raises:
            SourceError: It cannot be encoded.
        """
        camera = self._camera.id
        reason = self._reason(picture, session, keep, at_seconds)
        traced = self._traces if reason is None else None
        trace = None if traced is None else traced.begin(captured_at)
        encoded = None if reason else self._encoded(picture)
        self._metrics.capture(camera)
        if reason is not None:
            self._metrics.drop(camera, reason)
        if encoded is None:
            return
        data, width, height, content_type = encoded
        frame = Frame(
            camera=camera,
            session=session.id,
            sequence=session.sequence,
            captured_at=captured_at,
            width=width,
            height=height,
            data=data,
            content_type=content_type,
            traceparent=None if traced is None else traced.follow(trace),
        )
        self._outbox.put(frame, self._camera.buffer_frames, wait=session.waits)

    def _reason(
        self, picture: Picture, session: Session, keep: bool, at_seconds: float
    ) -> DropReason | None:
        """Return why a frame is not published, None if it is."""
        if picture.damage is not None:
            self._note_damage(picture.damage, session)
            if self._camera.drop_corrupt:
                return "damaged"
        if not keep:
            return "fps_cap"
        if session.gate is None:
            return None
        if picture.again:
            return None if session.gate.owes_again(at_seconds) else "static"
        luma = luma_of(picture.image) if picture.jpeg is None else picture.jpeg.luma
        if luma is None or session.gate.judge(small(luma), at_seconds) != "static":
            return None
        return "static"

    def _encoded(self, picture: Picture) -> tuple[bytes, int, int, str]:
        """Return what to publish: data, width, height and type."""
        jpeg = picture.jpeg
        image = picture.image if jpeg is None else self._decoded(jpeg.data)
        if jpeg is not None and image is None:
            return jpeg.data, jpeg.width, jpeg.height, JPEG
        data, width, height = self._encoder.encode(image, picture.pixel_aspect)
        return data, width, height, self._encoder.content_type

    def _decoded(self, data: bytes) -> Any:
        """Return the ``av.VideoFrame`` of a JPEG that no record takes; None if one does.

        Also None if it does not decode: it is too large for a record, and dropped as such.
        """
        if self._limit is None or self._limit.fits(record_bytes(data)):
            return None
        if self._decoder is None:
            self._decoder = PictureDecoder("mjpeg")
            log.warning(
                "camera %s: a picture of %d bytes is too large for a record as it came: such "
                "pictures are decoded and encoded anew (jpeg_quality %d), which costs processor "
                "time; set the camera to a lower quality, or raise PRODUCER_MAX_RECORD_BYTES and "
                "the topic's max.message.bytes",
                *(self._camera.id, len(data), self._camera.jpeg_quality),
            )
        return self._decoder.decode(data)

    def _note_damage(self, damage: Damage, session: Session) -> None:
        """Count a damaged frame; log the first of a session."""
        self._metrics.damaged.labels(self._camera.id, damage).inc()
        session.damaged += 1
        if session.damaged == 1:
            log.warning(
                "camera %s: frame %d is damaged (%s): damaged frames are counted and %s",
                self._camera.id,
                session.sequence,
                _DAMAGE[damage],
                "dropped, unless drop_corrupt is false"
                if self._camera.drop_corrupt
                else "published",
            )
