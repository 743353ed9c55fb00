import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError

from contract.errors import ConfigurationError, UnavailableError
from contract.topics import MAX_RECORD_BYTES
from stack import jars
from stack.broker import Broker, admin_client, create_topic, delete_topics
from stack.broker_choice import start_broker
from stack.child_process import ProcessIdentity
from stack.class_archive import class_archive, java_options
from stack.jars import jars_folder
from stack.kafka_server import start_kafka
from tests.fakes import wait_until


def port_answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_record_goes_through_kafka_and_comes_back(
    kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    topic = unique_name("echo")
    kafka.create_topic(topic, 2)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    producer.send(topic, b"value", key=b"key", headers=[("a", b"1")]).get(timeout=20)
    producer.close()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    record = next(iter(consumer))
    consumer.close()
    assert (record.key, record.value, record.headers) == (b"key", b"value", [("a", b"1")])


def test_a_topic_takes_the_largest_record_agreed_on_and_none_above(
    kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    topic = unique_name("large")
    kafka.create_topic(topic)
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_request_size=2 * MAX_RECORD_BYTES
    )
    producer.send(topic, bytes(MAX_RECORD_BYTES - 1024)).get(timeout=30)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, bytes(MAX_RECORD_BYTES + 1024)).get(timeout=30)
    producer.close()


def test_topics_have_bounded_retention_and_the_partitions_asked_for(
    kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    topic = unique_name("bounded")
    kafka.create_topic(topic, 3, retention_bytes=50_000_000, retention_ms=60_000)
    kafka.create_topic(topic, 3)  # again: left as it is
    with admin_client(kafka.bootstrap_servers, 20) as client:
        [described] = client.describe_topics([topic])
        configs = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    assert len(described["partitions"]) == 3
    text = str(configs)
    assert "50000000" in text
    assert "60000" in text


def test_nobody_creates_a_topic_by_accident(
    kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    topic = unique_name("never-created")
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    assert not consumer.partitions_for_topic(topic)
    assert topic not in consumer.topics()
    consumer.close()


def test_a_deleted_topic_is_gone(kafka: Broker, unique_name: Callable[[str], str]) -> None:
    topic = unique_name("deleted")
    create_topic(kafka.bootstrap_servers, topic, 1)
    delete_topics(kafka.bootstrap_servers, [topic])
    with pytest.raises(UnavailableError) as caught:
        delete_topics(kafka.bootstrap_servers, [topic])
    assert isinstance(caught.value.__cause__, UnknownTopicOrPartitionError)


def test_stopping_kafka_leaves_no_process_no_port_and_no_folder(kafka: Broker) -> None:
    with start_kafka() as broker:  # beside the shared one: free ports do not collide
        assert broker.alive()
        assert port_answers(broker.address)
        folder = broker.folder
        assert folder is not None
        assert folder.is_dir()
    assert not broker.alive()
    assert not Path(f"/proc/{broker.pid}").exists()
    assert not port_answers(broker.address)
    assert not folder.exists()
    assert kafka.alive()


def test_a_later_start_has_its_classes_from_an_archive(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seedstream").mkdir()
    (tmp_path / "seedstream" / jars_folder().name).symlink_to(jars_folder())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with start_kafka() as broker:
        archive = class_archive(jars_folder())
        assert archive.stat().st_size > 1_000_000
        assert str(archive) in Path(f"/proc/{broker.pid}/maps").read_text()
    # Whatever stands in its place, Java starts.
    archive.unlink()
    archive.write_bytes(b"no classes" * 1000)
    options = java_options(jars_folder())
    assert str(archive) in options[0]
    subprocess.run(["java", *options, "-version"], check=True, timeout=60)


def test_kafka_keeps_its_records_in_a_folder_that_was_given(kafka: Broker, tmp_path: Path) -> None:
    with start_kafka(folder=tmp_path) as broker:
        broker.create_topic("kept")
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        producer.send("kept", b"still here").get(timeout=20)
        producer.close()
    with start_kafka(folder=tmp_path) as broker:
        consumer = KafkaConsumer(
            bootstrap_servers=broker.bootstrap_servers, consumer_timeout_ms=20_000
        )
        consumer.assign([TopicPartition("kept", 0)])
        consumer.seek_to_beginning()
        assert next(iter(consumer)).value == b"still here"
        consumer.close()


def test_a_taken_port_is_refused_before_anything_is_started(kafka: Broker) -> None:
    port = int(kafka.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=rf"port {port} .* is taken"):
        start_kafka(port)


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(kafka: Broker, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        start_kafka(folder=_with_foreign_data(tmp_path))
    assert "meta.properties" in str(caught.value)


def _with_foreign_data(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "meta.properties").write_text("version=1\nnode.id=77\ncluster.id=other\n")
    return folder


def test_a_killed_broker_is_noticed(kafka: Broker) -> None:
    with start_kafka() as broker:
        os.kill(broker.pid, 9)
        assert broker.wait(10) == -9


def test_kafka_dies_with_the_process_that_started_it(kafka: Broker) -> None:
    program = (
        "from stack.kafka_server import start_kafka\n"
        "import time\n"
        "broker = start_kafka()\n"
        "print(broker.pid, broker.folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().split()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        wait_until(lambda: ProcessIdentity.of(int(pid)) is None, 10, "the broker's end")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_without_java_auto_takes_the_embedded_broker_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    notices: list[str] = []
    with start_broker("auto", notices.append) as broker:
        assert broker.kind == "embedded"
    [notice] = notices
    assert "missing Java" in notice
    assert "embedded" in notice


def test_without_maven_and_jars_auto_takes_the_embedded_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notices: list[str] = []
    with start_broker("auto", notices.append) as broker:
        assert broker.kind == "embedded"
    assert "Maven" in notices[0]


def test_without_java_an_apache_kafka_asked_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnavailableError, match="Java"):
        start_broker("kafka", lambda _: None)


def test_maven_that_fails_leaves_no_half_made_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no network here\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UnavailableError, match="no network here"):
        jars.fetch_jars()
    assert not jars.jars_folder().exists()
    assert [each.name for each in jars.cache_folder().iterdir()] == ["kafka-4.1.lock"]
