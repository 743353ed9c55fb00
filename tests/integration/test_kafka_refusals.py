"""A Kafka that does not let us in is told apart from one that is away, with the reason."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from contract.errors import ConfigurationError, UnavailableError
from servers.kafka import KafkaConnection, find_refusal, open_client, reach
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.certificates import KEY_PASSPHRASE, Certificates
from tests.fakes import wait_until
from tests.integration.worker_line import Line
from tests.secured_kafka import SecuredKafka

Names = Callable[[str], str]
USER, PASSWORD = "someone", "someone-Pw1"

REFUSED = {
    "wrong password": ("secure", {"sasl_password": "wrong"}, "credentials: user 'someone'"),
    "unknown user": ("secure", {"sasl_username": "nobody"}, "credentials: user 'nobody'"),
    "SCRAM of another hash": ("secure", {"sasl_mechanism": "SCRAM-SHA-256"}, "mechanism: "),
    "plain mechanism": ("secure", {"sasl_mechanism": "PLAIN"}, "mechanism: "),
    "another authority": ("secure", {"ssl_cafile": "other_ca"}, "CA: .* check SSL_CAFILE"),
    "the system's authorities": ("secure", {"ssl_cafile": None}, "CA: "),
    "expired": ("expired", {}, "certificate: .*expired"),
    "another host": ("other_host", {}, "host name: .*'localhost'"),
    "no credentials": ("secure", {"security_protocol": "SSL"}, "protocol: it demands credentials"),
    "no TLS": ("secure", {"security_protocol": "SASL_PLAINTEXT"}, "protocol: it speaks TLS"),
    "plaintext": ("secure", {"security_protocol": "PLAINTEXT"}, "protocol: it speaks TLS"),
    "TLS to plaintext": ("plain", {}, "protocol: it speaks no TLS"),
    "credentials to plaintext": (
        "plain",
        {"security_protocol": "SASL_PLAINTEXT"},
        "protocol: it takes no credentials",
    ),
    "no client certificate": ("mutual", {"security_protocol": "SSL"}, "client certificate: "),
    "a client certificate of another authority": (
        "mutual",
        {"security_protocol": "SSL", "ssl_certfile": "stranger", "ssl_keyfile": "stranger"},
        "client certificate: the server does not accept ours",
    ),
}


@pytest.fixture
def line(
    tmp_path: Path, server: SecuredKafka, redis_server: RedisServer, unique_name: Names
) -> Iterator[Line]:
    """A pair of topics that user someone may use in every way."""
    topic, group = unique_name("frames"), unique_name("workers")
    for each in (topic, f"{topic}.dead"):
        server.broker.create_topic(each)
        server.allow(USER, f"ALL TOPIC {each}")
    server.allow(USER, f"READ GROUP {group}")
    producer = KafkaProducer(bootstrap_servers=server.broker.address)
    line = Line(tmp_path, server.broker.address, redis_server.url, topic, group, producer)
    with line.stack:
        yield line
    producer.close()


@pytest.fixture(scope="module")
def server(secured_kafka: SecuredKafka) -> SecuredKafka:
    secured_kafka.add_user(USER, PASSWORD)
    return secured_kafka


def settings(server: SecuredKafka, listener: str, **changes: str | None) -> dict[str, str | None]:
    """Return good settings with changes, in which names stand for certificates."""
    made = server.settings(USER) | {
        "bootstrap_servers": server.broker.address if listener == "plain" else server.at[listener]
    }
    for name, value in changes.items():
        known = getattr(server.certificates, value, None) if value and "ssl" in name else None
        file = known and (known.key if name == "ssl_keyfile" else known.crt)
        made[name] = str(file) if file else value  # type: ignore[assignment]
    return made


AWAY_SECONDS = 300.0
"""What a server may be away for. Whoever waits for that is found by each bound below, also where
a busy machine takes many seconds to start two Pythons."""


def connection(made: Mapping[str, object], seconds: float = AWAY_SECONDS) -> KafkaConnection:
    return KafkaConnection.model_validate({**made, "kafka_timeout_seconds": seconds})


@pytest.mark.parametrize("case", REFUSED)
def test_whoever_is_not_let_in_is_told_why_within_seconds(server: SecuredKafka, case: str) -> None:
    listener, changes, reason = REFUSED[case]
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=reason):
        open_client(KafkaProducer, connection(settings(server, listener, **changes)))
    assert time.monotonic() - began < 30
    with pytest.raises(ConfigurationError, match=reason):
        reach(connection(settings(server, listener, **changes)), lambda _: False)


@pytest.mark.parametrize("kind", [KafkaProducer, KafkaConsumer, KafkaAdminClient])
def test_whoever_is_let_in_has_a_client(server: SecuredKafka, kind: Callable[..., object]) -> None:
    open_client(kind, connection(settings(server, "secure"))).close()  # type: ignore[attr-defined]


def test_a_client_certificate_with_an_encrypted_key_is_taken(server: SecuredKafka) -> None:
    changes = {
        "security_protocol": "SSL",
        "ssl_certfile": "locked_client",
        "ssl_keyfile": "locked_client",
        "ssl_password": KEY_PASSPHRASE,
    }
    made = connection(settings(server, "mutual") | settings(server, "mutual", **changes))
    open_client(KafkaProducer, made).close()


@contextmanager
def server_that(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Accept connections and do something with each; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                answer(accepted)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


HELD: list[socket.socket] = []


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize(
    "answer",
    [socket.socket.close, HELD.append, lambda accepted: (accepted.recv(5), accepted.close())],
    ids=["that ends every connection", "that says nothing", "that ends after the first words"],
)
def test_a_server_that_may_be_restarting_is_away_and_not_refusing(
    answer: Callable[[socket.socket], object], protocol: str, certificates: Certificates
) -> None:
    with server_that(answer) as address:
        made = connection(
            {
                "bootstrap_servers": address,
                "security_protocol": protocol,
                "sasl_username": USER,
                "sasl_password": PASSWORD,
                "ssl_cafile": certificates.ca.crt,
            },
            seconds=0.5,
        )
        assert find_refusal(made) is None
        if answer is socket.socket.close:
            with pytest.raises(UnavailableError, match="cannot reach Kafka"):
                open_client(KafkaProducer, made)


def test_of_several_servers_one_that_lets_us_in_is_enough(server: SecuredKafka) -> None:
    addresses = ["127.0.0.1:1", server.at["expired"], server.at["secure"]]
    made = connection(settings(server, "secure", bootstrap_servers=",".join(addresses)))
    open_client(KafkaProducer, made).close()
    assert "expired" in str(find_refusal(made) or "")


def last_line(process: SeedstreamProcess) -> str:
    return process.text().splitlines()[-1]


PROCESS_CASES = ["wrong password", "another authority", "another host", "plaintext"]


@pytest.mark.parametrize("case", PROCESS_CASES)
def test_a_worker_and_a_producer_that_are_not_let_in_end_with_two_and_the_reason_last(
    server: SecuredKafka, case: str, tmp_path: Path, line: Line
) -> None:
    listener, changes, reason = REFUSED[case]
    made = {k: v for k, v in settings(server, listener, **changes).items() if v is not None}
    away = {"kafka_timeout_seconds": AWAY_SECONDS}
    worker = line.worker(**made | away)
    producer = start_seedstream(
        "produce",
        "--camera=a=test:?size=160x120",
        log_path=tmp_path / "producer.log",
        settings=made | away | {"http_port": 0, "http_host": "127.0.0.1"},
    )
    with producer, worker:
        for process in (producer, worker):
            assert process.wait(90) == 2, process.text()
            assert reason.partition(": ")[0] in last_line(process)
            assert PASSWORD not in process.text()


@pytest.mark.parametrize("case", ["wrong password", "another authority", "plaintext"])
def test_commands_that_are_not_let_in_end_at_once_with_the_reason(
    server: SecuredKafka, case: str, tmp_path: Path
) -> None:
    listener, changes, reason = REFUSED[case]
    made = {k: v for k, v in settings(server, listener, **changes).items() if v is not None}
    variables = {
        prefix + name.upper(): str(value)
        for prefix in ("DEAD_", "PRODUCER_")
        for name, value in {**made, "kafka_timeout_seconds": AWAY_SECONDS}.items()
    }
    about = reason.partition(": ")[0]
    listing = start_seedstream("dead", "list", log_path=tmp_path / "dead.log", env=variables)
    doctor = start_seedstream(
        *("doctor", "--producer", "--only=kafka", "--json"),
        log_path=tmp_path / "doctor.log",
        env=variables,
    )
    with listing, doctor:
        assert listing.wait(90) == 2, listing.text()
        assert about in last_line(listing)
        assert doctor.wait(90) == 1, doctor.text()  # its exit code for faults
        assert about in doctor.text()
        assert PASSWORD not in listing.text() + doctor.text()


def test_a_password_that_is_changed_while_they_run_ends_both_with_two(
    server: SecuredKafka, line: Line, tmp_path: Path
) -> None:
    user = "rotated"
    server.add_user(user, "rotated-Pw1")
    server.allow(user, f"ALL TOPIC {line.topic}", f"ALL TOPIC {line.dead_topic}")
    server.allow(user, f"READ GROUP {line.group}")
    made = server.settings(user, "short")
    worker = line.worker(**made)
    producer = start_seedstream(
        "produce",
        "--camera=a=test:?size=160x120&fps=10",
        log_path=tmp_path / "producer.log",
        settings=made | {"topic": line.topic, "http_port": 0, "http_host": "127.0.0.1"},
    )
    with producer, worker:
        # Longer than a login counts: they log in again while they run.
        wait_until(lambda: worker.metric("seedstream_frames_processed_total") > 50, 60)
        server.add_user(user, "rotated-Pw2")
        for process in (producer, worker):
            assert process.wait(90) == 2, process.text()
            assert "credentials: user 'rotated'" in last_line(process)
            assert "rotated-Pw" not in process.text()


def test_sigterm_is_heard_while_a_process_waits(
    tmp_path: Path, line: Line, server: SecuredKafka
) -> None:
    with server_that(HELD.append) as silent:
        away = {"bootstrap_servers": silent, "kafka_timeout_seconds": AWAY_SECONDS}
        waiting = [
            line.worker(redis_url=f"redis://{silent}", redis_timeout_seconds=AWAY_SECONDS),
            line.worker(**away),
            line.worker(**settings(server, "secure") | away),
            start_seedstream(
                "produce",
                "--camera=a=test:",
                log_path=tmp_path / "producer.log",
                settings=away | {"http_port": 0, "http_host": "127.0.0.1"},
            ),
        ]
        for process in waiting:
            process.wait_until(lambda p=process: p.port, 30, "no port in its log")
        taken = len(HELD)
        wait_until(lambda: len(HELD) >= taken + len(waiting))
        for process in waiting:
            process.signal(signal.SIGTERM)
        for process in waiting:
            assert process.wait(40) == 0, process.text()
