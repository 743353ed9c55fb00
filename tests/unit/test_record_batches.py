"""Record batches: one record for every position, whatever is wrong with it."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.topics import DEAD_RAW_HEADER, DEAD_RAW_HEADERS_HEADER
from servers import record_batches
from servers.record_batches import BATCH, HEADER, RECORD, FetchedRecord, read_batch, split
from tests.raw_batches import (
    CONTROL,
    GZIP,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    batch,
    pack,
    record,
    sized,
    varint,
)

CODECS = [NONE, GZIP, SNAPPY, LZ4, ZSTD]


def read(raw: bytes, begin: int = 0) -> list[FetchedRecord]:
    found = []
    for each in split(raw):
        found += read_batch(each, max(begin, each.base), each.end, each.damage)
    return found


def reasons(raw: bytes) -> list[tuple[int, str | None]]:
    return [(each.offset, each.fault.reason if each.fault else None) for each in read(raw)]


@pytest.mark.parametrize("codec", CODECS)
def test_records_come_as_they_were_written(codec: int) -> None:
    headers = [(b"ce_id", b"x"), ("größe".encode(), None), (b"", b"")]
    raw = batch(record(0, b"one", headers), record(1, None, key=None), codec=codec, base=7)
    first, second = read(raw)
    assert (first.offset, first.key, first.value) == (7, b"key", b"one")
    assert first.headers == [("ce_id", b"x"), ("größe", None), ("", b"")]
    assert first.timestamp == 1_700_000_000_000
    assert (second.offset, second.key, second.value, second.fault) == (8, None, None, None)


def test_java_framing_of_snappy_is_read() -> None:
    body = record(0) + record(1)
    blocks = [pack(SNAPPY, body[:9]), pack(SNAPPY, body[9:])]
    framed = b"\x82SNAPPY\0" + (1).to_bytes(4, "big") * 2
    framed += b"".join(len(block).to_bytes(4, "big") + block for block in blocks)
    raw = batch(codec=SNAPPY, packed=framed, count=2)
    assert reasons(raw) == [(0, None), (1, None)]
    assert reasons(batch(codec=SNAPPY, packed=framed[:-3], count=2)) == [(0, BATCH), (1, BATCH)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_that_is_not_utf_8_costs_one_record(codec: int) -> None:
    bad = [(b"ok", b"1"), (b"\xff\xfe", b"v")]
    raw = batch(record(0), record(1, b"image", bad), record(2), codec=codec)
    first, second, third = read(raw)
    assert (first.fault, third.fault) == (None, None)
    assert (second.offset, second.key, second.value) == (1, b"key", b"image")
    assert second.fault is not None
    assert second.fault.reason == HEADER
    headers = dict(second.headers)
    assert (headers["ok"], headers["\\xff\\xfe"]) == (b"1", b"v")
    raw_headers = headers[DEAD_RAW_HEADERS_HEADER]
    assert raw_headers == varint(2) + b"".join(sized(name) + sized(text) for name, text in bad)


@pytest.mark.parametrize(
    "broken",
    [
        record(1, headers=varint(-1)),
        record(1, headers=varint(5)),
        record(1, headers=varint(1) + varint(-1) + varint(0)),
        record(1, headers=varint(1) + varint(90) + b"name"),
        record(1, headers=varint(0) + b"more"),
        varint(3) + b"\0\0\2",
        varint(0),
        varint(5) + b"\0\0\2\x80\x80",
        varint(13) + b"\0" + b"\xff" * 12,
    ],
    ids=["fewer than no headers", "too few headers", "nameless header", "long name", "trailing",
         "ends early", "empty", "open number", "endless number"],
)  # fmt: skip
@pytest.mark.parametrize("codec", [NONE, ZSTD])
def test_a_record_that_breaks_the_format_costs_itself(broken: bytes, codec: int) -> None:
    raw = batch(record(0), broken, record(2), codec=codec)
    assert reasons(raw) == [(0, None), (1, RECORD), (2, None)]
    assert dict(read(raw)[1].headers) == {DEAD_RAW_HEADER: b"record"}
    assert read(raw)[1].value in broken


def test_a_record_whose_length_is_wrong_costs_the_rest_of_its_batch() -> None:
    raw = batch(record(0), record(1, length=9_999), record(2)) + batch(record(0), base=3)
    assert reasons(raw) == [(0, None), (1, RECORD), (2, RECORD), (3, None)]
    assert dict(read(raw)[2].headers) == {DEAD_RAW_HEADER: b"record at 1"}
    assert read(raw)[2].value is None


@pytest.mark.parametrize("deltas", [[0, 0, 0], [1_000_000, 1, 2], [-5, 1, 2], [2, 1, 0]])
def test_positions_that_a_producer_invents_lead_nowhere(deltas: list[int]) -> None:
    raw = batch(*(record(delta) for delta in deltas), base=10)
    assert reasons(raw) == [
        (10 + index, None if delta == index else RECORD) for index, delta in enumerate(deltas)
    ]


def test_positions_that_compaction_left_out_stay_out() -> None:
    raw = batch(record(1), record(4), base=10, positions=6)
    assert reasons(raw) == [(11, None), (14, None)]
    assert [each.end for each in split(raw)] == [16]


def test_a_damaged_batch_gives_what_can_be_had_and_nothing_to_be_used() -> None:
    raw = bytearray(batch(record(0, b"first"), record(1, b"second")))
    raw[raw.index(b"second")] ^= 0x20
    assert reasons(bytes(raw)) == [(0, BATCH), (1, BATCH)]
    assert [each.value for each in read(bytes(raw))] == [b"first", b"Second"]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD, 5, 7])
def test_a_batch_that_cannot_be_decompressed_is_counted_position_by_position(codec: int) -> None:
    raw = batch(codec=codec, packed=b"garbage" * 9, count=3)
    assert reasons(raw) == [(0, BATCH), (1, BATCH), (2, BATCH)]
    first, second, _ = read(raw)
    assert (first.value, dict(first.headers)) == (raw, {DEAD_RAW_HEADER: b"batch"})
    assert (second.value, dict(second.headers)) == (None, {DEAD_RAW_HEADER: b"batch at 0"})
    assert [each.offset for each in read(raw, begin=2)] == [2]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_costs_no_more_than_the_bound(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "MAX_BATCH_BYTES", 1_000_000)
    raw = batch(record(value=bytes(20_000_000)), codec=codec)
    before = time.thread_time()
    assert reasons(raw) == [(0, BATCH)]
    assert time.thread_time() - before < 0.5
    assert reasons(batch(record(value=bytes(900_000)), codec=codec)) == [(0, None)]


def test_a_million_headers_cost_nothing() -> None:
    raw = batch(record(headers=varint(1_000_000) + b"\0" * 2_000_000), record(1))
    before = time.thread_time()
    assert reasons(raw) == [(0, HEADER), (1, None)]
    assert time.thread_time() - before < 0.2


def test_other_formats_and_impossible_heads_are_no_batches() -> None:
    for raw in (
        batch(record(), magic=1), batch(record(), magic=3), batch(record(), count=5, positions=1),
        batch(record(), count=-1, positions=0), batch(record(), positions=-2_000_000_000),
    ):  # fmt: skip
        (only,) = split(raw)
        assert only.damage
        assert [each.offset for each in read_batch(only, 4, 6, only.damage)] == [4, 5]


@pytest.mark.parametrize("length", [-2_147_483_648, -12, -1, 0, 13, 100_000])
def test_a_length_that_leads_nowhere_ends_the_batches(length: int) -> None:
    good = batch(record())
    bad = bytearray(batch(record(), base=1))
    bad[8:12] = length.to_bytes(4, "big", signed=True)
    assert [each.base for each in split(good + bytes(bad) + good)][:1] == [0]
    assert [each.base for each in split(good + good[:30])] == [0]


def test_a_marker_of_an_aborted_transaction_is_known() -> None:
    abort = batch(record(key=b"\0\0\0\0"), attributes=CONTROL)
    commit = batch(record(key=b"\0\0\0\1"), attributes=CONTROL)
    keyless = batch(record(key=None), attributes=CONTROL)
    plain = batch(record(key=b"\0\0\0\0"))
    found = [next(split(raw)).aborts for raw in (abort, commit, keyless, plain)]
    assert found == [True, False, False, False]


POOL = [
    batch(record(0, b"v", [(b"a", b"b")]), record(1), record(2), codec=codec) for codec in CODECS
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(POOL),
    st.lists(st.tuples(st.integers(8, 10_000), st.integers(0, 255)), max_size=6),
    st.booleans(),
)
def test_whatever_is_wrong_each_position_comes_at_most_once(
    raw: bytes, changes: list[tuple[int, int]], trusted: bool
) -> None:
    data = bytearray(raw)
    for at, byte in changes:
        data[at % len(data)] = byte
    for each in split(bytes(data)):
        end = min(each.end, 50)
        damage = "" if trusted and not each.broken else each.damage
        offsets = [found.offset for found in read_batch(each, 0, end, damage)]
        assert offsets == sorted(set(offsets))
        assert not offsets or (offsets[0] >= 0 and offsets[-1] < end)
        if damage:
            assert offsets[-1:] in ([], [end - 1])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(CODECS), st.integers(0, 5))
def test_any_bytes_give_one_record_for_each_position(body: bytes, codec: int, count: int) -> None:
    raw = batch(codec=codec, packed=pack(codec, body), count=count)
    for each in split(raw):
        found = list(read_batch(each, 0, each.end))
        assert [one.offset for one in found] == list(range(count))
