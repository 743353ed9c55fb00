from hypothesis import given
from hypothesis import strategies as st

from workers.offset_tracker import OffsetTracker
from workers.records import Position


def _begun(positions: OffsetTracker, numbers: range, partition: int = 0) -> list[Position]:
    begun = [positions.begin(partition, number) for number in numbers]
    return [position for position in begun if position is not None]


def test_only_contiguous_done_positions_may_be_committed() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    five, six, seven = _begun(positions, range(5, 8))
    positions.finish(six)
    assert positions.committable() == {}
    positions.finish(five)
    assert positions.committable() == {0: 7}
    positions.finish(seven)
    assert positions.committable() == {0: 8}


def test_a_gap_in_the_numbers_does_not_hold_the_commit() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    first = positions.begin(0, 3)
    second = positions.begin(0, 9)  # compaction and transactions leave gaps
    assert first is not None
    assert second is not None
    positions.finish(first)
    assert positions.committable() == {0: 4}
    positions.finish(second)
    assert positions.committable() == {0: 10}


def test_what_is_committed_is_not_committed_again() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    (only,) = _begun(positions, range(1))
    positions.finish(only)
    positions.mark_committed(positions.committable())
    assert positions.committable() == {}


def test_work_of_an_earlier_assignment_is_never_committed() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    (old,) = _begun(positions, range(1))
    positions.drop([0])
    positions.assign([0])
    assert not positions.is_current(old)
    (new,) = _begun(positions, range(1))
    positions.finish(old)
    assert positions.committable() == {}
    positions.finish(new)
    assert positions.committable() == {0: 1}


def test_an_abandoned_position_holds_the_commit_but_not_the_drain() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    first, second, third = _begun(positions, range(3))
    positions.abandon(second)
    positions.finish(first)
    positions.finish(third)
    assert positions.in_flight() == 0
    assert positions.committable() == {0: 1}


def test_a_partition_that_is_not_owned_begins_nothing() -> None:
    positions = OffsetTracker()
    assert positions.begin(7, 0) is None
    positions.assign([7])
    assert positions.begin(7, 0) == Position(7, 0, 1)


def test_the_front_is_the_first_position_that_is_not_done() -> None:
    positions = OffsetTracker()
    positions.assign([0])
    assert positions.front(0) is None
    first = positions.begin(0, 4, 100.0)
    positions.begin(0, 5, 101.0)
    assert positions.front(0) == (4, 100.0)
    assert first is not None
    positions.finish(first)
    assert positions.front(0) == (5, 101.0)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_in_whatever_order_frames_finish_no_unfinished_one_is_committed_past(
    order: list[int], count: int
) -> None:
    positions = OffsetTracker()
    positions.assign([0])
    begun = _begun(positions, range(12))
    for number in order[:count]:
        positions.finish(begun[number])
    unfinished = sorted(order[count:])
    expected = unfinished[0] if unfinished else 12
    assert positions.committable().get(0, 0) == expected
    assert positions.in_flight() == len(unfinished)
