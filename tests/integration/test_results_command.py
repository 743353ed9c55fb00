"""``seedstream results`` as a user types it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError
from contract.result import decode_result
from seedstream.results.results_report import moment_of
from stack.launch import free_ports
from stack.redis_server import RedisServer
from tests.conftest import REPOSITORY
from tests.fakes import wait_until
from tests.fork_server import run_seedstream
from tests.sink_parts import CAPTURED_AT, make_sink, make_tracked, stored_results
from workers.metrics import WorkerMetrics
from workers.sink import RedisSink


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def sink(redis_server: RedisServer) -> Iterator[RedisSink]:
    sink = make_sink(redis_server.url, metrics=WorkerMetrics(CollectorRegistry()))
    yield sink
    sink.close()


@pytest.fixture
def camera(unique_name: Callable[[str], str]) -> str:
    return unique_name("gate")


def settings(url: str) -> dict[str, str]:
    return {"RESULTS_REDIS_URL": url, "COLUMNS": "120", "TERM": "xterm"}


def command(url: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "seedstream", "results", *arguments], os.environ | settings(url)


def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_seedstream("results", *arguments, env=settings(url))


def test_the_newest_stand_in_a_table_or_as_documents(
    redis_server: RedisServer, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([make_tracked(camera, n, lanes=range(n % 3)) for n in range(30)])
    done = run(redis_server.url, camera, "--count", "4")
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines() if line.strip(" ─")]
    assert head == ["captured", "(UTC)", "sequence", "objects", "tracks", "latency", "model"]
    assert [row[:5] for row in rows] == [
        ["2026-11-29", "12:00:02.600", "26", "person", "2"],
        ["2026-11-29", "12:00:02.700", "27", "none", "-"],
        ["2026-11-29", "12:00:02.800", "28", "person", "1"],
        ["2026-11-29", "12:00:02.900", "29", "person", "2"],
    ]
    printed = run(redis_server.url, camera, "--json", "--since", "2026-11-29T13:00:02.700+01:00")
    documents = [decode_result(line) for line in printed.stdout.splitlines()]
    assert documents == stored_results(client, camera)[27:]
    assert "mask" in json.loads(printed.stdout.splitlines()[-1])["instances"][0]


def test_a_camera_without_results_is_told_with_those_that_have_some(
    redis_server: RedisServer, sink: RedisSink, camera: str
) -> None:
    sink.store([make_tracked(camera, 0)])
    done = run(redis_server.url, "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no results of camera 'nowhere'; cameras with results: " in done.stderr
    later = (CAPTURED_AT + timedelta(days=1)).isoformat()
    assert run(redis_server.url, camera, "--since", later, "--json").returncode == 1


def test_wrong_settings_end_with_two_and_a_server_that_is_away_with_one(camera: str) -> None:
    away = f"redis://127.0.0.1:{free_ports(1)[0]}"
    done = run(away, camera, "--redis-timeout-seconds", "0.3")
    assert done.returncode == 1
    assert "could not read results from Redis" in done.stderr
    wrong = run("http://elsewhere", camera)
    assert wrong.returncode == 2
    assert "RESULTS_REDIS_URL" in wrong.stderr
    since = run(away, camera, "--since", "yesterday")
    assert since.returncode == 2
    assert "--since is 'yesterday': expected how long ago" in since.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_followed_results_are_lines_on_a_pipe_until_ctrl_c(
    redis_server: RedisServer, sink: RedisSink, client: "redis.Redis", camera: str, as_json: bool
) -> None:
    sink.store([make_tracked(camera, 0)])
    options = ["--follow", *["--json"] * as_json]
    line, environment = command(redis_server.url, camera, *options)
    process = subprocess.Popen(
        line,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        preexec_fn=_hear_ctrl_c,
    )
    try:
        wait_until(lambda: _waits(client), 60)
        assert process.stdout is not None
        for number in (1, 2):
            sink.store([make_tracked(camera, number)])
            said = process.stdout.readline()
            if not as_json and number == 1:
                assert said.startswith("captured (UTC)")
                said = process.stdout.readline()
            sequence = json.loads(said)["sequence"] if as_json else int(said.split()[2])
            assert sequence == number, "each at once, not when a buffer is full"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)


def test_on_a_terminal_the_newest_stand_in_a_table_that_moves_on(
    redis_server: RedisServer, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    leader, follower = pty.openpty()
    line, environment = command(redis_server.url, camera, "--follow", "--since", "9000d")
    sink.store([make_tracked(camera, n) for n in range(3)])
    process = subprocess.Popen(
        line,
        env=environment,
        stdout=follower,
        stderr=follower,
        cwd=REPOSITORY,
        preexec_fn=_hear_ctrl_c,
    )
    try:
        os.close(follower)
        wait_until(lambda: _waits(client), 60)
        sink.store([make_tracked(camera, 77)])
        shown = b""

        def shows() -> bool:
            nonlocal shown
            shown += os.read(leader, 65536)
            return b" 77 " in shown

        wait_until(shows, 20, "the new row")
        assert b"captured (UTC)" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)
        os.close(leader)


def _hear_ctrl_c() -> None:
    """As from a terminal; what a shell began in the background ignores it, with its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _waits(client: "redis.Redis") -> bool:
    return any(each["cmd"] == "xread" and "b" in each["flags"] for each in client.client_list())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1.5d", 129_600), (" 0s ", 0)]
)
def test_how_long_ago_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    ago = datetime.now(UTC) - moment_of(text)
    assert ago.total_seconds() == pytest.approx(seconds, abs=5)


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment_of("2026-11-29T12:00") == CAPTURED_AT
    assert moment_of("2026-11-29T13:00+01:00") == CAPTURED_AT


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5w", "12:00", "999999999d", "1e9s", "٣m"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--since is .*: expected how long ago"):
        moment_of(text)
