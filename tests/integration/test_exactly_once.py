"""Each frame has exactly one result, whatever dies, hangs, comes twice or is set wrong.

Results, identities, the tracks' state and the counts of the minutes change together: they are those
of a worker that stored the same frames alone. A picture comes with a result that is stored.

Hypothesis makes up what happens, over the real loop, pipeline and sink, with Redis a real server.
``SEEDSTREAM_EXAMPLES=2000`` tries so many histories, new ones each time; by default a few, always
the same. ``SEEDSTREAM_STEPS`` is the length of each.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
import simplejpeg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure, FlakyStrategyDefinition
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contract.minutes import minutes_key, read_minutes
from contract.preview import decode_preview, preview_key, watch_key
from contract.result import (
    CAMERAS_KEY,
    decode_result,
    latest_key,
    results_key,
    sessions_key,
    tracks_key,
)
from servers import redis as redis_door
from stack.redis_server import RedisServer
from tests.delivery_model import Broker, Death, Fault, ModelSource, ModelWorker, numbers
from tests.fakes import HEIGHT, WIDTH, jpeg, make_frame, make_record
from tests.sink_parts import (
    TTL_SECONDS,
    CountedMinutes,
    Undisturbed,
    entry_frame,
    frames,
    make_session,
)
from workers import sink as sink_module
from workers import track_chains
from workers.offset_tracker import OffsetTracker
from workers.records import Position, Record

EXAMPLES = int(os.environ.get("SEEDSTREAM_EXAMPLES", "0"))
STEPS = int(os.environ.get("SEEDSTREAM_STEPS", "40"))
MOST_EXPLORATIONS = 3
PARTITIONS = 2
CAMERAS = 3
HOUR, YEAR = 3600.0, 365 * 86_400.0
PICTURE = jpeg()
KEYS = (results_key, latest_key, sessions_key, tracks_key, minutes_key, preview_key)

Frame = tuple[str, int]
camera_numbers = st.integers(0, CAMERAS - 1)
slots = st.integers(0, 1)


class Delivery(RuleBasedStateMachine):
    """Two workers of a group, three cameras in two partitions, and what befalls them."""

    redis_url = ""
    most_cameras = CAMERAS
    may_be_live = True
    make_positions: Callable[[], OffsetTracker] = OffsetTracker

    def __init__(self) -> None:
        super().__init__()
        name = next(numbers)
        self.cameras = [f"gate-{os.getpid()}-{name}-{each}" for each in range(self.most_cameras)]
        self.broker = Broker([[] for _ in range(PARTITIONS)])
        self.wall = time.time()
        self.skews = [0.0, 0.0]
        self.workers: list[ModelWorker | None] = [None, None]
        self.gone: list[ModelWorker] = []
        self.sessions: list[list[str]] = [[] for _ in self.cameras]
        self.sequences: dict[str, int] = {}
        self.wanted: dict[tuple[int, int], tuple[str, Frame]] = {}
        self.poison: set[tuple[int, int]] = set()
        self.skippable: set[tuple[int, int]] = set()
        self.live = False
        self.alone = {camera: Undisturbed() for camera in self.cameras}
        self.followed = dict.fromkeys(self.cameras, 0)
        self.counted = {camera: CountedMinutes() for camera in self.cameras}
        self.shown = dict.fromkeys(self.cameras, -1)
        self.client = redis.Redis.from_url(self.redis_url)

    @initialize(live=st.booleans())
    def begin(self, live: bool) -> None:
        self.live = live and self.may_be_live
        self.start(0)
        self.start(1)
        for camera in range(self.most_cameras):
            self.connect(camera, 0.0, 0)

    # What producers do.

    @rule(
        camera=camera_numbers,
        ahead=st.sampled_from([0.0, 1.0, -1.0, -HOUR, HOUR, 50 * YEAR]),
        count=st.integers(0, 2),
    )
    def connect(self, camera: int, ahead: float, count: int) -> None:
        camera %= self.most_cameras
        self.sessions[camera].append(make_session(self.wall + ahead))
        self._publish(camera, self.sessions[camera][-1], count, 0.0)

    @rule(camera=camera_numbers, count=st.integers(1, 6), age=st.sampled_from([0.0, 9.0, -HOUR]))
    def publish(self, camera: int, count: int, age: float) -> None:
        camera %= self.most_cameras
        self._publish(camera, self.sessions[camera][-1], count, age)

    @rule(camera=camera_numbers, back=st.integers(2, 4))
    def publish_of_an_earlier_session(self, camera: int, back: int) -> None:
        camera %= self.most_cameras
        self._publish(camera, self.sessions[camera][-back:][0], 1, 0.0)

    @rule(camera=camera_numbers, count=st.integers(1, 4))
    def publish_again_what_was_taken(self, camera: int, count: int) -> None:
        camera %= self.most_cameras
        log = self.broker.logs[camera % PARTITIONS]
        own = [each for each in log if each.key == self.cameras[camera].encode()]
        for record in own[-count:]:
            place = (record.partition, record.number)
            if place in self.wanted:
                self._append(record, self.wanted[place])

    @rule(camera=camera_numbers, kind=st.sampled_from(["no frame", "no picture", "the future"]))
    def publish_poison(self, camera: int, kind: str) -> None:
        camera %= self.most_cameras
        partition, session = camera % PARTITIONS, self.sessions[camera][-1]
        ahead = 3 * 86_400 if kind == "the future" else 0
        frame = make_frame(
            self.cameras[camera],
            self._sequence(session),
            session=session,
            captured_at=self.wall + ahead,
            data=b"no picture" if kind == "no picture" else PICTURE,
        )
        record = make_record(frame, 0, partition=partition)
        if kind == "no frame":
            record = Record(partition, 0, None, b"", [], self.wall)
        self._append(record, None)
        if self.live and kind == "no picture":
            log = self.broker.logs[partition]
            self.skippable.add((partition, len(log) - 1))  # before anybody looks at it

    # What befalls the workers.

    @rule(slot=slots, turns=st.integers(1, 4))
    def turn(self, slot: int, turns: int) -> None:
        for _ in range(turns):
            worker = self.workers[slot]
            if worker is not None and not worker.hanging.is_set():
                worker.turn()
                if worker.dead:
                    self._bury(slot)

    @rule(
        slot=slots,
        server=st.sampled_from(["redis", "redis", "commit", "dead letter"]),
        applied=st.booleans(),
        ending=st.sampled_from(["dies", "dies", "fails", "hangs"]),
        camera=camera_numbers,
        turns=st.integers(1, 3),
    )
    def meet_a_fault(
        self, slot: int, server: Any, applied: bool, ending: Any, camera: int, turns: int
    ) -> None:
        """At its next call of a server."""
        worker = self.workers[slot]
        if worker is None:
            return
        if server != "redis":
            ending = "dies"  # they are called by the loop's own thread, which is the test's
        worker.fault = Fault(server, applied, ending)
        self.publish(camera, 3, 0.0)
        self.turn(slot, turns)

    @rule(slot=slots)
    def wake(self, slot: int) -> None:
        worker = self.workers[slot]
        if worker is not None:
            worker.wake()

    @rule(slot=slots)
    def evict(self, slot: int) -> None:
        """It was not heard of for too long; it goes on working until it learns of it."""
        worker, other = self.workers[slot], self.workers[1 - slot]
        if worker is not None:
            self.broker.evict(worker.source, None if other is None else other.source)

    @rule(partition=st.integers(0, PARTITIONS - 1), slot=slots)
    def rebalance(self, partition: int, slot: int) -> None:
        worker = self.workers[slot]
        if worker is not None and not worker.source.fenced:
            self.broker.give(partition, worker.source)

    @rule(slot=slots, drains=st.booleans(), tracks=st.sampled_from([True, True, True, False]))
    def restart(self, slot: int, drains: bool, tracks: bool) -> None:
        worker = self.workers[slot]
        if worker is not None:
            if drains and not worker.hanging.is_set():
                worker.drain()
            else:
                worker.kill()
            self._bury(slot)
        self.start(slot, tracks=tracks)

    @rule(camera=camera_numbers, kept=st.sampled_from([None, b"not ours", b"a/0/b \x90"]))
    def lose_the_tracks(self, camera: int, kept: bytes | None) -> None:
        """Evicted, or overwritten by another application."""
        name = self.cameras[camera % self.most_cameras]
        if kept is None:
            self.client.delete(tracks_key(name))
        else:
            self.client.set(tracks_key(name), kept, ex=TTL_SECONDS)
        self.alone[name] = Undisturbed()
        self.alone[name].replaces = kept

    @rule(slot=slots, skew=st.sampled_from([0.0, -HOUR, HOUR / 2]))
    @precondition(lambda self: not self.live)
    def step_the_clock(self, slot: int, skew: float) -> None:
        self.skews[slot] = skew

    @rule(camera=camera_numbers, width=st.sampled_from([None, 64, 384]))
    def look(self, camera: int, width: int | None) -> None:
        key = watch_key(self.cameras[camera % self.most_cameras])
        if width is None:
            self.client.delete(key)
        else:
            self.client.set(key, width, ex=TTL_SECONDS)

    # What holds at every moment.

    @invariant()
    def the_account_holds(self) -> None:
        committed = dict(self.broker.committed)  # before what is stored: that only grows
        dead = {(partition, number) for partition, number, _ in self.broker.dead}
        for camera, (entries, latest, tracks, minutes, pair, *ttls) in self._kept().items():
            self._follow(camera, entries)
            assert read_minutes(minutes) == self.counted[camera].kept(), "each frame counts once"
            self._look_at(camera, entries, pair)
            assert tracks == self.alone[camera].kept(), "the state is that after the last one"
            stored, wanted = [entry_frame(fields) for _, fields in entries], self._wanted(camera)
            if self.live:
                assert len(set(stored)) == len(stored), "each once"
                left = iter(wanted)
                assert all(frame in left for frame in stored), "in order"
            else:
                assert stored == wanted[: len(stored)], "none is left out, doubled or out of order"
                for (partition, number), (name, frame) in self.wanted.items():
                    if name == camera and number < committed.get(partition, 0):
                        assert frame in set(stored), f"{frame} is committed and nowhere"
            assert -1 not in ttls, "each key expires"
            if stored:
                assert entry_frame({b"result": latest}) == stored[-1], "the latest is the newest"
        for partition, number in self.poison - self.skippable:
            assert (partition, number) in dead or number >= committed.get(partition, 0)

    def teardown(self) -> None:
        """Let a worker do what is left, and close the account."""
        try:
            for slot in (0, 1):
                worker = self.workers[slot]
                if worker is not None:
                    worker.kill()
                    self._bury(slot)
            self.skews = [0.0, 0.0]
            if self.sessions[0]:
                self._finish()
        finally:
            for worker in (*self.workers, *self.gone):
                if worker is not None:
                    with suppress(Death):
                        worker.kill()
            keys = [key for name in self.cameras for key in self.client.keys(f"*{{{name}}}*")]
            self.client.delete(*keys, CAMERAS_KEY)
            self.client.close()

    def start(self, slot: int, *, tracks: bool = True) -> None:
        worker = ModelWorker(
            self.broker,
            self.redis_url,
            live=self.live,
            wall_clock=lambda: self.wall + self.skews[slot],
            make_positions=self.make_positions,
            tracks=tracks,
        )
        self.workers[slot] = worker
        self.broker.share(worker.source)

    def _finish(self) -> None:
        self.start(0)
        worker = self.workers[0]
        assert worker is not None
        for _ in range(1000):
            worker.turn()
            ends = {p: len(log) for p, log in enumerate(self.broker.logs) if log}
            if self.broker.committed == ends:
                break
        assert self.broker.committed == ends, "all is done and committed"
        self.the_account_holds()
        dead = {(partition, number) for partition, number, _ in self.broker.dead}
        assert self.poison - self.skippable <= dead <= self.poison
        missing = len(self.poison - dead) + sum(
            len(self._wanted(camera)) - len(frames(self.client, camera)) for camera in self.cameras
        )
        assert missing <= self._skipped(), "what has no result was skipped for a reason"
        assert self.live or not missing
        if self.wanted and any(frames(self.client, camera) for camera in self.cameras):
            assert self.client.ttl(CAMERAS_KEY) > 0

    def _bury(self, slot: int) -> None:
        worker, other = self.workers[slot], self.workers[1 - slot]
        assert worker is not None
        heir: ModelSource | None = None if other is None or other.dead else other.source
        self.broker.evict(worker.source, heir)
        self.gone.append(worker)
        self.workers[slot] = None

    def _kept(self) -> dict[str, list[Any]]:
        """Return of each camera the entries of its stream, its latest, and times to live."""
        read = self.client.pipeline(transaction=True)
        for camera in self.cameras:
            read.xrange(results_key(camera))
            read.get(latest_key(camera))
            read.get(tracks_key(camera))
            read.hgetall(minutes_key(camera))
            read.get(preview_key(camera))
            for key in KEYS:
                read.ttl(key(camera))
        answers, size = read.execute(), 5 + len(KEYS)
        return {camera: answers[size * n : size * (n + 1)] for n, camera in enumerate(self.cameras)}

    def _follow(self, camera: str, entries: list[Any]) -> None:
        """Compare the identities of what is new in a stream; nothing before it changes."""
        for _, fields in entries[self.followed[camera] :]:
            result = decode_result(fields[b"result"])
            self.counted[camera].follow(result)
            if any(instance.track is not None for instance in result.instances):
                assert result.instances == self.alone[camera].follow(result), "as one alone"
        self.followed[camera] = len(entries)

    def _look_at(self, camera: str, entries: list[Any], value: bytes | None) -> None:
        """Expect a picture with the document of a stored result, never of an older one."""
        if value is None:
            return
        pair = decode_preview(value)
        places = [n for n, (_, fields) in enumerate(entries) if fields[b"result"] == pair.document]
        assert places, "what is shown is stored"
        assert places[0] >= self.shown[camera], "never back to an older one"
        self.shown[camera] = places[0]
        assert simplejpeg.decode_jpeg_header(pair.jpeg)[:2] == (HEIGHT, WIDTH)

    def _publish(self, camera: int, session: str, count: int, age: float) -> None:
        for _ in range(count):
            sequence = self._sequence(session)
            name = self.cameras[camera]
            frame = make_frame(
                name, sequence, session=session, captured_at=self.wall - age, data=PICTURE
            )
            record = make_record(frame, 0, partition=camera % PARTITIONS)
            self._append(record, (name, (session, sequence)))

    def _append(self, record: Record, wanted: tuple[str, Frame] | None) -> None:
        log = self.broker.logs[record.partition]
        number = len(log)
        log.append(
            Record(
                record.partition, number, record.key, record.value, record.headers,
                record.timestamp_seconds, log=f"topic/{record.partition}",
            )
        )  # fmt: skip
        if wanted is None:
            self.poison.add((record.partition, number))
        else:
            self.wanted[record.partition, number] = wanted

    def _sequence(self, session: str) -> int:
        self.sequences[session] = self.sequences.get(session, -1) + 1
        return self.sequences[session]

    def _wanted(self, camera: str) -> list[Frame]:
        places = sorted(place for place, (name, _) in self.wanted.items() if name == camera)
        return list(dict.fromkeys(self.wanted[place][1] for place in places))

    def _skipped(self) -> float:
        return sum(
            sample.value
            for worker in (*self.workers, *self.gone)
            if worker is not None
            for family in worker.registry.collect()
            for sample in family.samples
            if sample.name == "seedstream_frames_skipped_total"
        )


def explore(machine: type[Delivery], *, examples: int, steps: int, shrink: bool = True) -> None:
    """Explore what the machine does; from anew where its threads took their steps in other turns.

    On a busy machine the same steps may lead elsewhere when they are repeated, and hypothesis then
    gives up, since it draws the next step by where it is. That is no fault of what is examined.
    """
    for number in range(MOST_EXPLORATIONS):
        wanted = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not (EXAMPLES or number),
            database=None,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        last = number == MOST_EXPLORATIONS - 1
        with suppress(*(() if last else (FlakyStrategyDefinition,))):
            run_state_machine_as_test(machine, settings=wanted)
            return


@pytest.fixture
def machine(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> type[Delivery]:
    monkeypatch.setattr(redis_door, "_FIRST_DELAY_SECONDS", 0.001)
    # A lost answer is made up here: the server need not be asked whether it speaks TLS.
    monkeypatch.setattr(redis_door, "lost", lambda error: False)

    class OnServer(Delivery):
        redis_url = redis_server.url

    return OnServer


@pytest.mark.timeout(0)
def test_each_frame_has_exactly_one_result_whatever_happens(machine: type[Delivery]) -> None:
    explore(machine, examples=EXAMPLES or 60, steps=STEPS, shrink=bool(EXAMPLES))


class CommitsTooEarly(OffsetTracker):
    """A fault: a record is done as soon as it has been read."""

    def begin(self, *args: Any) -> Any:
        position = super().begin(*args)
        if position is not None:
            super().finish(position)
        return position

    def finish(self, position: Position) -> None:
        """It was done before."""


def by_the_clock_alone(script: str) -> str:
    """A fault: the order of the version before, in which clocks decide between sessions."""
    kafka = "if frame.log ~= '' and frame.log == last.log then"
    assert kafka in script
    return script.replace(kafka, "if false then").replace("not (known or later", "not (later")


def without_memory(script: str) -> str:
    """A fault: the sessions before the newest are not remembered."""
    remembered = "closed[MOST_CLOSED + 1] = nil"
    assert remembered in script
    return script.replace(remembered, "closed = {}")


def without_comparison(script: str) -> str:
    """A fault: identities are stored whatever state they were computed from."""
    compared = "return tracks and frame.base ~= token"
    assert compared in script
    return script.replace(compared, "return false")


def state_left_behind(script: str) -> str:
    """A fault: a result is stored without the state after it."""
    assert "if written then" in script
    return script.replace("if written then", "if written and #outcomes > 1 then")


def latest_first(script: str) -> str:
    """A fault: the latest result is not set when the newest entry was stored by another."""
    assert "if touched and" in script
    return script.replace("if touched and", "if #outcomes > 1 and touched and")


def counted_whatever_becomes_of_it(script: str) -> str:
    """A fault: a frame counts when it comes, also one that came before."""
    stored, asked = "      note_minute(frame)\n", "local function store(frame)\n"
    assert stored in script
    assert asked in script
    return script.replace(stored, "").replace(asked, f"{asked}  note_minute(frame)\n")


def shown_before_it_is_stored(script: str) -> str:
    """A fault: a picture is taken from a frame that may not be stored."""
    stored, asked = "      note_preview(frame)\n", "local function store(frame)\n"
    assert stored in script
    return script.replace(stored, "").replace(asked, f"{asked}  note_preview(frame)\n")


@contextmanager
def found() -> Iterator[None]:
    """Expect that the machine finds a fault.

    On a busy machine the same steps may end otherwise when they are repeated, which hypothesis
    reports as such, with what it had found.
    """
    with pytest.raises((AssertionError, FlakyFailure)) as raised:
        yield
    if isinstance(raised.value, FlakyFailure):
        assert any(isinstance(each, AssertionError) for each in raised.value.exceptions)


def test_the_machine_finds_a_commit_before_the_result_is_stored(machine: type[Delivery]) -> None:
    machine.make_positions, machine.most_cameras, machine.may_be_live = CommitsTooEarly, 1, False
    with found():
        explore(machine, examples=200, steps=STEPS, shrink=False)


@pytest.mark.parametrize(
    "fault",
    [
        by_the_clock_alone,
        without_memory,
        without_comparison,
        state_left_behind,
        latest_first,
        counted_whatever_becomes_of_it,
        shown_before_it_is_stored,
    ],
)
def test_the_machine_finds_a_fault_of_the_script(
    machine: type[Delivery], monkeypatch: pytest.MonkeyPatch, fault: Callable[[str], str]
) -> None:
    machine.most_cameras, machine.may_be_live = 1, False
    monkeypatch.setattr(sink_module, "STORE", fault(sink_module.STORE))
    with found():
        explore(machine, examples=200, steps=STEPS, shrink=False)


def test_the_machine_finds_a_token_that_names_the_frame_alone(
    machine: type[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.most_cameras, machine.may_be_live = 1, False
    for place, name in ((track_chains, "_digest"), (Undisturbed, "digest")):
        monkeypatch.setattr(place, name, staticmethod(lambda text: "0" * 16))
    with found():
        explore(machine, examples=200, steps=STEPS, shrink=False)
