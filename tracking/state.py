"""What is remembered of a camera between two frames, and its bytes. Pure.

The state that `advance` returns equals what its bytes decode to, so a worker that reads it from
Redis goes on exactly as the one that wrote it would.
"""

import msgspec

from contract.errors import InvalidMessageError

STATE_VERSION = 1

MAX_STATE_BYTES = 16_384
"""Most bytes of one camera's state."""


class Track(msgspec.Struct, frozen=True, array_like=True):
    """One object.

    Attributes:
        track: Its number.
        class_name: Class.
        box: x, y, width, height when last seen, in pixels.
        velocity: [x, y] in pixels a second.
        first_seen: Capture time of the first frame, seconds.
        last_seen: Capture time of the last frame that showed it, seconds.
        hits: Frames that showed it.
    """

    track: int
    class_name: str
    box: tuple[float, float, float, float]
    velocity: tuple[float, float]
    first_seen: float
    last_seen: float
    hits: int


class State(msgspec.Struct, frozen=True, array_like=True):
    """The tracks of one camera after a frame.

    Attributes:
        version: Of this structure.
        next_track: Number of the next new object.
        session: Session of the frame.
        captured_at: Capture time of the frame, seconds; 0 before the first one.
        tracks: Objects that are seen or may come back.
    """

    version: int
    next_track: int
    session: str
    captured_at: float
    tracks: tuple[Track, ...]

    @classmethod
    def empty(cls, first_track: int) -> "State":
        """Return the state before the first frame; new objects are numbered from first_track."""
        return cls(STATE_VERSION, first_track, "", 0.0, ())


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode_state(state: State) -> bytes:
    """Return the state's bytes, at most ``MAX_STATE_BYTES``."""
    return _encoder.encode(state)


def decode_state(text: bytes) -> State:
    """Read a state.

    Raises:
        InvalidMessageError: ``malformed_tracks``: no state, or of another version.
    """
    try:
        state = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessageError("malformed_tracks", f"no tracker's state: {error}") from error
    if state.version != STATE_VERSION:
        raise InvalidMessageError(
            "malformed_tracks", f"tracker's state of version {state.version}, not {STATE_VERSION}"
        )
    return state
