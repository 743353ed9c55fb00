import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from contract.errors import ConfigurationError
from contract.topics import DEAD_TOPIC, FRAMES_TOPIC
from stack import app
from stack.broker import admin_client
from stack.child_process import ProcessIdentity
from stack.launch import free_ports
from stack.state_file import read_state, state_folder, write_state
from tests.fakes import wait_until


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache of the test's own; whatever is up in it at the end is stopped."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    app.down()


def test_up_status_down_goes_round(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kafka_port, redis_port = free_ports(2)
    assert app.status() == 1
    assert app.up("embedded", kafka_port, redis_port, partitions=3) == 0
    state = read_state()
    assert state is not None
    pids = [each.pid for each in state.servers]
    assert app.status() == 0
    with admin_client(f"127.0.0.1:{kafka_port}", 10) as client:
        assert {FRAMES_TOPIC, DEAD_TOPIC} <= set(client.list_topics())
    with redis.Redis(port=redis_port) as client:
        assert client.ping()
    capsys.readouterr()
    assert app.up("embedded", kafka_port, redis_port) == 0
    assert "already up" in capsys.readouterr().out
    assert app.down() == 0
    assert [ProcessIdentity.of(pid) for pid in pids] == [None, None]
    assert app.status() == 1
    assert [each.name for each in state_folder().iterdir()] == ["lock"]


def test_a_taken_port_is_refused_and_nothing_stays(own_cache: Path) -> None:
    kafka_port = free_ports(1)[0]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {taken} .*--redis-port"):
            app.up("embedded", kafka_port, taken)
    assert read_state() is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", kafka_port)) != 0


def test_a_server_that_died_is_shown_and_up_starts_both_anew(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = free_ports(2)
    app.up("embedded", *ports)
    state = read_state()
    assert state is not None
    os.kill(state.servers[1].pid, signal.SIGKILL)
    wait_until(lambda: not state.servers[1].server().alive(), 10, "the server's end")
    capsys.readouterr()
    assert app.status() == 1
    assert "ENDED" in capsys.readouterr().out
    assert app.up("embedded", *ports) == 0
    assert app.status() == 0


def test_a_recycled_process_id_is_never_killed(own_cache: Path) -> None:
    app.up("embedded", *free_ports(2))
    state = read_state()
    assert state is not None
    # As if the server had ended and this test had got its number.
    recycled = type(state.servers[0])(
        role="kafka",
        name="a server of yesterday",
        address="127.0.0.1:1",
        pid=os.getpid(),
        started=1,
        log_path="/nonexistent",
    )
    write_state(type(state)(state.boot, state.folder, (recycled, *state.servers)))
    assert app.down() == 0  # and this test still runs


def test_a_state_of_another_boot_is_not_believed(own_cache: Path) -> None:
    app.up("embedded", *free_ports(2))
    state = read_state()
    assert state is not None
    write_state(type(state)("another boot", state.folder, state.servers))
    assert read_state() is None
    write_state(state)  # so that the fixture stops the servers


def test_a_damaged_state_file_is_not_guessed_at(own_cache: Path) -> None:
    app.down()
    path = state_folder() / "state.json"
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"state\.json"):
        app.down()
    path.unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_that_is_interrupted_stops_what_it_started(
    own_cache: Path, number: signal.Signals
) -> None:
    kafka_port, redis_port = free_ports(2)
    # The broker runs, is in no state file yet, and the second signal comes while it is stopped.
    program = (
        "import signal, sys\n"
        "from stack import app, child_process\n"
        "stop, number = child_process.ChildProcess.stop, int(sys.argv[1])\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # the tests may run under nohup
        "def interrupted(*_, **__): signal.raise_signal(number)\n"
        "def stop_twice(self, *given):\n"
        "    print('pid', self.pid)\n"
        "    signal.raise_signal(number)\n"
        "    return stop(self, *given)\n"
        "child_process.ChildProcess.stop, app.start_redis = stop_twice, interrupted\n"
        "sys.exit(app.up('embedded', int(sys.argv[2]), int(sys.argv[3])))\n"
    )
    command = [sys.executable, "-c", program, str(int(number)), str(kafka_port), str(redis_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", kafka_port)) != 0, "the broker was left running"
    assert done.returncode == 130, done.stderr
    assert "interrupted; everything that was started has been stopped" in done.stdout
    pid = int(done.stdout.split("pid ")[1].split()[0])
    assert ProcessIdentity.of(pid) is None
    assert read_state() is None
    assert not (state_folder() / "data").exists()
