"""A tracker's state as Redis may hold it, as a function of bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.tracking_parts import seen_at
from tracking import Moment, State, advance
from tracking.appearance import SIZE
from tracking.state import LAST_NUMBER, MAX_STATE_BYTES, decode_state, encode_state

_FRAME = seen_at(
    (100, 60, 20, 50),
    (300, 60, 30, 70),
    (310, 70, 30, 70),
    kinds=("person", "person", "car"),
    colours=np.arange(3 * SIZE, dtype=np.uint8).reshape(3, SIZE),
)


def tracks(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a state, which goes on with a frame: what it returns can be read again."""

    def run(data: bytes) -> object:
        state = decode_state(data)
        moments = [Moment(state.captured_at / 1000 + 0.1, "b"), Moment(50.0, "c")]
        steps = [advance(state, _FRAME, moment) for moment in moments]
        for step in steps:
            text = encode_state(step.state)
            assert len(text) <= MAX_STATE_BYTES
            if step.state.next_track <= LAST_NUMBER:  # else the next frame begins afresh
                assert decode_state(text) == step.state
        return [identity for step in steps for identity in step.identities]

    return run


def tracks_seeds() -> list[bytes]:
    """Return states of no, a few and many objects."""
    found = [encode_state(State.empty(1_764_000_000_000))]
    for objects in (3, 20):
        boxes = [(20 + 30 * i, 40, 20, 60) for i in range(objects)]
        colours = np.random.default_rng(objects).integers(0, 256, (objects, SIZE), np.uint8)
        state = State.empty(1)
        for number in range(3):
            observed = seen_at(*boxes, colours=colours if objects == 3 else None)
            state = advance(state, observed, Moment(1_764_000_000 + number / 10, "b")).state
        found.append(encode_state(state))
    return found
