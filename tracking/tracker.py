"""From one frame's state to the next: which instance is which object. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracking.appearance import SIZE, blend
from tracking.association import Known, Seen, associate
from tracking.motion import Floats, overlaps
from tracking.observations import Observations
from tracking.parameters import PARAMETERS, Parameters
from tracking.state import LIMIT, MAX_TIME, State, Track, fingerprint, fitting
from tracking.values import Identity, Moment

_MOST_HITS = 1000
MOST_TRACKED = 512
"""Instances of a frame that are compared with known objects, in order of discovery; the others are
new each time. More than the state has room for, and what keeps a frame of thousands cheap."""

_UNIT = 8
"""Lengths of the state per pixel."""


class Step(NamedTuple):
    """What a frame made of the state.

    Attributes:
        state: The state after it.
        identities: One for each instance, in order.
        began: Objects that were new.
        ended: Objects that are forgotten.
    """

    state: State
    identities: tuple[Identity, ...]
    began: int = 0
    ended: int = 0


def advance(
    state: State, observed: Observations, moment: Moment, settings: Parameters = PARAMETERS
) -> Step:
    """Find out who the instances of the next frame are.

    Args:
        state: What is known of the camera.
        observed: The frame's instances.
        moment: Which frame it is.
        settings: How objects are told apart.
    """
    session = fingerprint(moment.session)
    captured_at, epoch, tracks = _resumed(state, moment, session, settings)
    now = captured_at - epoch
    last = state.captured_at - state.epoch
    in_time = [now - t.seen_at <= 1000 * _patience(t, observed, settings) for t in tracks]
    kept = [i for i, t in enumerate(tracks) if in_time[i] or t.seen_at == last]
    tracks, in_time = [tracks[i] for i in kept], [in_time[i] for i in kept]
    observed, rest = observed.first(MOST_TRACKED), max(0, len(observed) - MOST_TRACKED)
    seen = _seen(observed, settings)
    found = associate(seen, _known(tracks, in_time, now, settings), settings)
    after = dict(enumerate(tracks))
    identities: list[Identity] = []
    new: list[Track] = []
    places = found.tolist()
    overlapped = seen.overlapped.tolist()
    learnt = _learnt(tracks, places, observed, now, overlapped, settings)
    kinds, boxes = seen.kinds.tolist(), _rounded(observed.boxes)
    for i, (place, box, colours) in enumerate(zip(places, boxes, learnt, strict=True)):
        if place < 0:
            one = Track(
                state.next_track + len(new), kinds[i], box, (0, 0), (0, 0), now, now, 1, colours,
            )  # fmt: skip
            new.append(one)
        else:
            one = _updated(tracks[place], box, colours, now, overlapped[i], settings)
            after[place] = one
        identities.append(_identity(one, now, settings))
    stays = fitting([*after.values(), *new], now)
    ended = len(state.tracks) + len(new) - len(stays)
    number = state.next_track + len(new)
    identities += (Identity(number + i, 0.0, (0.0, 0.0), False) for i in range(rest))
    following = State(state.version, number + rest, session, epoch, captured_at, stays)
    return Step(following, tuple(identities), len(new) + rest, ended + rest)


def _resumed(
    state: State, moment: Moment, session: int, settings: Parameters
) -> tuple[int, int, list[Track]]:
    """Return the time, the epoch and the tracks that the frame goes on with.

    Time stands still for frames a little older than the last one, as where time stamps jitter or
    two producers send for one camera. A clock that is set back further takes the epoch with it: how
    long it really was is unknown, and the objects are still there.
    """
    captured_at = min(max(round(1000 * moment.captured_at), 0), MAX_TIME)
    elapsed = captured_at - state.captured_at
    if -1000 * settings.session_seconds <= elapsed < 0 and state.tracks:
        captured_at, elapsed = state.captured_at, 0
    new = session != state.session and abs(elapsed) > 1000 * settings.session_seconds
    lost = elapsed > 1000 * settings.lost_seconds
    epoch = state.epoch + min(elapsed, 0)
    endless = max(captured_at - epoch, -epoch) > MAX_TIME  # only in a state that somebody made up
    if not state.tracks or new or lost or endless:
        return captured_at, captured_at, []
    return captured_at, epoch, list(state.tracks)


def _patience(track: Track, observed: Observations, settings: Parameters) -> float:
    """Seconds after which an object that is not seen is forgotten."""
    if track.hits < settings.confirmed_hits:
        return settings.young_seconds
    x, y, width, height = (value / _UNIT for value in track.box)
    rows, columns = observed.frame_size
    margin = settings.border * max(rows, columns)
    at_border = min(x, y) <= margin or x + width >= columns - margin or y + height >= rows - margin
    return settings.border_seconds if at_border else settings.lost_seconds


def _known(tracks: list[Track], in_time: list[bool], now: int, settings: Parameters) -> Known:
    empty = bytes(SIZE)
    return Known(
        boxes=np.array([t.box for t in tracks], np.float64).reshape(-1, 4) / _UNIT,
        velocities=np.array([t.velocity for t in tracks], np.float64).reshape(-1, 2) / _UNIT,
        unseen=np.array([now - t.seen_at for t in tracks], np.float64) / 1000,
        confirmed=np.array([t.hits >= settings.confirmed_hits for t in tracks], np.bool_),
        kinds=np.array([t.kind for t in tracks], np.int64),
        colours=np.frombuffer(b"".join(t.colours or empty for t in tracks), np.uint8).reshape(
            -1, SIZE
        ),
        returning=np.array(in_time, np.bool_),
    )


def _seen(observed: Observations, settings: Parameters) -> Seen:
    colours = observed.appearance
    return Seen(
        boxes=observed.boxes,
        kinds=np.array([fingerprint(name) for name in observed.class_names], np.int64),
        colours=np.zeros((len(observed), SIZE), np.uint8) if colours is None else colours,
        overlapped=_overlapped(observed.boxes, settings),
    )


def _overlapped(boxes: Floats, settings: Parameters) -> NDArray[np.bool_]:
    """Return (I,): whether another box covers a good part of an instance's."""
    common = overlaps(boxes, boxes)
    np.fill_diagonal(common, 0.0)
    area = np.maximum(boxes[:, 2] * boxes[:, 3], 1.0)
    covered: NDArray[np.bool_] = common.sum(axis=1) > settings.overlapped * area
    return covered


def _learnt(
    tracks: list[Track],
    places: list[int],
    observed: Observations,
    now: int,
    overlapped: list[bool],
    settings: Parameters,
) -> list[bytes]:
    """Return what the object of each instance looks like after the frame."""
    known = [b"" if place < 0 else tracks[place].colours for place in places]
    seen = observed.appearance
    if seen is None or not len(seen):
        return known
    base, shares = seen.copy(), np.zeros(len(seen))
    for i, place in enumerate(places):
        if known[i]:
            seconds = (now - tracks[place].seen_at) / 1000
            share = max(1 / (tracks[place].hits + 1), seconds / (seconds + settings.colour_seconds))
            shares[i] = share * (settings.overlapped_update if overlapped[i] else 1.0)
            base[i] = np.frombuffer(known[i], np.uint8)
    blended, has_colours = blend(base, seen, shares), [bool(row.any()) for row in seen]
    return [
        row.tobytes() if has else before
        for row, has, before in zip(blended, has_colours, known, strict=True)
    ]


def _updated(
    track: Track,
    box: tuple[int, int, int, int],
    colours: bytes,
    now: int,
    is_overlapped: bool,
    settings: Parameters,
) -> Track:
    seconds = (now - track.seen_at) / 1000
    x, y = _way(track, box, seconds, is_overlapped, settings)
    if seconds > 0:
        first = track.seen_at == track.began_at
        share = 1.0 if first else seconds / (seconds + settings.velocity_seconds)
        velocity, untimed = _moved_on(track.velocity, (x, y), seconds, share), (0, 0)
    else:
        velocity, untimed = track.velocity, (_whole(x), _whole(y))
    return Track(
        track.track, track.kind, box, velocity, untimed, track.began_at, now,
        min(track.hits + 1, _MOST_HITS), colours,
    )  # fmt: skip


def _way(
    track: Track,
    box: tuple[int, int, int, int],
    seconds: float,
    is_overlapped: bool,
    settings: Parameters,
) -> tuple[float, float]:
    """Return the way of the head point since time has last passed, for the velocity.

    Where something may hide the head, as in `associate`, the feet have gone the same way: the end
    counts that is nearer to where it was expected.
    """
    x = box[0] + box[2] / 2 - track.box[0] - track.box[2] / 2
    y = box[1] - track.box[1]
    tall, was_tall = max(box[3], 1), max(track.box[3], 1)
    if max(tall / was_tall, was_tall / tall) > settings.resized and not is_overlapped:
        feet = y + box[3] - track.box[3]
        y = min(y, feet, key=lambda way: abs(way - seconds * track.velocity[1]))
    return track.untimed[0] + x, float(track.untimed[1] + y)


def _moved_on(
    velocity: tuple[int, int], way: tuple[float, float], seconds: float, share: float
) -> tuple[int, int]:
    """Return the velocity that moves by a share, 0..1, to that of the way."""
    x, y = (v + share * (w / seconds - v) for v, w in zip(velocity, way, strict=True))
    return _whole(x), _whole(y)


def _identity(track: Track, now: int, settings: Parameters) -> Identity:
    x, y = (value / _UNIT for value in track.velocity)
    confirmed = track.hits >= settings.confirmed_hits
    return Identity(track.track, (now - track.began_at) / 1000, (x, y), confirmed)


def _rounded(boxes: Floats) -> list[tuple[int, int, int, int]]:
    """Return boxes (I, 4) in the units of the state."""
    whole = np.rint(np.clip(_UNIT * boxes, -LIMIT, LIMIT)).astype(np.int64)
    whole[:, 2:] = np.maximum(whole[:, 2:], 0)
    return [(x, y, width, height) for x, y, width, height in whole.tolist()]


def _whole(value: float) -> int:
    return round(min(max(value, -LIMIT), LIMIT))
