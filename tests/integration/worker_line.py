"""A pair of topics, a group and workers with the fake network, for integration tests."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import redis
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from contract.frame import Frame, encode_frame
from contract.topics import MAX_RECORD_BYTES
from stack.frame_ledger import read_results
from stack.seedstream_process import SeedstreamProcess, environment
from tests.conftest import REPOSITORY
from tests.fakes import wait_until


@dataclass
class Line:
    """One pair of topics and one group on the real servers, with fresh names."""

    folder: Path
    bootstrap_servers: str
    redis_url: str
    topic: str
    group: str
    producer: KafkaProducer
    stack: ExitStack = field(default_factory=ExitStack)
    started: int = 0

    @property
    def dead_topic(self) -> str:
        """Topic of the dead letters."""
        return f"{self.topic}.dead"

    def worker(
        self, seconds: float = 0.0, fake: Mapping[str, object] | None = None, **settings: object
    ) -> SeedstreamProcess:
        """Start a worker with the fake network; it is killed at the end of the test.

        Args:
            seconds: How long its network takes for a batch.
            fake: What else is wrong with it, by `tests.fake_worker`'s names without their prefix.
            settings: Its settings, without their prefix.
        """
        (self.folder / "model.onnx").write_bytes(b"the fake network does not read it")
        given = {
            "bootstrap_servers": self.bootstrap_servers, "redis_url": self.redis_url,
            "topic": self.topic, "dead_topic": self.dead_topic, "group": self.group,
            "model": self.folder, "http_port": 0, "http_host": "127.0.0.1", "log_format": "text",
            "mode": "complete", "session_timeout_seconds": 6, "kafka_timeout_seconds": 15,
            "redis_timeout_seconds": 10, "max_batch_size": 4,
        }  # fmt: skip
        self.started += 1
        worker = SeedstreamProcess.spawn(
            f"worker {self.started}",
            [sys.executable, "-m", "tests.fake_worker"],
            log_path=self.folder / f"worker-{self.started}.log",
            cwd=REPOSITORY,
            env=environment("WORKER_", given | settings)
            | environment("FAKE_", {"seconds": seconds, **(fake or {})}),
        )
        self.stack.callback(worker.kill)
        return worker

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


def sequences(client: "redis.Redis", *cameras: str) -> Iterator[list[int]]:
    """Yield the sequences of each camera's results."""
    for camera in cameras:
        yield [result.sequence for result in read_results(client, camera)]
