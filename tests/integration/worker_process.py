"""A worker as a process of its own, with the fake network, for integration tests."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from contract.frame import Frame, encode_frame
from contract.kafka import MAX_RECORD_BYTES
from contract.result import DOCUMENT_FIELD, Result, decode_result, results_key
from tests.fakes import wait_until

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class WorkerProcess:
    """``python -m tests.fake_worker``; killed at the end of the ``with`` block.

    Args:
        log: File for what it logs.
        settings: Environment, without the prefix ``WORKER_``.
        seconds: How long its network takes for a batch.
    """

    def __init__(self, log: Path, settings: Mapping[str, object], seconds: float = 0.0) -> None:
        self._log = log
        environment = {f"WORKER_{name.upper()}": str(value) for name, value in settings.items()}
        with log.open("wb") as file:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.fake_worker"],
                cwd=REPOSITORY,
                env={**os.environ, **environment, "FAKE_SECONDS": str(seconds)},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        print(f"--- {self._log.name}\n{self.text()[-4000:]}")

    def text(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End it at once, as the kernel would when memory is short."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)

    def stop(self, seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code."""
        self._child.send_signal(signal.SIGTERM)
        return self._child.wait(seconds)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end and return the exit code."""
        return self._child.wait(seconds)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page; status 0 while it does not listen."""
        port = re.search(r"probes on port (\d+)", self.text())
        if port is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self) -> None:
        """Wait until ``/readyz`` answers 200."""
        wait_until(lambda: self.get("/readyz")[0] == 200, 30, "/readyz")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@dataclass
class Line:
    """One pair of topics and one group on the real servers, with fresh names."""

    folder: Path
    bootstrap_servers: str
    redis_url: str
    topic: str
    group: str
    producer: KafkaProducer
    partitions: int
    stack: ExitStack = field(default_factory=ExitStack)
    started: int = 0

    @property
    def dead_topic(self) -> str:
        """Topic of the dead letters."""
        return f"{self.topic}.dead"

    def worker(self, seconds: float = 0.0, **settings: object) -> WorkerProcess:
        """Start a worker; it is killed at the end of the test."""
        (self.folder / "model.onnx").write_bytes(b"the fake network does not read it")
        given = {
            "bootstrap_servers": self.bootstrap_servers, "redis_url": self.redis_url,
            "topic": self.topic, "dead_topic": self.dead_topic, "group": self.group,
            "model": self.folder, "http_port": 0, "http_host": "127.0.0.1", "log_format": "text",
            "mode": "complete", "session_timeout_seconds": 6, "kafka_timeout_seconds": 15,
            "redis_timeout_seconds": 10, "max_batch_size": 4,
        }  # fmt: skip
        self.started += 1
        log = self.folder / f"worker-{self.started}.log"
        return self.stack.enter_context(WorkerProcess(log, given | settings, seconds))

    def send(self, *frames: Frame, partition: int | None = None) -> None:
        """Publish frames and wait for their acknowledgement."""
        for frame in frames:
            key, value, headers = encode_frame(frame)
            self.producer.send(
                self.topic, key=key, value=value, headers=headers, partition=partition
            )
        self.producer.flush(30)

    def committed(self) -> int:
        """Return the sum of the group's committed positions."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            groups = admin.list_group_offsets(self.group)
            return sum(offset.offset for offset in groups[self.group].values())
        finally:
            admin.close()

    def dead(self, count: int) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        """Return the first ``count`` dead letters: key, value, headers."""
        found: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = []
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=2 * MAX_RECORD_BYTES,
        )
        try:
            consumer.assign([TopicPartition(self.dead_topic, 0)])

            def read() -> bool:
                for records in consumer.poll(timeout_ms=200).values():
                    found.extend((r.key, r.value, dict(r.headers)) for r in records)
                return len(found) >= count

            wait_until(read, 20, f"{count} dead letters")
        finally:
            consumer.close()
        return found


def results(client: "redis.Redis", camera: str) -> list[Result]:
    """Return all results of a camera, in the order of the stream."""
    entries = client.xrange(results_key(camera))
    return [decode_result(fields[DOCUMENT_FIELD.encode()]) for _, fields in entries]


def sequences(client: "redis.Redis", *cameras: str) -> Iterator[list[int]]:
    """Yield the sequences of each camera's results."""
    for camera in cameras:
        yield [result.sequence for result in results(client, camera)]
