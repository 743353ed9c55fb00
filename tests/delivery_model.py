"""Kafka as a model, and workers on it that die, hang and lose their partitions where told.

The broker keeps what real Kafka keeps: records, committed positions, who may commit. All of a
worker is real but its consumer, its network and its dead letters; its results go to a real server.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from threading import Event as Flag
from typing import Any, Literal, NamedTuple, TypeVar

import redis
from prometheus_client import CollectorRegistry

from contract.errors import InvalidMessageError
from servers.redis import Redis
from tests.fakes import FakeSegmenter
from tests.sink_parts import TTL_SECONDS, ToRedis
from workers.dead_share import DeadShare
from workers.endings import Endings
from workers.freshness import Freshness
from workers.loop import Loop, Rules
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.previews import Previews
from workers.records import Change, Event, Position, Record
from workers.sink import RedisSink
from workers.stages.line import Limits, Line
from workers.track_chains import TrackChains, look_without_pixels

T = TypeVar("T")
Server = Literal["redis", "commit", "dead letter"]
Ending = Literal["dies", "fails", "hangs"]
SETTLE_SECONDS = 30.0
MAX_AGE_SECONDS = 2.0
DAY_SECONDS = 86_400.0


class Death(BaseException):
    """The end of a process: nothing catches it."""


class Fault(NamedTuple):
    """What happens at a call of a server.

    Attributes:
        server: At the next call of which one.
        applied: Whether the server has done what it was asked, so that only its answer is lost.
        ending: What becomes of the worker.
    """

    server: Server
    applied: bool
    ending: Ending


@dataclass
class Broker:
    """A topic, its dead letters, and the group.

    Attributes:
        logs: The records of each partition.
        committed: Next position to read, by partition.
        owners: Who owns a partition.
        heirs: Who is to get a partition when its owner has let go of it.
        dead: Partition, position and reason of every dead letter.
    """

    logs: list[list[Record]]
    committed: dict[int, int] = field(default_factory=dict)
    owners: dict[int, "ModelSource"] = field(default_factory=dict)
    heirs: dict[int, "ModelSource"] = field(default_factory=dict)
    dead: list[tuple[int, int, str]] = field(default_factory=list)

    def give(self, partition: int, member: "ModelSource") -> None:
        """Move a partition; an owner that is in the group lets go of it first."""
        owner = self.owners.get(partition)
        if owner is member:
            self.heirs.pop(partition, None)
        elif owner is None:
            self.owners[partition] = member
            member.arriving.add(partition)
        else:
            self.heirs[partition] = member

    def release(self, partition: int) -> None:
        """Note that the owner has let go of a partition, and give it to its heir."""
        del self.owners[partition]
        heir = self.heirs.pop(partition, None)
        if heir is not None and not heir.fenced:
            self.give(partition, heir)

    def evict(self, member: "ModelSource", heir: "ModelSource | None") -> None:
        """Give away what a member owns: it was not heard of, and does not know yet."""
        member.fenced = True
        for partition in [each for each, owner in self.owners.items() if owner is member]:
            del self.owners[partition]
            self.heirs.pop(partition, None)
            if heir is not None and not heir.fenced:
                self.give(partition, heir)

    def share(self, member: "ModelSource") -> None:
        """Give a member that joins what nobody owns."""
        for partition in range(len(self.logs)):
            if partition not in self.owners:
                self.give(partition, member)


class ModelSource:
    """Takes the place of ``workers.source.KafkaSource``."""

    def __init__(self, broker: Broker, call: Callable[[Server, Callable[[], bool]], bool]) -> None:
        self._broker = broker
        self._call = call
        self._next: dict[int, int] = {}
        self._events: list[Event] = []
        self.arriving: set[int] = set()
        self.fenced = False
        self.joined = True
        self.rebalancing = False  # one is over when it is noticed
        self.hand_over: Callable[[frozenset[int]], Mapping[int, int]] = lambda _: {}

    def poll(self, max_records: int) -> list[Record]:
        self._rebalance()
        records: list[Record] = []
        for partition, number in list(self._next.items()):
            taken = self._broker.logs[partition][number : number + max_records - len(records)]
            records += taken
            self._next[partition] = number + len(taken)
        return records

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def commit(self, positions: Mapping[int, int]) -> bool:
        return self._call("commit", lambda: self._commit(positions))

    def end(self, partition: int) -> int | None:
        return len(self._broker.logs[partition])

    def _commit(self, positions: Mapping[int, int]) -> bool:
        if self.fenced:
            return False
        self._broker.committed.update(positions)
        return True

    def _rebalance(self) -> None:
        if self.fenced:
            lost, self._next, self.fenced = frozenset(self._next), {}, False
            self.arriving.clear()
            self._events.append(Event(Change.LOST, lost))
            self._broker.share(self)
            return
        going = frozenset(
            each for each in self._broker.heirs if self._broker.owners.get(each) is self
        )
        going -= self.arriving
        if going:
            with suppress(ConnectionError):
                self._call("commit", lambda: self._commit(self.hand_over(going)))
            for partition in going:
                del self._next[partition]
                self._broker.release(partition)
            self._events.append(Event(Change.REVOKED, going))
        if self.arriving:
            arrived, self.arriving = frozenset(self.arriving), set()
            for partition in arrived:
                self._next[partition] = self._broker.committed.get(partition, 0)
            self._events.append(Event(Change.ASSIGNED, arrived))


class ModelDeadLetters:
    """Dead letters on the model, acknowledged at once."""

    full = False

    def __init__(
        self,
        broker: Broker,
        positions: OffsetTracker,
        call: Callable[[Server, Callable[[], None]], None],
    ) -> None:
        self._broker = broker
        self._positions = positions
        self._call = call

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        letter = (record.partition, record.number, error.reason)
        self._call("dead letter", lambda: self._broker.dead.append(letter))
        self._positions.finish(position)

    def check(self) -> None:
        """Nothing ends this."""


class ModelWorker:
    """A worker that can be killed.

    Args:
        broker: Kafka.
        redis_url: A real server.
        live: Whether old frames are skipped.
        wall_clock: Its wall clock.
        make_positions: Makes its offset tracker.
        tracks: Whether it tracks.
    """

    def __init__(
        self,
        broker: Broker,
        redis_url: str,
        *,
        live: bool,
        wall_clock: Callable[[], float],
        make_positions: Callable[[], OffsetTracker] = OffsetTracker,
        tracks: bool = True,
    ) -> None:
        self.fault: Fault | None = None
        self.dead = False
        self.hanging = Flag()
        self._woken = Flag()
        self.registry = CollectorRegistry()
        self._positions = make_positions()
        self.source = ModelSource(broker, self._call)
        letters = ModelDeadLetters(broker, self._positions, self._call)
        server = Redis(_connection(redis_url), lambda *_: _Client.of(redis_url, self._call))
        metrics = WorkerMetrics(self.registry)
        previews = Previews(metrics)
        self._sink = RedisSink(
            server,
            ttl_seconds=TTL_SECONDS,
            max_results=100_000,
            tracks=TrackChains(metrics) if tracks else None,
            previews=previews,
        )
        age = MAX_AGE_SECONDS if live else None
        freshness = Freshness(max_age_seconds=age, old_after_seconds=age, wall_clock=wall_clock)
        endings = Endings(self._positions, letters, metrics, wall_clock=wall_clock)
        self._line = Line(
            FakeSegmenter(),
            self._sink,
            endings,
            metrics,
            Limits(
                max_waiting_frames=8, max_waiting_bytes=10**6, max_batch_size=3,
                max_frame_pixels=10_000, linger_seconds=0.001,
            ),
            freshness,
            look_without_pixels if tracks else None,
            previews,
            on_end=self._positions.wake,
        )  # fmt: skip
        rules = Rules(
            max_ahead_seconds=DAY_SECONDS, max_frame_bytes=10**6,
            max_poll_records=16, drain_seconds=0.05, commit_interval_seconds=0,
        )  # fmt: skip
        self._loop = Loop(
            self.source, self._line, endings, letters, self._positions, metrics, rules, freshness,
            DeadShare(1.0),
        )  # fmt: skip
        self.source.hand_over = self._loop.hand_over
        self._line.start()

    def turn(self) -> None:
        """Let it do a round, and what the round began."""
        try:
            self._loop.turn()
            self._settle()
            self._line.check()
        except Death:
            self.kill()

    def drain(self) -> None:
        """Let it end as after SIGTERM."""
        with suppress(Death):
            self._loop.drain()
        self.kill()

    def wake(self) -> None:
        """Let it go on where it hangs."""
        if self.hanging.is_set():
            self._woken.set()
            self._settle()

    def kill(self) -> None:
        """End it: no server hears of it again."""
        self.dead = True
        self._woken.set()
        assert self._line.stop(SETTLE_SECONDS), "its threads have ended"
        self._sink.close()

    def _settle(self) -> None:
        give_up_at = time.monotonic() + SETTLE_SECONDS
        while (
            self._positions.in_flight()
            and not self._line.ended
            and not (self.hanging.is_set() and not self._woken.is_set())
        ):
            assert time.monotonic() < give_up_at, "it stands still"
            self._positions.wait(0.001)

    def _call(self, server: Server, act: Callable[[], T]) -> T:
        if self.dead:
            raise Death
        fault = self.fault if self.fault is not None and self.fault.server == server else None
        if fault is not None:
            self.fault = None
        if fault is not None and not fault.applied:
            self._suffer(fault)
        answer = act()
        if fault is not None and fault.applied:
            self._suffer(fault)
        return answer

    def _suffer(self, fault: Fault) -> None:
        if fault.ending == "fails":
            raise redis.exceptions.ConnectionError("the answer never came")
        if fault.ending == "hangs":
            self._woken.clear()
            self.hanging.set()
            assert self._woken.wait(60)
            self.hanging.clear()
            if not self.dead:
                return
        self.dead = True
        raise Death


@cache
def _connection(redis_url: str) -> ToRedis:
    return ToRedis(redis_url=redis_url)


class _Client(redis.Redis):
    call: Callable[[Server, Callable[[], Any]], Any]

    @classmethod
    def of(cls, url: str, call: Callable[[Server, Callable[[], Any]], Any]) -> "_Client":
        client: _Client = cls.from_url(url)
        client.call = call
        return client

    def pipeline(self, *args: object, **options: object) -> "redis.client.Pipeline":
        pipeline = super().pipeline(*args, **options)
        execute = pipeline.execute
        pipeline.execute = lambda **options: self.call("redis", lambda: execute(**options))
        return pipeline


numbers = itertools.count(1)
"""Tell the cameras of one example from those of another."""
