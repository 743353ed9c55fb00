"""A Redis that does not let us in is told apart from one that is away, with the reason."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from kafka import KafkaProducer
from pydantic import SecretStr

from contract.errors import ConfigurationError, UnavailableError
from servers.redis import Redis
from servers.redis_connection import RedisConnection
from stack.broker import Broker
from stack.seedstream_process import start_seedstream
from tests.certificates import Certificates
from tests.integration.test_kafka_refusals import HELD, server_that
from tests.integration.worker_line import Line
from tests.secured_redis import CLUSTER_RULES, WORKER_RULES, SecuredRedis, running_secured_redis

USER, PASSWORD = "someone", "someone-Pw1"

REFUSED = {
    "wrong password": ("good", {"password": "wrong"}, "credentials: "),
    "unknown user": ("good", {"username": "nobody"}, "credentials: "),
    "no credentials": ("good", {"username": None, "password": None}, "credentials: "),
    "another authority": ("good", {"ca": "other_ca"}, "CA: .*check ssl_ca_certs"),
    "the system's authorities": ("good", {"ca": ""}, "CA: "),
    "expired": ("expired", {}, "certificate: .*expired"),
    "another host": ("other_host", {}, "host name: "),
    "no client certificate": ("mutual", {}, "client certificate: the server demands one"),
    "a client certificate of another authority": (
        "mutual",
        {"client": "stranger"},
        "client certificate: the server does not accept ours",
    ),
    "TLS to plaintext": ("plain", {"scheme": "rediss"}, "protocol: it speaks no TLS"),
    "plaintext to TLS": ("good", {"scheme": "redis"}, "protocol: it speaks TLS"),
    "no cluster": ("good", {"cluster": "yes"}, "settings: it is no Redis Cluster"),
}
IN_A_CLUSTER = [
    "wrong password", "another authority", "expired", "another host", "TLS to plaintext",
    "plaintext to TLS",
]  # fmt: skip


@pytest.fixture(scope="module")
def servers(
    secured_redis: SecuredRedis,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, SecuredRedis]]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine: the wheel's has no TLS")
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        found = {"good": secured_redis}
        for name, shown in (
            ("expired", certificates.expired),
            ("other_host", certificates.other_host),
        ):
            found[name] = stack.enter_context(running_secured_redis(certificates, folder, shown))
        found["mutual"] = stack.enter_context(
            running_secured_redis(certificates, folder, demands_client_certificate=True)
        )
        for server in found.values():
            server.allow(USER, PASSWORD, *WORKER_RULES, *CLUSTER_RULES)
        yield found


def connection(
    servers: dict[str, SecuredRedis],
    certificates: Certificates,
    case: str,
    *,
    cluster: bool = False,
) -> RedisConnection:
    """Return good settings, changed as the case says."""
    name, changes, _ = REFUSED[case]
    server = servers.get(name, servers["good"])
    port = server.plain_port if name == "plain" else server.tls_port
    scheme = changes.get("scheme", "rediss")
    options = {}
    if scheme == "rediss":
        authority = changes.get("ca", "ca")
        if authority:
            options["ssl_ca_certs"] = str(getattr(certificates, str(authority)).crt)
        if "client" in changes:
            client = getattr(certificates, str(changes["client"]))
            options |= {"ssl_certfile": str(client.crt), "ssl_keyfile": str(client.key)}
    query = "&".join(f"{key}={value}" for key, value in options.items())
    password = changes.get("password", PASSWORD)
    return RedisConnection(
        redis_url=SecretStr(f"{scheme}://localhost:{port}/0?{query}"),
        redis_username=changes.get("username", USER),
        redis_password=SecretStr(password) if password else None,
        redis_cluster=cluster or "cluster" in changes,
        redis_timeout_seconds=20,
    )


@pytest.mark.parametrize(
    ("case", "cluster"),
    [*((case, False) for case in REFUSED), *((case, True) for case in IN_A_CLUSTER)],
)
def test_whoever_is_not_let_in_is_told_why_within_seconds(
    servers: dict[str, SecuredRedis], certificates: Certificates, case: str, cluster: bool
) -> None:
    made = connection(servers, certificates, case, cluster=cluster)
    began = time.monotonic()
    with closing(Redis(made)) as server, pytest.raises(ConfigurationError, match=REFUSED[case][2]):
        server.attempt("reach", lambda client: client.ping())
    assert time.monotonic() - began < 15, "not once more and again, for 20 s"


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize(
    "answer", [socket.socket.close, HELD.append], ids=["that ends connections", "that is silent"]
)
def test_a_server_that_may_be_restarting_is_away_and_not_refusing(
    answer: Callable[[socket.socket], object], scheme: str
) -> None:
    with server_that(answer) as address:
        made = RedisConnection(
            redis_url=SecretStr(f"{scheme}://{address}"), redis_timeout_seconds=0.5
        )
        with closing(Redis(made)) as server, pytest.raises(UnavailableError):
            server.attempt("reach", lambda client: client.ping())


PROCESS_CASES = ["wrong password", "another authority", "plaintext to TLS"]


@pytest.mark.parametrize("case", PROCESS_CASES)
def test_commands_that_are_not_let_in_end_at_once_with_the_reason(
    servers: dict[str, SecuredRedis], certificates: Certificates, case: str, tmp_path: Path
) -> None:
    made = connection(servers, certificates, case)
    assert made.redis_password is not None
    settings = {
        "redis_url": made.redis_url.get_secret_value(),
        "redis_username": USER,
        "redis_password": made.redis_password.get_secret_value(),
        "out": str(tmp_path),
    }
    about = REFUSED[case][2].partition(":")[0]
    began = time.monotonic()
    render = start_seedstream("render", log_path=tmp_path / "render.log", settings=settings)
    doctor = start_seedstream(
        *("doctor", "--viewer", "--only=redis", "--json"),
        log_path=tmp_path / "doctor.log",
        env={f"VIEWER_{name.upper()}": value for name, value in settings.items()},
    )
    with render, doctor:
        assert render.wait(30) == 2, render.text()
        assert about in render.text().splitlines()[-1]
        assert doctor.wait(30) == 1, doctor.text()  # its exit code for faults
        assert about in doctor.text()
        assert PASSWORD not in render.text() + doctor.text()
    assert time.monotonic() - began < 20  # two Pythons start beside each other


@pytest.mark.parametrize("case", PROCESS_CASES)
def test_a_worker_that_is_not_let_in_ends_with_two_and_the_reason_last(
    servers: dict[str, SecuredRedis],
    certificates: Certificates,
    case: str,
    tmp_path: Path,
    kafka: Broker,
    unique_name: Callable[[str], str],
) -> None:
    made = connection(servers, certificates, case)
    topic = unique_name("frames")
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)) as producer:
        line = Line(tmp_path, kafka.bootstrap_servers, "", topic, unique_name("group"), producer)
        with line.stack:
            worker = line.worker(
                redis_url=made.redis_url.get_secret_value(),
                redis_username=USER,
                redis_password=made.redis_password.get_secret_value()
                if made.redis_password
                else "",
            )
            assert worker.wait(30) == 2, worker.text()
            last = worker.text().splitlines()[-1]
            assert REFUSED[case][2].partition(":")[0] in last
            assert PASSWORD not in worker.text()


def test_a_password_that_is_changed_while_it_runs_refuses_the_next_command(
    servers: dict[str, SecuredRedis], certificates: Certificates
) -> None:
    good = servers["good"]
    good.allow("rotated", PASSWORD, *WORKER_RULES)
    made = RedisConnection.model_validate(
        good.settings("rotated", PASSWORD) | {"redis_timeout_seconds": 5}
    )
    with closing(Redis(made)) as server:
        assert server.attempt("reach", lambda client: client.ping())
        good.allow("rotated", "another-Pw2", *WORKER_RULES)
        with closing(good.admin()) as admin:
            # As a restart of Redis does; a changed password alone lets connections be.
            admin.execute_command("CLIENT", "KILL", "USER", "rotated")
        with pytest.raises(ConfigurationError, match="credentials: "):
            server.attempt("reach", lambda client: client.ping())
