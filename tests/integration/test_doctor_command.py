"""`seedstream doctor` against real servers, with each fault made for real."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition

from doctor.app import Choice, Process, examination
from doctor.findings import Finding
from doctor.machine_checks import Clocks
from doctor.redis_rights import SINK_COMMANDS
from servers.kafka import KafkaConnection
from stack.broker import Broker, admin_client
from stack.broker_choice import start_embedded
from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from tests.conftest import REPOSITORY
from tests.default_keys import KEYS
from tests.fork_server import run_seedstream
from tests.redis_cluster import RedisCluster
from tests.secured_kafka import SecuredKafka
from tests.secured_redis import VIEWER_RULES, WORKER_RULES, SecuredRedis

MODEL = REPOSITORY / "artifacts" / "street" / "1"
PASSWORD = "p/ss:w@rd-hunter2"

Doctor = Callable[..., dict[str, Finding]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Examine with these settings; findings by check, ``PART CHECK``."""

    def examined(
        process: Process, parts: str, settings: Mapping[str, str], clocks: Clocks | None = None
    ) -> dict[str, Finding]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        choice = Choice((process,), parts.split(), 30.0, clocks or Clocks())
        return {f"{each.part} {each.check}": each for each in examination(choice)}

    return examined


def make_topic(address: str, name: str, **configs: str) -> None:
    topic = {
        "num_partitions": 2,
        "replication_factor": 1,
        "configs": {key.replace("_", "."): value for key, value in configs.items()},
    }
    with admin_client(address, 20.0) as client:
        client.create_topics({name: topic}, wait_for_metadata=True)


def records(address: str, topic: str) -> int:
    with admin_client(address, 20.0) as client:
        asked = {TopicPartition(topic, number): -1 for number in range(2)}
        return sum(each.offset for each in client.list_partition_offsets(asked).values())


@pytest.fixture(scope="module")
def worker(
    kafka: Broker, redis_server: RedisServer, unique_name: Callable[[str], str]
) -> dict[str, str]:
    """Settings of a worker with which everything is well."""
    frames = unique_name("frames")
    kafka.create_topic(frames, 2)
    kafka.create_topic(f"{frames}.dead", 1)
    return {
        "WORKER_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "WORKER_REDIS_URL": redis_server.url,
        "WORKER_MODEL": str(MODEL),
        "WORKER_TOPIC": frames,
        "WORKER_DEAD_TOPIC": f"{frames}.dead",
        "WORKER_GROUP": unique_name("group"),
    }


def run(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_seedstream("doctor", *arguments, env={"COLUMNS": "80", **settings})


def test_where_everything_is_well_nothing_is_at_fault_and_nothing_changes(
    worker: dict[str, str], redis_server: RedisServer
) -> None:
    camera = {"PRODUCER_CONFIG": str(REPOSITORY / "tests" / "data" / "doctor-cameras.yaml")}
    address = worker["WORKER_BOOTSTRAP_SERVERS"]
    producer = {
        "PRODUCER_BOOTSTRAP_SERVERS": address,
        "PRODUCER_TOPIC": worker["WORKER_TOPIC"],
    }
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        before = set(client.scan_iter())
        done = run({**worker, **producer, **camera}, "--json")
        assert set(client.scan_iter()) == before
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["counts"]["fault"] == 0
    warned = {(each["part"], each["check"].split(" ")[-1]) for each in document["findings"]
              if each["status"] == "warning"}  # fmt: skip
    # One broker and one Redis, as on any developer's machine.
    assert warned == {("kafka", "replicas"), ("redis", "replicas")}
    seen = {(each["process"], each["part"]) for each in document["findings"]}
    assert seen >= {
        *(("worker", part) for part in ("settings", "kafka", "redis", "artifact", "clocks")),
        *(("producer", part) for part in ("settings", "kafka", "clocks", "cameras")),
        ("", "machine"),
    }
    assert records(address, worker["WORKER_TOPIC"]) == 0
    with admin_client(address, 20.0) as admin:
        groups = {each["group_id"] for each in admin.list_groups()}
    assert worker["WORKER_GROUP"] not in groups


def test_the_table_and_the_exit_code_say_what_is_wrong_and_tell_no_secret(
    worker: dict[str, str],
) -> None:
    port = free_ports(1)[0]
    settings = {
        **worker,
        "WORKER_TOPIC": "there.is.none",
        "WORKER_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "WORKER_REDIS_PASSWORD": PASSWORD,
        "WORKER_REDIS_TIMEOUT_SECOND": "1",
    }
    began = time.monotonic()
    done = run(settings, "--only", "settings,kafka,redis")
    assert time.monotonic() - began < 30
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert "fault topic there.is.none does not exist" in text
    assert "kafka-topics.sh --create" in text
    assert "could not reach Redis at 127.0.0.1" in text
    assert "WORKER_REDIS_TIMEOUT_SECONDS?" in text
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("settings", "arguments", "expected"),
    [
        ({}, [], "nothing to examine"),
        ({"PRODUCER_FPS": "-1"}, [], "PRODUCER_FPS (--fps) is '-1'"),
        ({"PRODUCER_FPS": "1"}, ["--only", "kafak"], "--only: no part 'kafak'"),
        ({"WORKER_REDIS_URL": "http://u:hunter2@h"}, [], "WORKER_REDIS_URL"),
    ],
)
def test_settings_that_no_process_would_start_with_exit_with_2(
    settings: dict[str, str], arguments: list[str], expected: str
) -> None:
    done = run(settings, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_each_setting_of_a_topic_that_a_frame_meets_is_looked_at(
    doctor: Doctor, kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    name = unique_name("narrow")
    make_topic(
        kafka.bootstrap_servers,
        name,
        max_message_bytes="1048588",
        cleanup_policy="compact",
        retention_ms="1000",
    )
    found = doctor(
        "producer",
        "kafka",
        {"PRODUCER_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "PRODUCER_TOPIC": name},
    )
    told = {check: each.status for check, each in found.items() if name in check}
    assert {check.rpartition(" ")[2] for check, status in told.items() if status == "fault"} == {
        "size",
        "cleanup",
    }
    assert told[f"kafka topic {name} retention"] == "warning"
    assert "max.message.bytes=16777216" in found[f"kafka topic {name} size"].advice


def test_a_topic_that_packs_anew_is_read_and_is_no_fault(
    doctor: Doctor, kafka: Broker, unique_name: Callable[[str], str]
) -> None:
    name = unique_name("packed")
    make_topic(kafka.bootstrap_servers, name, compression_type="zstd")
    settings = {"VIEWER_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "VIEWER_TOPIC": name}
    found = doctor("viewer", "kafka", settings)[f"kafka topic {name} codec"]
    assert (found.status, found.seen) == ("ok", "zstd")


def test_a_dead_letter_topic_that_takes_less_than_the_frames_topic_is_a_fault(
    doctor: Doctor, worker: dict[str, str], unique_name: Callable[[str], str]
) -> None:
    name = unique_name("dead")
    make_topic(worker["WORKER_BOOTSTRAP_SERVERS"], name, max_message_bytes="1000000")
    found = doctor("worker", "kafka", {**worker, "WORKER_DEAD_TOPIC": name})
    assert found[f"kafka topic {name} size"].status == "fault"


def test_the_group_s_lag_and_what_retention_took_are_told(
    doctor: Doctor, worker: dict[str, str], unique_name: Callable[[str], str]
) -> None:
    address, topic, group = worker["WORKER_BOOTSTRAP_SERVERS"], unique_name("t"), unique_name("g")
    make_topic(address, topic)
    settings = {**worker, "WORKER_TOPIC": topic, "WORKER_GROUP": group}
    connection = KafkaConnection(bootstrap_servers=address)
    with closing(KafkaProducer(**connection.client_options())) as producer:
        for _ in range(5):
            producer.send(topic, b"x", partition=0).get(timeout=10)
    with admin_client(address, 20.0) as admin:
        admin.alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
    lag = doctor("worker", "kafka", settings)[f"kafka group {group} lag"]
    assert (lag.status, lag.seen) == ("warning", "4 records wait and no worker reads")
    with admin_client(address, 20.0) as admin:
        admin.delete_records({TopicPartition(topic, 0): 3})
    lag = doctor("worker", "kafka", settings)[f"kafka group {group} lag"]
    assert lag.status == "warning"


def test_the_embedded_broker_which_tells_little_has_no_fault_for_that(
    doctor: Doctor, worker: dict[str, str]
) -> None:
    with start_embedded() as broker:
        broker.create_topic(worker["WORKER_TOPIC"], 2)
        broker.create_topic(worker["WORKER_DEAD_TOPIC"], 1)
        settings = {**worker, "WORKER_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        found = doctor("worker", "kafka", settings)
    assert [check for check, each in found.items() if each.status == "fault"] == []
    assert found[f"kafka group {worker['WORKER_GROUP']}"].status == "skipped"


def test_rights_that_a_kafka_user_lacks_are_named_and_those_that_suffice_are_enough(
    doctor: Doctor, secured_kafka: SecuredKafka, unique_name: Callable[[str], str]
) -> None:
    frames, group = unique_name("frames"), unique_name("group")
    for name in (frames, f"{frames}.dead"):
        secured_kafka.broker.create_topic(name, 2)
    secured_kafka.add_user("examined", PASSWORD)
    settings = {
        **secured_kafka.environment("WORKER_", "examined"),
        "WORKER_MODEL": str(MODEL),
        "WORKER_TOPIC": frames,
        "WORKER_DEAD_TOPIC": f"{frames}.dead",
        "WORKER_GROUP": group,
    }
    found = doctor("worker", "kafka", settings)
    faults = {check: each for check, each in found.items() if each.status == "fault"}
    assert set(faults) == {
        f"kafka topic {frames}",
        f"kafka topic {frames}.dead",
        f"kafka group {group}",
    }
    assert f"--operation Read --topic {frames}" in faults[f"kafka topic {frames}"].advice

    secured_kafka.allow(
        "examined",
        f"READ TOPIC {frames}",
        f"READ TOPIC {frames}.dead",
        f"READ GROUP {group}",
    )
    found = doctor("worker", "kafka", settings)
    faults = {check: each for check, each in found.items() if each.status == "fault"}
    assert set(faults) == {f"kafka topic {frames}.dead rights"}
    assert "expected WRITE" in faults[f"kafka topic {frames}.dead rights"].seen

    secured_kafka.allow("examined", f"WRITE TOPIC {frames}.dead")
    found = doctor("worker", "kafka", settings)
    assert [check for check, each in found.items() if each.status == "fault"] == []
    assert found[f"kafka topic {frames} settings"].status == "skipped"
    assert "hunter2" not in str(found)


def test_why_kafka_s_door_stays_shut_is_told(doctor: Doctor, secured_kafka: SecuredKafka) -> None:
    secured_kafka.add_user("mistyped", PASSWORD)
    settings = secured_kafka.environment("PRODUCER_", "mistyped")
    stranger = str(secured_kafka.certificates.other_ca.crt)
    for changes, reason in (
        ({"PRODUCER_SASL_PASSWORD": "not-it-hunter2"}, "PRODUCER_SASL_PASSWORD"),
        ({"PRODUCER_SSL_CAFILE": stranger}, "PRODUCER_SSL_CAFILE"),
        ({"PRODUCER_BOOTSTRAP_SERVERS": secured_kafka.at["other_host"]}, "host name"),
        ({"PRODUCER_BOOTSTRAP_SERVERS": secured_kafka.at["expired"]}, "expired"),
    ):
        found = doctor("producer", "kafka", {**settings, **changes})
        assert [each.status for each in found.values()] == ["fault"]
        assert reason in str(found)
        assert "hunter2" not in str(found)


@pytest.mark.parametrize("missing", [name for name in SINK_COMMANDS if name != "PING"])
def test_a_right_that_a_redis_user_lacks_is_named(
    doctor: Doctor, secured_redis: SecuredRedis, missing: str
) -> None:
    secured_redis.allow("examined", PASSWORD, *WORKER_RULES, f"-{missing.lower()}")
    settings = {**secured_redis.environment("examined", PASSWORD), "WORKER_MODEL": str(MODEL)}
    found = doctor("worker", "redis", settings)
    rights = found["redis rights"]
    assert rights.status == "fault"
    assert rights.seen.startswith(f"{missing} is refused")
    assert "+xadd" in rights.advice
    assert "hunter2" not in str(found)


def test_the_minimal_redis_user_is_enough_and_a_user_of_other_keys_is_not(
    doctor: Doctor, secured_redis: SecuredRedis
) -> None:
    settings = {**secured_redis.environment("examined", PASSWORD), "WORKER_MODEL": str(MODEL)}
    secured_redis.allow("examined", PASSWORD, *WORKER_RULES)
    found = doctor("worker", "redis", settings)
    assert found["redis rights"].status == "ok"
    assert found["redis memory"].status == "skipped"
    assert [check for check, each in found.items() if each.status == "fault"] == []
    secured_redis.allow("examined", PASSWORD, *WORKER_RULES, "resetkeys", "~others:*")
    assert doctor("worker", "redis", settings)["redis rights"].status == "fault"
    wrong = {**settings, "WORKER_REDIS_PASSWORD": "not-it-hunter2"}
    found = doctor("worker", "redis", wrong)
    assert [each.status for each in found.values()] == ["fault"]
    assert "hunter2" not in str(found)


def test_the_least_rights_of_a_viewer_are_enough(
    doctor: Doctor, secured_redis: SecuredRedis
) -> None:
    secured_redis.allow("looking", PASSWORD, *VIEWER_RULES)
    settings = secured_redis.environment("looking", PASSWORD)
    viewer = {name.replace("WORKER_", "VIEWER_"): value for name, value in settings.items()}
    found = doctor("viewer", "redis clocks", viewer)
    assert [check for check, each in found.items() if each.status == "fault"] == []
    assert found["redis rights"].status == "ok"
    assert found["clocks Redis' clock"].status == "skipped"
    secured_redis.allow("looking", PASSWORD, *VIEWER_RULES, "-xrange")
    rights = doctor("viewer", "redis", viewer)["redis rights"]
    assert (rights.status, rights.seen.startswith("XRANGE is refused")) == ("fault", True)


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """A server whose settings may change."""
    with start_redis() as server:
        yield server


def test_keys_that_another_application_uses_are_a_fault(
    doctor: Doctor, own_redis: RedisServer, worker: dict[str, str]
) -> None:
    settings = {**worker, "WORKER_REDIS_URL": own_redis.url}
    with closing(redis.Redis.from_url(own_redis.url)) as client:
        client.zadd(KEYS.cameras, {"gate": 1})
        client.set(KEYS.results("gate"), "theirs")
        found = doctor("worker", "redis", settings)
        assert (found["redis keys"].status, KEYS.results("gate") in found["redis keys"].seen) == (
            "fault",
            True,
        )
        client.delete(KEYS.cameras)
        client.set(KEYS.cameras, "theirs")
        found = doctor("worker", "redis", settings)
        assert (found["redis rights"].status, KEYS.cameras in found["redis rights"].seen) == (
            "fault",
            True,
        )
        client.flushall()


def test_a_redis_that_forgets_or_refuses_is_told(
    doctor: Doctor, own_redis: RedisServer, worker: dict[str, str]
) -> None:
    settings = {**worker, "WORKER_REDIS_URL": own_redis.url}
    with closing(redis.Redis.from_url(own_redis.url)) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        memory = doctor("worker", "redis", settings)["redis memory"]
        assert (memory.status, "allkeys-lru" in memory.seen) == ("warning", True)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")
        found = doctor("worker", "redis", settings)
        assert found["redis memory"].status == "warning"
        assert "OOM" in found["redis rights SET"].seen or "memory" in found["redis rights SET"].seen
        client.config_set("maxmemory", "64mb")
        client.execute_command("REPLICAOF", "127.0.0.1", free_ports(1)[0])
        found = doctor("worker", "redis", settings)
        assert found["redis role"].status == "fault"
        assert found["redis replicas"].status == "fault"
        client.execute_command("REPLICAOF", "NO", "ONE")


def test_a_cluster_must_be_set_as_one_and_each_of_its_nodes_is_looked_at(
    doctor: Doctor, redis_cluster: RedisCluster, redis_server: RedisServer, worker: dict[str, str]
) -> None:
    as_one = {**worker, "WORKER_REDIS_URL": redis_cluster.url}
    mode = doctor("worker", "redis", as_one)["redis mode"]
    assert (mode.status, mode.advice) == ("fault", "set WORKER_REDIS_CLUSTER=true")
    found = doctor("worker", "redis", {**as_one, "WORKER_REDIS_CLUSTER": "true"})
    assert [check for check, each in found.items() if each.status == "fault"] == []
    rights = [check for check in found if check.startswith("redis rights 127.0.0.1:")]
    assert len(rights) == 3
    lonely = {**worker, "WORKER_REDIS_CLUSTER": "true", "WORKER_REDIS_URL": redis_server.url}
    mode = doctor("worker", "redis", lonely)["redis mode"]
    assert (mode.status, mode.advice) == ("fault", "set WORKER_REDIS_CLUSTER=false")


def test_a_clock_that_is_wrong_is_told_against_redis_and_against_the_newest_record(
    doctor: Doctor, worker: dict[str, str], unique_name: Callable[[str], str]
) -> None:
    address, topic = worker["WORKER_BOOTSTRAP_SERVERS"], unique_name("stamped")
    make_topic(address, topic)
    with closing(KafkaProducer(bootstrap_servers=address)) as producer:
        producer.send(topic, b"x").get(timeout=10)
    settings = {**worker, "WORKER_TOPIC": topic}
    right = doctor("worker", "clocks", settings)
    assert {each.status for each in right.values()} == {"ok"}
    slow = Clocks(wall=lambda: time.time() - 60)
    wrong = doctor("worker", "clocks", settings, slow)
    assert wrong["clocks Redis' clock"].status == "fault"
    told = re.search(r"is ([\d.]+) s behind", wrong["clocks Redis' clock"].seen)
    assert told is not None
    assert float(told[1]) == pytest.approx(60, abs=5)
    assert wrong[f"clocks newest record of {topic}"].status == "fault"
    # Where frames of any age are taken, the bound is that of a clock that nobody keeps.
    near = Clocks(wall=lambda: time.time() + 3)
    patient = {**settings, "WORKER_MAX_AGE_SECONDS": "10"}
    assert doctor("worker", "clocks", patient, near)["clocks Redis' clock"].status == "warning"


def test_a_broken_artifact_and_a_provider_that_is_not_there_are_faults(
    doctor: Doctor, worker: dict[str, str], tmp_path: Path
) -> None:
    good = doctor("worker", "artifact", worker)
    assert {each.status for each in good.values()} == {"ok"}
    assert good["artifact model"].seen.startswith("street/1, 512x384")
    broken = tmp_path / "street" / "1"
    shutil.copytree(MODEL, broken)
    file = broken / "model.onnx"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1000])
    found = doctor("worker", "artifact", {**worker, "WORKER_MODEL": str(broken)})
    assert found["artifact model"].status == "fault"
    assert "sha256" in found["artifact model"].seen
    assert "copy the folder again" in found["artifact model"].advice
    cuda = doctor("worker", "artifact", {**worker, "WORKER_PROVIDER": "cuda"})
    if not Path("/dev/nvidiactl").exists():
        assert cuda["artifact model"].status == "fault"
        assert "provider is 'cuda'" in cuda["artifact model"].seen


def test_a_camera_that_is_gone_is_told_beside_those_that_are_there(
    doctor: Doctor, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    cameras = tmp_path / "cameras.yaml"
    cameras.write_text(
        "cameras:\n"
        "  - {id: scene, url: 'test:?size=64x64&fps=10'}\n"
        f"  - {{id: gone, url: 'rtsp://u:hunter2@127.0.0.1:{port}/TOKEN'}}\n"
    )
    found = doctor("producer", "cameras", {"PRODUCER_CONFIG": str(cameras)})
    assert found["cameras list"].seen.startswith("2 cameras")
    assert found["cameras scene"].status == "ok"
    assert found["cameras gone"].status == "fault"
    assert "Connection refused" in found["cameras gone"].seen
    assert not {"hunter2", "TOKEN"} & set(str(found).replace("/", " ").replace("@", " ").split())
    cameras.write_text("cameras:\n  - {id: a b, url: 'test:'}\n")
    found = doctor("producer", "cameras", {"PRODUCER_CONFIG": str(cameras)})
    assert found["cameras list"].status == "fault"


def test_the_newest_record_of_a_missing_topic_is_asked_for_by_name(worker: dict[str, str]) -> None:
    done = run({**worker, "WORKER_TOPIC": "absent"}, "--only=clocks", "--json")
    assert "newest record of absent" in done.stdout
    assert "does not exist" in done.stdout


def test_kafka_that_is_away_is_told_once_and_not_by_its_client() -> None:
    port = free_ports(1)[0]
    done = run(
        {"WORKER_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}", "WORKER_KAFKA_TIMEOUT_SECONDS": "2"},
        "--only=kafka",
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("cannot reach Kafka") == 1


def test_a_broken_camera_list_says_what_to_set_and_counts_no_cameras(
    worker: dict[str, str],
) -> None:
    settings = {
        "PRODUCER_BOOTSTRAP_SERVERS": worker["WORKER_BOOTSTRAP_SERVERS"],
        "PRODUCER_TOPIC": worker["WORKER_TOPIC"],
    }
    done = run(settings, "--only=kafka,cameras")
    assert "set PRODUCER_CONFIG to a camera list" in done.stdout
    assert "--camera" not in done.stdout
    assert "0 cameras" not in done.stdout
