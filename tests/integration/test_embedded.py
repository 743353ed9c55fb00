from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer

from contract.errors import ConfigurationError
from stack.broker import Broker
from stack.broker_choice import start_embedded


@pytest.fixture(scope="module")
def embedded() -> Iterator[Broker]:
    with start_embedded() as broker:
        yield broker


def test_frames_go_through_the_embedded_broker_in_order(embedded: Broker) -> None:
    embedded.create_topic("frames", 2)
    producer = KafkaProducer(bootstrap_servers=embedded.bootstrap_servers, batch_size=0)
    sent = [bytes([number]) * 100_000 for number in range(20)]
    for value in sent:
        producer.send("frames", value, key=b"camera")
    producer.flush(timeout=20)
    producer.close()
    consumer = KafkaConsumer(
        "frames",
        bootstrap_servers=embedded.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    received = [record.value for _, record in zip(sent, consumer, strict=False)]
    consumer.close()
    assert received == sent


def test_a_taken_port_is_refused(embedded: Broker) -> None:
    port = int(embedded.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=rf"port {port} .* is taken"):
        start_embedded(port)


def test_stopping_leaves_no_process_and_no_folder() -> None:
    with start_embedded() as broker:
        assert broker.alive()
    assert not Path(f"/proc/{broker.pid}").exists()
    assert broker.folder is not None
    assert not broker.folder.exists()
