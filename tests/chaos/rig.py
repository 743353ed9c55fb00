"""A pipeline under load whose parts a test breaks: cameras, workers, and what starts them again.

What ends by itself is started again after a second, as a cluster's supervisor does; a test kills
what it likes. Everything that waits goes through ``run_for`` or ``until``, which look after that.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from contract.result import decode_result
from contract.samples import last_values
from contract.topics import MAX_RECORD_BYTES
from servers.redis import Client
from servers.redis_connection import ERRORS
from stack.frame_ledger import topic_ends
from stack.seedstream_process import SeedstreamProcess, environment
from tests.chaos.account import Account, Row, take_account
from tests.conftest import REPOSITORY
from tests.default_keys import KEYS
from tests.waits import PATIENCE

WHOLE = "SEEDSTREAM_CHAOS"
"""Set to run the whole suite; its value, if a number, is the seed."""

_PATIENCE = 1 if WHOLE in os.environ else PATIENCE
"""The whole suite runs alone and holds its bounds; the brief part shares its cores in CI."""

SESSION_SECONDS = 6
"""Session timeout of the workers, the shortest that they take."""

RESTART_SECONDS = 1.0
KUBELET_SECONDS = 2.0
_LEAVE_SECONDS = 60.0
_SETTLE_SECONDS = 120.0


@dataclass
class Slot:
    """A process and those that took its place.

    Attributes:
        name: What it is.
        start: Starts it anew, told how often it was started before.
        process: The one of now.
        wanted: Whether it is started again when it ends.
        probed: Whether it is killed when ``/healthz`` says no, as a kubelet does.
        values: Folders with the metrics of each.
        exits: Exit codes of those that ended unasked.
    """

    name: str
    start: Callable[[int], SeedstreamProcess]
    process: SeedstreamProcess
    wanted: bool = True
    probed: bool = False
    starts: int = 1
    exits: list[int] = field(default_factory=list)
    ended_at: float | None = None
    asked_at: float = 0.0

    def tend(self) -> None:
        """Start the process again if it has ended."""
        now = time.monotonic()
        if self.probed and now - self.asked_at > KUBELET_SECONDS and self.process.alive():
            self.asked_at = now
            if self.process.get("/healthz")[0] == 503:
                self.process.stop(30)
        if not self.wanted or self.process.alive():
            return
        if self.ended_at is None:
            self.ended_at = now
            self.exits.append(self.process.exit_code or 0)
        if now - self.ended_at >= RESTART_SECONDS:
            self.process = self.start(self.starts)
            self.starts += 1
            self.ended_at = None


@dataclass
class Rig:
    """One topic, one group, cameras and workers on servers that are there.

    Attributes:
        folder: Where logs and metrics go.
        bootstrap_servers: Kafka, for the test itself.
        client: Redis, for the test itself.
        topic: The frames; its dead letters go to ``TOPIC.dead``.
        cameras: Ids of the cameras.
        worker: Settings of the workers beyond the rig's own.
        producer: Settings of the producer beyond the rig's own.
        consumer_options: Of the test's own consumer.
    """

    folder: Path
    bootstrap_servers: str
    client: Client
    topic: str
    cameras: list[str]
    worker: Mapping[str, object] = field(default_factory=dict)
    producer: Mapping[str, object] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    notes: list[str] = field(default_factory=list)
    on_turn: list[Callable[[], object]] = field(default_factory=list)

    @property
    def dead_topic(self) -> str:
        """Topic of the dead letters."""
        return f"{self.topic}.dead"

    def add_worker(
        self,
        name: str,
        *,
        seconds: float = 0.01,
        prefix: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        probed: bool = False,
        **settings: object,
    ) -> Slot:
        """Start a worker with the fake network.

        Args:
            name: Its name within the rig.
            seconds: How long its network takes for a batch.
            prefix: What starts it, such as ``ip netns exec NAME``.
            env: More of its environment.
            probed: Whether it is killed when ``/healthz`` says no.
            settings: Its own settings.
        """
        (self.folder / "model.onnx").write_bytes(b"the fake network does not read it")
        given = {
            "bootstrap_servers": self.bootstrap_servers, "topic": self.topic,
            "dead_topic": self.dead_topic, "group": f"{self.topic}.workers",
            "model": self.folder, "http_port": 0, "http_host": "127.0.0.1", "log_format": "text",
            "mode": "complete", "session_timeout_seconds": SESSION_SECONDS,
            "kafka_timeout_seconds": 20, "redis_timeout_seconds": 20, "drain_seconds": 10,
            "max_batch_size": 4, "max_results_per_camera": 1_000_000,
        }  # fmt: skip

        def start(before: int) -> SeedstreamProcess:
            own = given | dict(self.worker) | settings
            made = environment("WORKER_", own, self.folder / f"values-{name}-{before}")
            return SeedstreamProcess.spawn(
                name,
                [*prefix, sys.executable, "-m", "tests.fake_worker"],
                log_path=self.folder / f"{name}-{before}.log",
                cwd=REPOSITORY,
                env=made | {"FAKE_SECONDS": str(seconds)} | dict(env or {}),
            )

        return self._add(name, start, probed)

    def add_producer(
        self,
        *urls: str,
        name: str = "producer",
        fields: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Slot:
        """Start a producer with the rig's cameras.

        Args:
            urls: Address of each camera; synthetic scenes unless set.
            name: Its name within the rig.
            fields: More fields of each camera, as YAML: ``", fps: 5"``.
            env: More of its environment.
        """
        scene = "test:?size=64x64&fps=10&objects=1&seed={}"
        listed = urls or tuple(scene.format(n) for n in range(len(self.cameras)))
        config = self.folder / f"{name}.yaml"
        config.write_text(
            "cameras:\n"
            + "".join(
                f"  - {{id: '{camera}', url: '{url}'{fields}}}\n"
                for camera, url in zip(self.cameras, listed, strict=True)
            )
        )
        given = {
            "bootstrap_servers": self.bootstrap_servers, "topic": self.topic, "config": config,
            "http_port": 0, "http_host": "127.0.0.1", "log_format": "text",
            "kafka_timeout_seconds": 20,
        }  # fmt: skip

        def start(before: int) -> SeedstreamProcess:
            values = self.folder / f"values-{name}-{before}"
            return SeedstreamProcess.spawn(
                name,
                [sys.executable, "-m", "seedstream", "produce"],
                log_path=self.folder / f"{name}-{before}.log",
                cwd=REPOSITORY,
                env=environment("PRODUCER_", given | dict(self.producer), values) | dict(env or {}),
            )

        return self._add(name, start, False)

    def _add(self, name: str, start: Callable[[int], SeedstreamProcess], probed: bool) -> Slot:
        slot = Slot(name, start, start(0), probed=probed)
        self.slots[name] = slot
        self.stack.callback(lambda: slot.process.kill())
        return slot

    def remove(self, name: str, seconds: float = _LEAVE_SECONDS) -> int | None:
        """Ask a process to end and do not start it again; return its exit code."""
        slot = self.slots[name]
        slot.wanted = False
        slot.process.signal(signal.SIGTERM)
        self.until(lambda: not slot.process.alive(), seconds, f"the end of {name}")
        return slot.process.exit_code

    def turn(self) -> None:
        """Look after the processes once."""
        for slot in list(self.slots.values()):
            slot.tend()
        for each in self.on_turn:
            each()

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
            time.sleep(0.05)

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> float:
        """Wait until a condition holds; return how long that took, in seconds."""
        seconds *= _PATIENCE
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{what} did not happen within {seconds:g} s")
            self.turn()
            time.sleep(0.05)
        return time.monotonic() - began

    def newest(self, camera: str) -> float:
        """Return when the frame of a camera's newest result was captured, seconds since 1970."""
        try:
            document = self.client.get(KEYS.latest(camera))
        except ERRORS:
            return 0.0
        return decode_result(document).captured_at.timestamp() if document else 0.0

    def flowing(self, since: float) -> bool:
        """Return whether every camera has the result of a frame captured after a time."""
        return all(self.newest(camera) >= since for camera in self.cameras)

    def steady(self, seconds: float = 2.0) -> None:
        """Wait until every worker has partitions and every camera results; then let time pass."""
        workers = [slot for name, slot in self.slots.items() if name.startswith("worker")]
        self.until(lambda: all(_owns(slot.process) for slot in workers), 90, "work for each worker")
        self.until(lambda: self.flowing(time.time() - 5), 90, "results of every camera")
        self.run_for(seconds)

    def recovery(self, fault_ended_at: float, bound_seconds: float) -> float:
        """Wait until every camera has the result of a frame captured after the fault.

        Args:
            fault_ended_at: Seconds since 1970.
            bound_seconds: How long it may take; ``clean`` fails if it took longer, three times as
                long beside other tests, after the row has been noted; this waits for more.

        Returns:
            Seconds since the end of the fault.
        """
        left = 3 * bound_seconds - (time.time() - fault_ended_at)
        self.until(lambda: self.flowing(fault_ended_at), left, "results after the fault")
        return time.time() - fault_ended_at

    def skipped(self) -> dict[str, int]:
        """Return what all workers have skipped, by reason."""
        found: dict[str, int] = {}
        for folder in self._values("worker"):
            counted = last_values(folder).counts("reason", "seedstream_frames_skipped_total")
            for reason, count in counted.items():
                found[reason] = found.get(reason, 0) + count
        return found

    def _values(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"values-{kind}*"))

    def consumer(self) -> KafkaConsumer:
        """Return a consumer of no group, for the test itself; close it."""
        return KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            max_partition_fetch_bytes=2 * MAX_RECORD_BYTES,
        )

    def finish(
        self, fault: str, recovery_seconds: float, bound_seconds: float, note: str = ""
    ) -> Row:
        """End the load, wait until all of it has been dealt with, and account for every record."""
        for name, slot in self.slots.items():
            if name.startswith("producer") and slot.wanted:
                self.remove(name)
        with closing(self.consumer()) as consumer:
            self.until(lambda: self._settled(consumer), _SETTLE_SECONDS, "an account of all")
            for name, slot in self.slots.items():
                if name.startswith("worker") and slot.wanted:
                    self.remove(name)
            account = take_account(
                consumer, self.client, self.topic, self.dead_topic, self.skipped()
            )
        sent, dropped = self._captured()
        if dropped:
            told = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
            self.notes.append(f"producer dropped {told}")
        exits = [
            f"{slot.name} exited {', '.join(map(str, slot.exits))}, started again"
            for slot in self.slots.values()
            if slot.exits
        ]
        seen = "; ".join([*([note] if note else []), *self.notes, *exits])
        once = all(slot.starts == 1 for slot in self.slots.values() if slot.name == "producer")
        return Row(
            fault=fault,
            account=account,
            unaccounted=sent if once else 0,
            recovery_seconds=recovery_seconds,
            bound_seconds=bound_seconds,
            note=seen,
        )

    def _captured(self) -> tuple[int, dict[str, int]]:
        """Return captured frames neither published nor dropped, and those dropped by reason."""
        left, dropped = 0.0, dict[str, int]()
        for folder in self._values("producer"):
            found = last_values(folder)
            left += found.total("seedstream_frames_captured_total")
            left -= found.total("seedstream_frames_published_total")
            left -= found.total("seedstream_frames_dropped_total")
            for reason, count in found.counts("reason", "seedstream_frames_dropped_total").items():
                dropped[reason] = dropped.get(reason, 0) + count
        return int(left), dropped

    def _settled(self, consumer: KafkaConsumer) -> bool:
        try:
            published = sum(topic_ends(consumer, self.topic).values())
            dead = sum(topic_ends(consumer, self.dead_topic).values())
            stored = sum(int(self.client.xlen(KEYS.results(camera))) for camera in self.cameras)
        except (KafkaError, *ERRORS):
            return False
        return stored + dead + sum(self.skipped().values()) >= published


def _owns(worker: SeedstreamProcess) -> bool:
    return re.search(r"partitions assigned: \[\d", worker.text()) is not None


def clean(row: Row) -> Account:
    """Return the row's account after showing it; what is lost is named."""
    print(row)
    assert row.account.published > 0
    assert row.account.clean, row
    assert row.unaccounted == 0, row
    assert row.recovery_seconds <= _PATIENCE * row.bound_seconds, row
    return row.account
