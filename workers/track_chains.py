"""Who is who, in the order of storing: each frame's identities from the state after the one before.

Redis holds the truth: the state of a camera's tracks, under a token that names the result it
belongs to and the state itself. What this remembers of it is a guess that saves a round trip; the
sink stores nothing that was computed from another state than the one in Redis (ADR 13).
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from contract.errors import InvalidMessageError
from contract.result import Instance, Result
from segmentation.decode import Image
from segmentation.instances import ArrayMask, Instances
from segmentation.segmenter import Fitted
from tracking import Identity, Moment, Observations, State, Step, advance, observe
from tracking.state import MAX_STATE_BYTES, decode_state, encode_state
from workers.camera_log import CameraLog
from workers.metrics import WorkerMetrics
from workers.records import Entry

Look = Callable[[Instances, Image | Fitted], Observations]
"""Measures what tells the instances of a frame from one another."""

_KEPT_SECONDS = 300.0
_MOST_KEPT = 1000
"""A camera that this worker no longer reads is forgotten; at most so many are remembered."""


def look(instances: Instances, image: Image | Fitted) -> Observations:
    """Observe instances and their colours, in the picture that the network saw."""
    if isinstance(image, Fitted):
        return observe(instances, image.picture, image.fit)
    return observe(instances, image)


def look_without_pixels(instances: Instances, image: Image | Fitted) -> Observations:
    """Observe instances by their boxes alone."""
    return observe(instances)


def observer_of(*, track: bool, appearance: bool) -> Look | None:
    """Return what observes instances for tracking; None where nothing is tracked."""
    if not track:
        return None
    return look if appearance else look_without_pixels


def warm_up_tracking(see: Look) -> None:
    """Compile (or load from the cache) what tracking computes, so that no frame waits for it."""
    picture = np.zeros((8, 8, 3), np.uint8)
    box = (0, 0, 4, 4)
    mask = ArrayMask.cut(np.ones((8, 8), np.int32), 1, box)
    one = Instances.of((8, 8), ("",), [0], [1.0], [(2.0, 2.0)], [16], [mask])
    state = State.empty(first_track=1)
    for second in range(2):
        state = advance(state, see(one, picture), Moment(second)).state


class Link(NamedTuple):
    """A result with identities, and the states between which it stands.

    Attributes:
        result: The result.
        base: Token of the state that it was computed from; empty where there was none.
        token: Token of the state after it.
        text: That state's bytes.
        step: What tracking made of the frame.
        seconds: What tracking took.
    """

    result: Result
    base: bytes
    token: bytes
    text: bytes
    step: Step
    seconds: float


class _Known(NamedTuple):
    """The state that Redis is believed to hold; None: the next frame begins afresh."""

    token: bytes
    state: State | None
    used_at: float


class TrackChains:
    """Computes identities and counts them; used by the thread that stores.

    Args:
        metrics: Counts.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, metrics: WorkerMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._log = CameraLog(clock)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def chain(self, entries: Sequence[Entry]) -> list[Link]:
        """Compute the results of one camera, one after the other, from the state that is known."""
        known = self._known.get(entries[0].result.camera)
        base, state = (b"", None) if known is None else (known.token, known.state)
        links = []
        for entry in entries:
            link = self._link(entry, base, state)
            base, state = link.token, link.step.state
            links.append(link)
        return links

    def adopt(self, camera: str, token: bytes, stored: bytes) -> None:
        """Go on from what Redis holds.

        Args:
            camera: Camera id.
            token: Its token, as the script read it; empty where it holds nothing.
            stored: All of it.
        """
        self._metrics.track_conflicts.inc()
        state = None
        if token:
            try:
                state = _read(token, stored)
            except InvalidMessageError as error:
                self._log.warn(
                    camera,
                    error.reason,
                    f"the state of its tracks in Redis cannot be used: {error}; identities begin "
                    "afresh",
                )
        self._remember(camera, token, state)

    def stored(self, link: Link) -> None:
        """Note that Redis holds a result, and the state after it."""
        camera, step = link.result.camera, link.step
        self._remember(camera, link.token, step.state)
        self._metrics.tracked(
            camera,
            active=sum(identity.confirmed for identity in step.identities),
            began=step.began,
            ended=step.ended,
            seconds=link.seconds,
        )

    def _link(self, entry: Entry, base: bytes, state: State | None) -> Link:
        assert entry.sighting is not None, "a worker that tracks looks at every frame"
        began = self._clock()
        result = entry.result
        captured_at = result.captured_at.timestamp()
        if state is None:
            # A number is never used again, also where the state has expired or was lost: no camera
            # has a million new objects a second.
            state = State.empty(first_track=int(captured_at * 1_000_000))
        moment = Moment(captured_at, result.session)
        step = advance(state, entry.sighting.observations, moment)
        text = encode_state(step.state)
        instances = [
            _identified(instance, identity)
            for instance, identity in zip(result.instances, step.identities, strict=True)
        ]
        return Link(
            structs.replace(result, instances=instances),
            base,
            f"{result.session}/{result.sequence}/{_digest(text)}".encode(),
            text,
            step,
            entry.sighting.seconds + self._clock() - began,
        )

    def _remember(self, camera: str, token: bytes, state: State | None) -> None:
        now = self._clock()
        self._known[camera] = _Known(token, state, now)
        self._known.move_to_end(camera)
        while (
            len(self._known) > _MOST_KEPT
            or next(iter(self._known.values())).used_at < now - _KEPT_SECONDS
        ):
            self._known.popitem(last=False)


def _identified(instance: Instance, identity: Identity) -> Instance:
    x, y = identity.velocity
    return structs.replace(
        instance,
        track=identity.track,
        age_seconds=round(identity.age_seconds, 3),
        velocity=(round(x, 2) + 0.0, round(y, 2) + 0.0),  # no -0.0
        confirmed=identity.confirmed,
    )


def _read(token: bytes, stored: bytes) -> State:
    text = stored[len(token) + 1 :]
    if len(text) > MAX_STATE_BYTES:
        raise InvalidMessageError(
            "malformed_tracks", f"it has {len(text)} bytes, expected at most {MAX_STATE_BYTES}"
        )
    if token.rpartition(b"/")[2] != _digest(text).encode():
        raise InvalidMessageError("malformed_tracks", "it is not what its token names")
    return decode_state(text)


def _digest(text: bytes) -> str:
    """Tell two states of one result from each other: one frame's may be computed from many."""
    return hashlib.blake2b(text, digest_size=8).hexdigest()
