"""From frame to frame: numbers, times, sessions, classes."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracking_parts import Box, seen_at
from tracking import Moment, State, Step, advance
from tracking.appearance import SIZE
from tracking.state import MAX_STATE_BYTES, decode_state, encode_state
from tracking.tracker import MOST_TRACKED

HERE: Box = (300, 200, 40, 100)


def _stay(
    state: State, begin: float, end: float, session: str = "a", *, boxes: tuple[Box, ...] = (HERE,)
) -> Step:
    for now in np.arange(begin, end, 0.1):
        step = advance(state, seen_at(*boxes), Moment(float(now), session))
        state = step.state
    return step


def test_tracks_are_numbered_from_the_first() -> None:
    step = advance(State.empty(41), seen_at((0, 0, 20, 50), HERE), Moment(5.0))
    assert [identity.track for identity in step.identities] == [41, 42]
    assert (step.began, step.ended) == (2, 0)
    assert step.state.next_track == 43


def test_an_object_that_walks_has_age_velocity_and_is_confirmed() -> None:
    state = State.empty(1)
    for number in range(21):
        x, moment = 100 + 5 * number, Moment(1_764_000_000 + number / 10, "a")
        step = advance(state, seen_at((x, 200 - number, 40, 100)), moment)
        state = step.state
    (identity,) = step.identities
    assert identity.track == 1
    assert identity.age_seconds == 2.0
    assert identity.velocity == pytest.approx((50, -10), abs=1)
    assert identity.confirmed


def test_what_is_seen_once_is_not_confirmed() -> None:
    (identity,) = advance(State.empty(1), seen_at(HERE), Moment(5.0)).identities
    assert not identity.confirmed
    assert identity.age_seconds == 0.0
    assert identity.velocity == (0.0, 0.0)


def test_who_stays_away_is_forgotten_and_the_number_never_used_again() -> None:
    state = _stay(State.empty(1), 0, 1).state
    step = advance(state, seen_at(), Moment(30.0, "a"))
    assert (step.identities, step.ended, step.state.tracks) == ((), 1, ())
    back = advance(step.state, seen_at(HERE), Moment(30.1, "a"))
    assert back.identities[0].track == 2


def test_who_was_at_the_border_is_forgotten_sooner() -> None:
    boxes: tuple[Box, ...] = ((0, 200, 40, 100), HERE)
    state = _stay(State.empty(1), 0, 1, boxes=boxes).state
    step = _stay(state, 1, 2, boxes=())
    assert [track.track for track in step.state.tracks] == [2]


def test_a_slow_camera_keeps_who_stands_at_the_border() -> None:
    state = State.empty(1)
    for now in range(0, 20, 4):
        step = advance(state, seen_at((0, 380, 40, 100)), Moment(now))
        state = step.state
    assert step.identities[0].track == 1
    assert step.identities[0].confirmed


def test_a_new_session_keeps_tracks_when_the_gap_is_short() -> None:
    state = _stay(State.empty(1), 0, 1, "a").state
    near = advance(state, seen_at(HERE), Moment(2.0, "b"))
    assert near.identities[0].track == 1
    far = advance(state, seen_at(HERE), Moment(5.0, "b"))
    assert far.identities[0].track == 2
    assert (far.began, far.ended) == (1, 1)


def test_a_session_that_begins_long_before_the_last_one_knows_nobody() -> None:
    state = _stay(State.empty(1), 1000, 1001, "a").state
    assert advance(state, seen_at(HERE), Moment(10.0, "b")).identities[0].track == 2


def test_a_clock_that_is_set_back_within_a_session_keeps_tracks_and_ages() -> None:
    state = _stay(State.empty(1), 1000, 1001, "a").state
    step = advance(state, seen_at(HERE), Moment(400.0, "a"))
    assert step.identities[0].track == 1
    assert step.identities[0].age_seconds == pytest.approx(0.9, abs=0.01)
    assert decode_state(encode_state(step.state)) == step.state
    later = _stay(step.state, 400.1, 402.05, "a")
    assert later.identities[0].track == 1
    assert later.identities[0].age_seconds == pytest.approx(2.9, abs=0.11)


def test_frames_of_one_moment_say_nothing_of_the_velocity() -> None:
    state = advance(State.empty(1), seen_at(HERE), Moment(7.0)).state
    for x in (301, 302, 303):
        step = advance(state, seen_at((x, 200, 40, 100)), Moment(7.0))
        state = step.state
        assert step.identities[0].track == 1
        assert step.identities[0].velocity == (0.0, 0.0)


def test_the_way_of_frames_of_one_moment_counts_when_time_goes_on() -> None:
    state = State.empty(1)
    for number, now in enumerate((7.0, 7.0, 7.0, 7.3)):
        step = advance(state, seen_at((300 + 6 * number, 200 - 2 * number, 40, 100)), Moment(now))
        state = decode_state(encode_state(step.state))
    assert step.identities[0].velocity == pytest.approx((60, -20), abs=0.5)


def test_a_head_that_is_hidden_moves_nobody() -> None:
    state = State.empty(1)
    for number in range(40):
        hidden = 50 if 20 <= number < 26 else 0
        box = (100 + 5 * number, 200 + hidden, 40, 100 - hidden)
        step = advance(state, seen_at(box), Moment(number / 10))
        state = step.state
        assert step.identities[0].track == 1
        if number:
            assert step.identities[0].velocity == pytest.approx((50, 0), abs=1), number


def test_legs_below_a_sign_are_of_whom_walked_there_and_not_of_whom_stood_there() -> None:
    """Both have the same clothes; one stays behind the sign, the other passes before it."""
    state, look = State.empty(1), np.full((2, SIZE), 100, np.uint8)
    stands: Box = (300, 200, 30, 80)
    for number in range(40):
        walks = (100 + 6 * number, 215, 30, 80)
        behind = 26 <= number < 36
        boxes: tuple[Box, ...] = (walks, stands)
        if behind:
            boxes = ((walks[0], walks[1] + 40, 30, 40),)
        elif number >= 20:
            boxes = (walks,)
        step = advance(state, seen_at(*boxes, colours=look[: len(boxes)]), Moment(number / 10))
        state = step.state
        assert step.identities[0].track == 1, number


LOOKS = np.zeros((3, SIZE), np.uint8)
for _kind in range(3):
    LOOKS[_kind, _kind::10] = 255


def _colours_change(*after: int, pause: float = 0.1, boxes: tuple[Box, ...] = (HERE,)) -> Step:
    """Return the step in which objects, two of them with other colours, have others at once."""
    there: tuple[Box, ...] = (HERE, (340, 205, 40, 100))
    state = State.empty(1)
    for number in range(10):
        seen = seen_at(*there, colours=LOOKS[:2])
        state = advance(state, seen, Moment(number / 10)).state
    return advance(state, seen_at(*boxes, colours=LOOKS[list(after)]), Moment(0.9 + pause))


def test_who_is_where_it_must_be_stays_itself_though_a_lamp_is_switched_on() -> None:
    assert [identity.track for identity in _colours_change(2).identities] == [1]


def test_after_a_while_the_place_alone_is_no_proof() -> None:
    assert [identity.track for identity in _colours_change(2, pause=0.8).identities] == [3]


def test_who_has_the_colours_of_a_neighbour_is_the_neighbour() -> None:
    assert [identity.track for identity in _colours_change(1).identities] == [2]


def test_who_left_at_the_border_is_not_found_again_in_the_first_frame_after_a_gap() -> None:
    look, state = LOOKS[:1], State.empty(1)
    for number in range(10):
        leaves: Box = (520 + 10 * number, 200, 40, 100)
        state = advance(state, seen_at(leaves, colours=look), Moment(number / 10)).state
    comes: Box = (540, 150, 40, 100)
    step = advance(state, seen_at(comes, colours=look), Moment(2.0))
    assert step.identities[0].track == 2


def test_classes_are_never_mixed() -> None:
    state = State.empty(1)
    for now, kind in ((0.0, "person"), (0.1, "car"), (0.2, "person")):
        step = advance(state, seen_at(HERE, kinds=(kind,)), Moment(now))
        state = step.state
    assert step.identities[0].track == 1
    assert len(state.tracks) == 2


def test_colours_may_come_and_go() -> None:
    colours = np.full((1, SIZE), 85, np.uint8)
    state = State.empty(1)
    for number, given_colours in enumerate((colours, None, colours, np.zeros_like(colours), None)):
        step = advance(state, seen_at(HERE, colours=given_colours), Moment(number / 10))
        state = step.state
    assert step.identities[0].track == 1
    assert state.tracks[0].colours == colours.tobytes()


def test_the_state_that_goes_in_is_left_as_it_was() -> None:
    state = _stay(State.empty(1), 0, 1).state
    before = encode_state(state)
    first, second = (advance(state, seen_at(HERE), Moment(1.0, "a")) for _ in range(2))
    assert encode_state(state) == before
    assert first == second


BOXES = st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(1, 90), st.integers(1, 90))
FRAMES = st.lists(
    st.tuples(
        st.lists(st.tuples(BOXES, st.sampled_from(["person", "car", "\ud800"])), max_size=6),
        st.floats(0, 1e12) | st.floats(100, 110),
        st.sampled_from(["a", "b", "c" * 5000, "\udfff"]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(FRAMES, st.integers(0, 2**50))
def test_whatever_comes_the_state_equals_its_bytes(
    made: list[tuple[list[tuple[Box, str]], float, str, bool]], first: int
) -> None:
    state, used = State.empty(first), set()
    for number, (objects, now, session, has_colours) in enumerate(made):
        colours = np.random.default_rng(number).integers(0, 256, (len(objects), SIZE), np.uint8)
        observed = seen_at(
            *(box for box, _ in objects),
            kinds=tuple(kind for _, kind in objects),
            colours=colours if has_colours else None,
        )
        step = advance(state, observed, Moment(now, session))
        text = encode_state(step.state)
        assert len(text) <= MAX_STATE_BYTES
        assert decode_state(text) == step.state
        numbers = [identity.track for identity in step.identities]
        assert len(set(numbers)) == len(numbers) == len(objects)
        assert len(step.state.tracks) == len(state.tracks) + step.began - step.ended
        known = {track.track for track in state.tracks}
        assert {number for number in numbers if number not in known}.isdisjoint(used)
        used |= set(numbers)
        state = step.state


def test_time_that_jitters_or_two_producers_leave_ages_right() -> None:
    """Each second frame is stamped early, or comes from another session."""
    for early, other in ((0.15, "a"), (1.5, "b")):
        state = State.empty(1)
        for number in range(200):
            moment = 1000 + number / 10 - (early if number % 2 else 0)
            seen = seen_at((100 + number, 200, 40, 100))
            step = advance(state, seen, Moment(moment, other if number % 2 else "a"))
            state = step.state
        (identity,) = step.identities
        assert identity.track == 1
        assert identity.age_seconds == pytest.approx(19.8, abs=0.2)
        assert identity.velocity[0] == pytest.approx(10, abs=0.5)


def test_a_frame_of_thousands_of_objects_costs_no_more_than_one_of_hundreds() -> None:
    boxes: tuple[Box, ...] = tuple(
        (10 * (i % 100), 10 * (i // 100), 12, 12) for i in range(MOST_TRACKED + 5000)
    )
    tracemalloc.start()
    first = advance(State.empty(1), seen_at(*boxes, size=(1000, 1000)), Moment(5.0))
    second = advance(first.state, seen_at(*boxes, size=(1000, 1000)), Moment(5.1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6  # every one with every other: 2 GB
    for step in (first, second):
        numbers = [identity.track for identity in step.identities]
        assert len(set(numbers)) == len(boxes)
        assert max(numbers) < step.state.next_track
        assert decode_state(encode_state(step.state)) == step.state
    before = {identity.track for identity in first.identities}
    again = [identity.track in before for identity in second.identities]
    assert sum(again[:MOST_TRACKED]) > 300
    assert not any(again[MOST_TRACKED:])
    assert first.began - first.ended == len(first.state.tracks)
    assert first.ended >= 5000
