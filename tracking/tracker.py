"""From one frame's state to the next: which instance is which object. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracking.observations import Observations
from tracking.state import State, Track
from tracking.values import Identity, Moment

_LOST_SECONDS = 3.0
_CONFIRMED_HITS = 3
_LEAST_IOU = 0.1


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


def advance(state: State, observed: Observations, moment: Moment) -> Step:
    """Find out who the instances of the next frame are."""
    known = [t for t in state.tracks if 0 <= moment.captured_at - t.last_seen <= _LOST_SECONDS]
    ended = len(state.tracks) - len(known)
    pairs = dict(_pairs(known, observed, moment.captured_at))
    tracks: dict[int, Track] = {track.track: track for track in known}
    identities = []
    number = state.next_track
    for i in range(len(observed)):
        x, y, width, height = observed.boxes[i].tolist()
        before = known[pairs[i]] if i in pairs else None
        if before is None:
            now = Track(
                number, observed.class_names[i], (x, y, width, height), (0.0, 0.0),
                moment.captured_at, moment.captured_at, 1,
            )  # fmt: skip
            number += 1
        else:
            seconds = max(moment.captured_at - before.last_seen, 1e-3)
            velocity = ((x - before.box[0]) / seconds, (y - before.box[1]) / seconds)
            now = Track(
                before.track, before.class_name, (x, y, width, height), velocity,
                before.first_seen, moment.captured_at, before.hits + 1,
            )  # fmt: skip
        tracks[now.track] = now
        identities.append(
            Identity(
                now.track,
                moment.captured_at - now.first_seen,
                now.velocity,
                now.hits >= _CONFIRMED_HITS,
            )
        )
    began = number - state.next_track
    after = State(state.version, number, moment.session, moment.captured_at, tuple(tracks.values()))
    return Step(after, tuple(identities), began, ended)


def _pairs(known: list[Track], observed: Observations, now: float) -> list[tuple[int, int]]:
    if not known or not len(observed):
        return []
    before = np.array([t.box for t in known], np.float64)
    overlap = _iou(observed.boxes, before)
    same = np.array([[name == t.class_name for t in known] for name in observed.class_names])
    overlap[~same] = 0.0
    rows, columns = linear_sum_assignment(-overlap)
    return [(i, k) for i, k in zip(rows.tolist(), columns.tolist(), strict=True)
            if overlap[i, k] >= _LEAST_IOU]  # fmt: skip


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    union = np.prod(a[:, 2:], axis=1)[:, None] + np.prod(b[:, 2:], axis=1)[None] - common
    result: NDArray[np.float64] = common / np.maximum(union, 1e-9)
    return result
