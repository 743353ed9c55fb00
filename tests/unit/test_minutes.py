from datetime import UTC, datetime

from contract.minutes import ClassCount, Minute, class_counts, minute_name, read_minutes
from contract.result import Instance
from tests.default_keys import KEYS

MASK = {"size": [4, 4], "counts": "0"}


def instance(name: str) -> Instance:
    return Instance(1, name, 0.5, (0, 0, 1, 1), (0.5, 0.5), 1, MASK)


def test_minutes_come_in_order_and_what_is_none_is_left_out() -> None:
    value = b'{"frames": 2, "classes": {"person": {"total": 3, "most": 2}}, "later": 1}'
    found = read_minutes(
        {
            b"29410561": b'{"frames":1,"classes":{}}',
            b"29410560": value,
            b"x": value,
            b"": value,
            b"-1": value,
            b"1.5": value,
            "٣".encode(): value,
            b"9" * 400: value,
            b"3": b"",
            b"4": b'{"frames":-1,"classes":{}}',
            b"5": b"[]",
            b"6": b'{"frames":1}',
            b"7": b"\xff",
        }
    )
    assert found == [
        Minute(29410560 * 60, 2, {"person": ClassCount(3, 2)}),
        Minute(29410561 * 60, 1, {}),
    ]
    assert read_minutes({}) == []


def test_a_minute_tells_mean_and_most_of_a_class() -> None:
    minute = Minute(0, 4, {"person": ClassCount(10, 5)})
    assert (minute.mean("person"), minute.most("person")) == (2.5, 5)
    assert (minute.mean("car"), minute.most("car")) == (0.0, 0)
    assert Minute(0, 0, {"person": ClassCount(0, 0)}).mean("person") == 0.0


def test_a_frame_counts_into_the_minute_of_its_capture() -> None:
    assert minute_name(datetime(1970, 1, 1, 0, 1, 59, 999_999, UTC)) == "1"
    assert minute_name(datetime(2026, 11, 29, 12, tzinfo=UTC)) == str(1_795_953_600 // 60)
    assert class_counts([instance("a"), instance("b"), instance("a")]) == b'{"a":2,"b":1}'
    assert class_counts([]) == b"{}"
    assert KEYS.minutes("gate").replace(":minutes", ":results") == KEYS.results("gate")
