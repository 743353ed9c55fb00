"""The one thread that hands frames to Kafka, and the account of what is under way."""

import threading
from collections.abc import Callable
from logging import getLogger

from contract.errors import ConfigurationError, UnavailableError
from contract.frame import Frame
from contract.log_limit import LogLimit
from producer.frame_endings import FrameEndings
from producer.held_cameras import HeldCameras
from producer.lease import Clock
from producer.metrics import DropReason, ProducerMetrics
from producer.outbox import Outbox
from producer.pending_send import PendingSend
from producer.record_limit import RecordLimit
from producer.sender import Failure, Sender
from producer.settings import ProducerSettings
from servers.refusals import PASSING_SECONDS, Hearing

log = getLogger("seedstream.producer.publisher")

_TICK_SECONDS = 0.1
_DOUBT_SECONDS = 5.0
"""After so long without an acknowledgement, and again, Kafka is asked whether it lets us in."""

_HANDOVER_SECONDS = 1.0
"""How long the thread may take to notice the end, unless it is held up inside the client."""


class Publisher:
    """Takes frames from the outbox and sends them, a bounded number and amount at a time.

    Every frame is settled exactly once: published if Kafka acknowledged it, through whichever
    client, else dropped with a reason. A fatal error of the client replaces it and sends again what
    was under way, in order, each frame once at most. One record that a broker finds too large ends
    the client as well; that is not held against the other frames or the client, and records of that
    size are not sent any more.

    Args:
        settings: Bounds and timeouts.
        outbox: Where frames come from.
        connect: Makes a sender; called again after a fatal error.
        metrics: Where the outcome is counted.
        clock: Monotonic clock.
        restarts: Replacements of the client without a frame getting through before Kafka is given
            up.
        find_refusal: Asks why Kafka, which acknowledges nothing, does not let us in; None if it is
            away.
        endings: Ends the frames; their trace as well.
        pause: Waits so many seconds; ended by a request to stop unless set.
        limit: The largest record; that of the settings unless set.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        outbox: Outbox,
        connect: Callable[[], Sender],
        metrics: ProducerMetrics,
        clock: Clock,
        restarts: int = 5,
        find_refusal: Callable[[], ConfigurationError | None] = lambda: None,
        pause: Callable[[float], object] | None = None,
        endings: FrameEndings | None = None,
        limit: RecordLimit | None = None,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._connect = connect
        self._metrics = metrics
        self._endings = endings or FrameEndings(metrics)
        self._clock = clock
        self._most_restarts = restarts
        self._find_refusal = find_refusal
        self._doubted_at = clock()
        self._settled = threading.Condition()
        self._under_way: dict[PendingSend, None] = {}  # in the order of sending
        self._bytes = 0
        self._client = 0  # number of the client; failures of earlier ones are void
        self._broken: str | None = None
        self._oversized = False  # a too large record is what broke the client
        self._failing = False  # trouble within a broker is
        self._limit = limit or RecordLimit(settings.topic, settings.max_record_bytes)
        self._unsent_warnings = LogLimit(clock=clock)
        self._refused: str | None = None
        self._hearing = Hearing(clock)
        self._restarts = 0
        self._held = HeldCameras(clock)
        self._ended = False
        # When Kafka last acknowledged a frame, moved on by every time in which it was not asked to.
        self._last_progress = self._idle_since = clock()
        self._stopping = threading.Event()
        self._pause = pause or self._stopping.wait
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._sender: Sender | None = None
        metrics.sends_in_flight.set_function(lambda: len(self._under_way))
        metrics.sends_in_flight_bytes.set_function(lambda: self._bytes)
        self.heartbeat = clock()
        """When the thread last turned, in seconds of the monotonic clock."""
        self.error: UnavailableError | ConfigurationError | None = None
        """Why the thread ended by itself."""

    @property
    def waiting_seconds(self) -> float:
        """How long Kafka has acknowledged nothing of what it was given, in seconds."""
        with self._settled:
            return self._clock() - self._last_progress if self._under_way else 0.0

    def start(self, sender: Sender) -> None:
        """Begin to publish through ``sender``."""
        self._sender = sender
        self._last_progress = self._idle_since = self._clock()
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Publish what is in the outbox, at most for about ``timeout_seconds``, and end.

        Frames that are not acknowledged by then, when the client is closed, count as dropped by the
        shutdown.

        Returns:
            Whether the shutdown has cost no frame.
        """
        deadline = self._clock() + timeout_seconds
        self._stopping.set()
        self._outbox.close()
        self._thread.join(timeout_seconds)
        with self._settled:
            self._settled.wait_for(
                lambda: not self._under_way or self.error is not None,
                max(0.0, deadline - self._clock()),
            )
            self._ended = True
        if self._sender is not None:
            self._sender.close(0.0 if self._under_way else 1.0)  # the last answers come with it
        self._thread.join(_HANDOVER_SECONDS)
        reason: DropReason = "shutdown" if self.error is None else "send_failed"
        with self._settled:
            left = list(self._under_way)
        lost = sum(self._settle(send, reason) for send in left)
        return lost + self._outbox.discard() == 0

    def _run(self) -> None:
        try:
            while not (self._ended or (self._stopping.is_set() and self._outbox.empty)):
                self._turn()
        except (UnavailableError, ConfigurationError) as error:
            self.error = error
            self._outbox.close()

    def _turn(self) -> None:
        self.heartbeat = self._clock()
        self._check()
        if not self._room(_TICK_SECONDS):
            return
        frame = self._outbox.take(_TICK_SECONDS)
        if frame is not None:
            self._publish(frame)

    def _check(self) -> None:
        """Replace a broken client; give up on one that is refused or gets nothing through."""
        if self._refused is not None:
            self._bear_refusal(self._refused)
        if self._broken is not None:
            self._replace(self._broken)
        waiting = self.waiting_seconds
        if waiting > _DOUBT_SECONDS and self._clock() - self._doubted_at > _DOUBT_SECONDS:
            refusal = self._find_refusal()
            self._doubted_at = self._clock()
            if refusal is not None:
                raise refusal
        if waiting > self._settings.delivery_timeout_seconds:
            raise UnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} acknowledged nothing for "
                f"{waiting:.0f} s"
            )

    def _bear_refusal(self, text: str) -> None:
        """Replace a client that was refused: rights may be changed at this very moment.

        Raises:
            ConfigurationError: It is not the first time, and no frame has got through since.
        """
        settings = self._settings
        if self._hearing.counts(may_pass=True):
            user = settings.sasl_username or "ANONYMOUS, or that of the client certificate"
            # A login that is refused ends a client as a right that is missing does.
            raise self._find_refusal() or ConfigurationError(
                f"Kafka at {settings.bootstrap_servers} does not accept our frames: rights: "
                f"{text}; grant WRITE on the topic {settings.topic!r} to user {user}"
            )
        self._pause(PASSING_SECONDS)
        with self._settled:
            self._refused = None
            self._broken = self._broken or text

    def _room(self, timeout_seconds: float) -> bool:
        """Wait until another record may be under way."""
        settings = self._settings
        with self._settled:
            return self._settled.wait_for(
                lambda: (
                    len(self._under_way) < settings.sends_in_flight
                    and self._bytes < settings.sends_in_flight_bytes
                    and self._broken is None
                    and self._refused is None
                ),
                timeout_seconds,
            )

    def _publish(self, frame: Frame) -> None:
        send = PendingSend(frame)
        if not self._limit.fits(send.size):
            self._limit.report(frame.camera, send.size)
            self._endings.drop(frame, "too_large")
            return
        if frame.camera in self._held:
            self._endings.drop(frame, "send_failed")
            return
        self._metrics.frame_bytes.observe(len(frame.data))
        self._endings.begin_to_send(frame)
        with self._settled:
            ended = self._ended
            if not ended:
                if not self._under_way:
                    self._last_progress += self._clock() - self._idle_since
                self._under_way[send] = None
                self._bytes += send.size
        if ended:
            self._outbox.refuse(frame)
            return
        self._offer(send)

    def _offer(self, send: PendingSend) -> None:
        """Offer a record to the client until it is taken, Kafka is given up or the end comes."""
        client = self._client

        def on_done(failure: Failure | None, text: str) -> None:
            if failure is None:
                self._on_acknowledged(send)
            elif client == self._client and not self._ended:
                self._on_failed(client, send, failure, text)

        assert self._sender is not None
        while not self._ended and not self._sender.send(*send.record, on_done):
            self.heartbeat = self._clock()
            self._check()
            if client != self._client:
                return  # the client was replaced, and this record sent again with the others

    def _on_acknowledged(self, send: PendingSend) -> None:
        with self._settled:
            self._last_progress = self._clock()
            self._restarts = 0
            self._hearing.over()
        self._settle(send, None)

    def _on_failed(self, client: int, send: PendingSend, failure: Failure, text: str) -> None:
        if failure == "refused":
            with self._settled:
                if client == self._client:
                    self._refused = text  # and the record is sent again
            return
        if failure in ("too_large", "fatal", "failing") and self._ends_client(
            client, send, failure, text
        ):
            return
        more = self._unsent_warnings.due(send.frame.camera)
        if more is not None:
            log.warning("camera %s: a frame was not sent: %s%s", send.frame.camera, text, more)
        self._settle(send, "too_large" if failure == "too_large" else "send_failed")

    def _ends_client(self, client: int, send: PendingSend, failure: Failure, text: str) -> bool:
        """Note that the client has ended; return whether the next one sends ``send`` again.

        kafka-python's idempotent client ends when a broker finds one record too large, and then
        fails all others with that same error: only the first one tells about its own record. So it
        does when a broker fails at one partition.
        """
        with self._settled:
            if client != self._client:
                return True  # replaced meanwhile, which sent it again
            if self._broken is None:
                self._broken = text
                self._oversized = failure == "too_large"
                if self._oversized:
                    self._limit.lower(send.frame.camera, send.size)
                self._failing = failure == "failing"
                if self._failing and send.resent:
                    self._held.hold(send.frame.camera, text)
                    return False
            elif self._failing:
                return True  # of another partition, as far as is known
            return self._limit.fits(send.size) if self._oversized else not send.resent

    def _replace(self, reason: str) -> None:
        """Replace the client and send again what is not settled, in order."""
        if not self._oversized:
            if self._restarts >= self._most_restarts:
                raise UnavailableError(
                    f"the Kafka client failed {self._restarts + 1} times without a frame getting "
                    f"through: {reason}"
                )
            self._restarts += 1
        self._metrics.kafka_restarts.inc()
        log.error("replacing the Kafka client after an unrecoverable error: %s", reason)
        with self._settled:
            self._client += 1
        assert self._sender is not None
        self._sender.close(0.0)
        self._sender = self._connect()
        self._send_again()

    def _send_again(self) -> None:
        """Give the new client what is not settled, in order."""
        with self._settled:
            again = list(self._under_way)
            for send in again:
                send.resent = send.resent or not self._oversized
            self._broken, self._oversized = None, False
            client = self._client
        for send in again:
            if client != self._client:
                return  # replaced once more meanwhile, which sent the rest
            if not self._limit.fits(send.size):
                self._settle(send, "too_large")
            elif send.frame.camera in self._held:
                self._settle(send, "send_failed")
            elif send in self._under_way:  # else the client before has got it through after all
                self._offer(send)

    def _settle(self, send: PendingSend, reason: DropReason | None) -> bool:
        """Count a frame as published (no reason) or dropped; return False if it is settled."""
        with self._settled:
            if send not in self._under_way:
                return False
            del self._under_way[send]
            self._bytes -= send.size
            if not self._under_way:
                self._idle_since = self._clock()
            self._settled.notify_all()
        if reason is not None:
            self._endings.drop(send.frame, reason)
            return True
        self._endings.publish(send.frame)
        return True
