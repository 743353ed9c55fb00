"""What is remembered of a camera between two frames, and its bytes. Pure.

Every number is whole, so the state that `advance` returns equals what its bytes decode to: a worker
that reads it from Redis goes on exactly as the one that wrote it would.
"""

import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated

import msgspec

from contract.errors import InvalidMessageError
from tracking.appearance import SIZE

STATE_VERSION = 3

MAX_STATE_BYTES = 16_384
"""Most bytes of one camera's state."""

LIMIT = 2**31 - 1
"""Largest length, speed or count that is kept."""

MAX_TIME = 2**53

LAST_NUMBER = 2**53 - 2**20
"""Largest number of the next new object in a state that is read: what follows stays below 2^53."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME)]
Length = Annotated[int, msgspec.Meta(ge=-LIMIT, le=LIMIT)]
Count = Annotated[int, msgspec.Meta(ge=0, le=LIMIT)]
Fingerprint = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class Track(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One object. Lengths are eighths of pixels of the frame, times milliseconds since the epoch.

    Attributes:
        track: Its number.
        kind: Fingerprint of its class name.
        box: x, y, width, height when last seen.
        velocity: x, y of the head point (middle of the box's upper edge), a second.
        untimed: x, y of its way in frames since which no time has passed.
        began_at: When it was first seen.
        seen_at: When it was last seen.
        hits: Frames that showed it, up to some number.
        colours: Its appearance; empty where it is off or unknown.
    """

    track: Number
    kind: Fingerprint
    box: tuple[Length, Length, Count, Count]
    velocity: tuple[Length, Length]
    untimed: tuple[Length, Length]
    began_at: Time
    seen_at: Time
    hits: Count
    colours: Annotated[bytes, msgspec.Meta(max_length=SIZE)]


class State(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The tracks of one camera after a frame.

    Attributes:
        version: Of this structure.
        next_track: Number of the next new object.
        session: Fingerprint of the frame's session.
        epoch: Capture time from which the tracks' times count, milliseconds since 1970; it moves
            with a clock that is set back.
        captured_at: Capture time of the frame, likewise; 0 before the first one.
        tracks: Objects that are seen or may come back, ascending by number.
    """

    version: int
    next_track: Number
    session: Fingerprint
    epoch: Annotated[int, msgspec.Meta(ge=-MAX_TIME, le=MAX_TIME)]
    captured_at: Time
    tracks: tuple[Track, ...]

    @classmethod
    def empty(cls, first_track: int) -> "State":
        """Return the state before the first frame; new objects are numbered from first_track."""
        return cls(STATE_VERSION, first_track, 0, 0, 0, ())


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode_state(state: State) -> bytes:
    """Return the state's bytes, at most ``MAX_STATE_BYTES`` for one that `advance` returned."""
    return _encoder.encode(state)


def decode_state(text: bytes) -> State:
    """Read a state.

    Raises:
        InvalidMessageError: ``malformed_tracks``: no state, or of another version.
    """
    if len(text) > MAX_STATE_BYTES:
        raise _malformed(f"{len(text)} bytes, at most {MAX_STATE_BYTES}")
    try:
        state = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from error
    if state.version != STATE_VERSION:
        raise _malformed(f"version {state.version}, not {STATE_VERSION}")
    if state.next_track > LAST_NUMBER:
        raise _malformed(f"the next object's number is {state.next_track}, at most {LAST_NUMBER}")
    now, last = state.captured_at - state.epoch, -1
    for each in state.tracks:
        if not last < each.track < state.next_track:
            raise _malformed(f"track {each.track} is out of order")
        if not each.began_at <= each.seen_at <= now:
            raise _malformed(f"track {each.track} was seen before it began, or after the frame")
        if len(each.colours) not in (0, SIZE):
            raise _malformed(f"track {each.track} has {len(each.colours)} colours, not {SIZE}")
        last = each.track
    return state


def _malformed(fault: str) -> InvalidMessageError:
    return InvalidMessageError("malformed_tracks", f"no tracker's state: {fault}")


def fingerprint(name: str) -> int:
    """Return a number for a name, so that a state has the same length whatever the names."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


_MOST_TRACK_BYTES = 9 + 5 + 1 + 4 * 5 + 2 * (1 + 2 * 5) + 9 + 9 + 5 + 2 + SIZE + 1
_MOST_STATE_BYTES = 1 + 1 + 9 + 5 + 9 + 9 + 5


def fitting(tracks: Sequence[Track], now: int) -> tuple[Track, ...]:
    """Return what of the tracks is kept so that a state of them fits ``MAX_STATE_BYTES``.

    Those that were not seen in this frame go first, the longest unseen before the others; then
    colours, then tracks, of objects that came last.

    Args:
        tracks: Tracks in order.
        now: Time of the frame, milliseconds since the epoch.
    """
    room = MAX_STATE_BYTES - _MOST_STATE_BYTES
    if len(tracks) * _MOST_TRACK_BYTES <= room:
        return tuple(tracks)
    dearest = sorted(tracks, key=lambda track: (now - track.seen_at, track.track))
    kept = _first(dearest, room)
    if len(kept) < len(dearest) and dearest[len(kept)].seen_at == now:
        seen = [track for track in dearest if track.seen_at == now]
        bare = [msgspec.structs.replace(track, colours=b"") for track in seen]
        sizes = [len(_encoder.encode(track)) for track in bare]
        kept = _first(bare, room)
        spare = room - sum(sizes[: len(kept)])
        coloured = min(spare // (SIZE + 1), len(kept))
        kept = [*seen[:coloured], *kept[coloured:]]
    return tuple(sorted(kept, key=lambda track: track.track))


def _first(tracks: list[Track], room: int) -> list[Track]:
    sizes = accumulate(len(_encoder.encode(track)) for track in tracks)
    return tracks[: sum(size <= room for size in sizes)]
