from contract.log_limit import LogLimit
from tests.fakes import FakeClock


def test_one_line_of_a_kind_in_a_while_says_how_many_were_left_out() -> None:
    clock = FakeClock()
    limit = LogLimit(60, clock=clock)
    assert limit.due("empty") == ""
    assert [limit.due("empty") for _ in range(4_999)] == [None] * 4_999
    assert limit.due("oversized") == ""
    clock.now += 60
    assert limit.due("empty") == " (4999 more like this since the last such line)"
    assert limit.due("empty") is None
    assert limit.take_left_out() == {"empty": 1}
    assert limit.take_left_out() == {}


def test_many_kinds_take_no_room() -> None:
    limit = LogLimit(60, max_kinds=10, clock=FakeClock())
    assert [limit.due(str(number)) for number in range(100)] == [""] * 100
    assert len(limit._kinds) <= 10
