"""In which order results stand: Kafka's within a partition, whatever the clocks say."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import redis
from msgspec import structs

from contract.result import DOCUMENT_FIELD, encode_result, stream_id
from stack.redis_server import RedisServer
from tests.default_keys import KEYS
from tests.sink_parts import TTL_SECONDS, frames, latest, make_entry, make_session, make_sink
from workers.records import Entry, Outcome
from workers.sink import RedisSink
from workers.sink_order import SILENT_SECONDS

STORED, DUPLICATE, OUT_OF_ORDER = Outcome.STORED, Outcome.DUPLICATE, Outcome.OUT_OF_ORDER
SET_BACK, RESUMED = Outcome.SET_BACK, Outcome.RESUMED


def session(minutes: float = 0.0) -> str:
    """Return a session that began so long after now."""
    return make_session(datetime.now(UTC).timestamp() + 60 * minutes)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def sink(redis_server: RedisServer) -> Iterator[RedisSink]:
    sink = make_sink(redis_server.url)
    yield sink
    sink.close()


@pytest.fixture
def camera(unique_name: Callable[[str], str]) -> str:
    return unique_name("gate")


def topic(
    camera: str, *frames: tuple[str, int], log: str = "topic-1/3", start: int = 0
) -> list[Entry]:
    """Return the results of frames that lie one after the other in a partition."""
    return [
        make_entry(camera, sequence, name, log=log, position=start + number)
        for number, (name, sequence) in enumerate(frames)
    ]


def ids(client: "redis.Redis", camera: str) -> list[tuple[int, ...]]:
    entries = client.xrange(KEYS.results(camera))
    return [tuple(int(part) for part in entry_id.split(b"-")) for entry_id, _ in entries]


def assert_repetitions_change_nothing(
    client: "redis.Redis", sink: RedisSink, entries: Sequence[Entry]
) -> None:
    """Redeliver all frames, and any part of them, in batches and one by one."""
    before = client.xrange(KEYS.results(entries[0].result.camera))
    assert set(sink.store(entries)) <= {DUPLICATE}
    for first in range(len(entries)):
        assert set(sink.store(entries[first : first + 3])) == {DUPLICATE}
    assert client.xrange(KEYS.results(entries[0].result.camera)) == before


def test_a_session_from_the_future_keeps_no_frame_of_the_camera_back(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    good, rogue = session(-60), session(1e7)
    order = [(good, 0), (rogue, 0), *((good, number) for number in range(1, 101))]
    entries = topic(camera, *order)
    assert sink.store(entries) == [STORED, STORED, RESUMED, *[STORED] * 99]
    assert frames(client, camera) == order
    assert latest(client, camera) == 100
    ceiling = datetime.now(UTC).timestamp() * 1000 + 1000
    assert all(first <= ceiling for first, _ in ids(client, camera)), "ids name no future"
    assert_repetitions_change_nothing(client, sink, entries)


def test_a_session_from_the_future_keeps_no_later_session_back(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    order = [(session(1e7), 0), *((session(), number) for number in range(5))]
    entries = topic(camera, *order)
    assert sink.store(entries[:1]) == [STORED]
    assert all(outcome.stored for outcome in sink.store(entries[1:]))
    assert frames(client, camera) == order
    assert_repetitions_change_nothing(client, sink, entries)


def test_a_producer_restarted_with_its_clock_set_back_goes_on_at_once(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    before, after, again = session(), session(-60), session(-59)
    order = [(name, number) for name in (before, after, again) for number in range(3)]
    entries = topic(camera, *order)
    outcomes = sink.store(entries)
    assert outcomes == [*[STORED] * 3, SET_BACK, STORED, STORED, SET_BACK, STORED, STORED]
    assert frames(client, camera) == order
    assert ids(client, camera) == sorted(set(ids(client, camera)))
    assert 0 < client.ttl(KEYS.sessions(camera)) <= TTL_SECONDS
    assert_repetitions_change_nothing(client, sink, entries)


def test_two_producers_under_one_id_have_every_frame_stored_in_kafkas_order(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    first, second = session(-1), session()
    order = [(name, number) for number in range(30) for name in (first, second)]
    entries = topic(camera, *order)
    assert sink.store(entries) == [STORED, STORED, *[RESUMED] * 58]
    assert frames(client, camera) == order
    # What is older than the sessions that are remembered may be called out of order, never stored.
    assert not any(outcome.stored for outcome in sink.store(entries))
    assert frames(client, camera) == order
    assert set(sink.store(entries[-8:])) == {DUPLICATE}


def test_what_a_producer_sent_again_after_it_was_taken_is_a_duplicate(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    old, new = session(), session(-60)
    order = [(old, 0), (old, 1), (new, 0)]
    sink.store(topic(camera, *order))
    again = topic(camera, (old, 0), (old, 1), (new, 0), (old, 1), start=3)
    assert sink.store(again) == [DUPLICATE] * 4
    assert frames(client, camera) == order


def test_a_frame_of_a_session_that_was_moved_is_found_when_it_was_sent_again(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    order = [(session(minutes), 0) for minutes in (0, -60, -59)]
    sink.store(topic(camera, *order))
    assert sink.store(topic(camera, *order, start=3)) == [DUPLICATE] * 3
    assert frames(client, camera) == order


def test_in_one_batch_a_frame_that_lies_in_kafka_twice_is_stored_once(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    one = session()
    assert sink.store(topic(camera, (one, 0), (one, 1), (one, 0), (one, 1), (one, 2))) == [
        STORED, STORED, DUPLICATE, DUPLICATE, STORED,
    ]  # fmt: skip
    assert frames(client, camera) == [(one, 0), (one, 1), (one, 2)]


def test_a_replay_of_more_sessions_than_are_remembered_stores_none_again(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    # The clock goes back for each of them, so none has the id that it would have had.
    order = [(session(-number), 0) for number in range(60)]
    entries = topic(camera, *order)
    for entry in entries:
        assert sink.store([entry])[0].stored
    assert not any(outcome.stored for entry in entries for outcome in sink.store([entry]))
    assert frames(client, camera) == order


def test_from_another_partition_the_clock_decides(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    older, now, newer = session(-60), session(), session(1)
    sink.store(topic(camera, (now, 0), start=100))
    elsewhere = topic(camera, (older, 5), (now, 1), (newer, 0), (newer, 1), log="topic-1/4")
    assert sink.store(elsewhere) == [OUT_OF_ORDER, STORED, STORED, STORED]
    assert frames(client, camera) == [(now, 0), (now, 1), (newer, 0), (newer, 1)]
    assert sink.store(elsewhere[1:]) == [DUPLICATE] * 3


def test_a_record_of_another_partition_ends_no_session(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    good, rogue = session(-60), session(1e7)
    first, *rest = topic(camera, *((good, number) for number in range(10)))
    sink.store([first, *topic(camera, (rogue, 0), log="topic-1/4")])
    assert all(outcome.stored for outcome in sink.store(rest))
    assert frames(client, camera)[2:] == [(good, number) for number in range(1, 10)]


def test_a_topic_made_anew_begins_at_position_0_and_goes_on(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    before, after = session(), session(1)
    sink.store(topic(camera, (before, 0), start=10_000))
    anew = topic(camera, (after, 0), (after, 1), log="topic-2/3")
    assert sink.store(anew) == [STORED, STORED]
    assert frames(client, camera) == [(before, 0), (after, 0), (after, 1)]


def test_an_older_session_that_was_never_stored_stays_out_of_order_when_it_is_redelivered(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    skipped, newer = session(), session(-60)
    first, second = topic(camera, (skipped, 0), (newer, 0))
    sink.store([second])
    assert sink.store([first]) == [OUT_OF_ORDER]


@pytest.mark.parametrize("log", ["topic-1/4", ""], ids=["partition", "no topic ids"])
def test_a_producer_whose_clock_was_set_back_is_heard_once_the_other_is_silent(
    sink: RedisSink, client: "redis.Redis", camera: str, log: str
) -> None:
    before, after = session(), session(-60)
    sink.store(topic(camera, (before, 0), log="topic-1/3" if log else ""))
    entries = topic(camera, *((after, number) for number in range(4)), log=log, start=1)
    assert sink.store(entries[:1]) == [OUT_OF_ORDER]
    # As after so many seconds without a result.
    client.expire(KEYS.latest(camera), TTL_SECONDS - SILENT_SECONDS - 1)
    assert sink.store(entries[1:]) == [SET_BACK, STORED, STORED]
    assert latest(client, camera) == 3
    assert client.ttl(KEYS.latest(camera)) > TTL_SECONDS - 2
    assert_repetitions_change_nothing(client, sink, entries[1:])


def test_sequences_above_the_whole_numbers_of_lua_are_told_apart(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    one, big = session(), 2**53
    order = [(one, big), (one, big + 1), (one, 2**63 - 1)]
    entries = topic(camera, *order, start=2**53)
    assert sink.store(entries) == [STORED] * 3
    assert frames(client, camera) == order
    assert sink.store(topic(camera, (session(-60), 0), start=2**53 + 3)) == [SET_BACK]


def store_as_before_origins(client: "redis.Redis", entry: Entry) -> None:
    fields = {DOCUMENT_FIELD: encode_result(entry.result)}
    client.xadd(KEYS.results(entry.result.camera), fields, id=stream_id(entry.result))


def test_results_of_the_version_before_are_followed_and_found(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    one = session()
    entries = topic(camera, *((one, number) for number in range(4)))
    for entry in entries[:2]:
        store_as_before_origins(client, entry)
    assert sink.store(entries) == [DUPLICATE, DUPLICATE, STORED, STORED]
    assert sink.store(topic(camera, (session(-1), 0), start=4)) == [SET_BACK]


def test_a_result_from_the_future_that_the_version_before_stored_keeps_no_frame_back(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    store_as_before_origins(client, make_entry(camera, 0, session(1e6)))
    one = session()
    assert sink.store(topic(camera, (one, 0), (one, 1))) == [SET_BACK, STORED]
    assert frames(client, camera)[1:] == [(one, 0), (one, 1)]


@pytest.mark.parametrize("left", [0, 1])
def test_results_deleted_by_hand_keep_the_next_ones_of_a_session_not_back(
    sink: RedisSink, client: "redis.Redis", camera: str, left: int
) -> None:
    one = session()
    entries = topic(camera, *((one, number) for number in range(4)))
    sink.store(entries[:3])
    client.xtrim(KEYS.results(camera), maxlen=left, approximate=False)
    assert sink.store(entries[3:]) == [STORED]
    assert latest(client, camera) == 3


def test_a_worker_whose_clock_is_wrong_forgets_no_camera_of_the_others(
    sink: RedisSink, client: "redis.Redis", camera: str, unique_name: Callable[[str], str]
) -> None:
    sink.store([make_entry(camera, 0)])
    other = make_entry(unique_name("yard"), 0)
    ahead = other.result.processed_at + timedelta(days=400)
    sink.store([other._replace(result=structs.replace(other.result, processed_at=ahead))])
    assert client.zscore(KEYS.cameras, camera) is not None
    now = datetime.now(UTC).timestamp()
    assert client.zscore(KEYS.cameras, other.result.camera) == pytest.approx(now, abs=5)
