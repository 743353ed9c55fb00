"""What is remembered of a camera: its bytes, their bound, and bytes that are no state."""

import msgspec
import numpy as np
import pytest

from contract.errors import InvalidMessageError
from tests.tracking_parts import seen_at
from tracking import Moment, State, Step, advance
from tracking.appearance import SIZE
from tracking.state import MAX_STATE_BYTES, decode_state, encode_state


def _grown(objects: int, frames: int = 3, step: float = 0.1) -> Step:
    state, random = State.empty(1_764_000_000_000), np.random.default_rng(1)
    boxes = np.stack([np.arange(objects) % 40 * 45, np.arange(objects) // 40 * 90], axis=1)
    colours = random.integers(0, 256, (objects, SIZE), np.uint8)
    for number in range(frames):
        made = [(int(x) + number, int(y), 30, 70) for x, y in boxes]
        moment = Moment(1_764_000_000.0 + step * number, "s")
        done = advance(state, seen_at(*made, colours=colours, size=(4000, 4000)), moment)
        state = done.state
    return done


@pytest.mark.parametrize("objects", [0, 1, 10, 113, 120, 200, 300, 500])
def test_a_state_equals_its_bytes_and_is_bounded(objects: int) -> None:
    state = _grown(objects).state
    text = encode_state(state)
    assert len(text) <= MAX_STATE_BYTES
    assert decode_state(text) == state


def test_three_hundred_objects_keep_their_tracks() -> None:
    done = _grown(300, frames=6)
    assert [identity.track - 1_764_000_000_000 for identity in done.identities] == [*range(300)]
    assert all(identity.confirmed for identity in done.identities)
    assert any(track.colours for track in done.state.tracks), "as many colours as fit"


def test_of_too_many_objects_those_that_were_there_first_are_kept() -> None:
    state = _grown(500).state
    numbers = [track.track - 1_764_000_000_000 for track in state.tracks]
    assert len(numbers) > 300
    assert numbers == [*range(len(numbers))]


def test_whom_nobody_sees_any_more_makes_room_first() -> None:
    state = State.empty(1)
    colours = np.full((60, SIZE), 9, np.uint8)
    for group in range(4):
        boxes = [(100 + 45 * i, 100 + 900 * group, 30, 70) for i in range(60)]
        for number in range(3):
            moment = Moment(100 + group + number / 10, "s")
            observed = seen_at(*boxes, colours=colours, size=(4000, 4000))
            state = advance(state, observed, moment).state
    groups = [(track.track - 1) // 60 for track in state.tracks]
    assert groups.count(3) == 60, "those that are seen"
    assert groups.count(2) == 60, "those that were lost last"
    assert groups.count(0) == 0, "those that were lost first"


GOOD = _grown(3).state


def _changed(**fields: object) -> bytes:
    track = msgspec.structs.replace(GOOD.tracks[1], **fields)
    tracks = (GOOD.tracks[0], track, GOOD.tracks[2])
    return msgspec.msgpack.encode(msgspec.structs.replace(GOOD, tracks=tracks))


def _whole(**fields: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(GOOD, **fields))


NAN = float("nan")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"\xc1",
        b"\x91" * 10_000,
        b"x" * (MAX_STATE_BYTES + 1),
        encode_state(GOOD)[:-1],
        encode_state(GOOD) + b"\0",
        _whole(version=1),
        _whole(next_track=-1),
        _whole(next_track=2**60),
        _whole(next_track=2**53),
        _whole(next_track=0),
        _whole(session="s"),
        _whole(epoch=NAN),
        _whole(captured_at=float("inf")),
        _whole(captured_at=0),
        _whole(tracks=(GOOD.tracks[0], GOOD.tracks[0])),
        _whole(tracks=None),
        _changed(box=(0, 0, NAN, 4)),
        _changed(box=(0, 0, -1, 4)),
        _changed(box=(2**40, 0, 1, 4)),
        _changed(box=(0, 0, 1)),
        _changed(velocity=(1e300, 0.0)),
        _changed(velocity=(2**33, 0)),
        _changed(hits=-1),
        _changed(hits=2**63),
        _changed(began_at=-5),
        _changed(seen_at=10**12),
        _changed(began_at=GOOD.tracks[1].seen_at + 1),
        _changed(colours=b"abc"),
        _changed(colours=b"a" * (SIZE + 1)),
        _changed(colours="a" * SIZE),
        _changed(kind=-1),
        _changed(track=True),
    ],
)
def test_bytes_that_are_no_state_are_named(text: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="no tracker's state") as caught:
        decode_state(text)
    assert caught.value.reason == "malformed_tracks"
