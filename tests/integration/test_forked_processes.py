"""What is forked in tests is what would have been started."""

import json
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from contract.process import EXIT_CONFIGURATION
from stack.seedstream_process import start_seedstream
from tests.fakes import wait_until
from tests.fork_server import can_fork, run_seedstream


def test_a_command_says_and_ends_as_when_it_is_started() -> None:
    for words in (["--version"], ["work", "--help"], ["produce", "--nonsense"], ["view", "-x"]):
        command = [sys.executable, "-m", "seedstream", *words]
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        forked = run_seedstream(*words)
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            started.returncode,
            started.stdout,
            started.stderr,
        )
    assert run_seedstream("--version").stdout.strip() == metadata.version("seedstream")


def test_its_environment_is_its_own_and_its_end_is_told(tmp_path: Path) -> None:
    settings = {"http_port": 0, "http_host": "127.0.0.1", "kafka_timeout_seconds": 300}
    settings |= {"bootstrap_servers": "127.0.0.1:1", "lane": "forked"}

    def start(name: str, **more: object):
        log = tmp_path / f"{name}.log"
        return start_seedstream(
            "produce", "--camera=a=test:", log_path=log, settings=settings | more
        )

    with start("waits") as waits, start("wrong", shard="2/2") as wrong:
        assert type(waits._process).__name__ == "Forked"
        assert wrong.wait(60) == EXIT_CONFIGURATION
        wait_until(lambda: waits.port, 60, "its port in its log")
        assert json.loads(waits.text().splitlines()[0])["lane"] == "forked"
        waits.signal(signal.SIGKILL)
        assert waits.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "PROMETHEUS_MULTIPROC_DIR"])
def test_what_modules_read_while_they_are_imported_is_not_forked(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "seedstream", "work"]
    environment = {"WORKER_MODE": "live"}
    monkeypatch.setattr("tests.fork_server._ENVIRONMENT", {})
    assert can_fork(command, environment)
    assert not can_fork(command, environment | {variable: "1"})
    assert not can_fork(["faketime", *command], environment)
