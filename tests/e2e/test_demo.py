"""The demo as a user starts it: what it shows, how it ends, and that nothing stays behind."""

import contextlib
import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
import redis
from PIL import Image

from stack.broker import Broker, admin_client
from stack.child_process import ChildProcess
from stack.jars import missing_programs
from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from tests.fakes import wait_until
from tests.waits import PATIENCE

ACCOUNT = re.compile(
    r"^(\w+): captured (\d+) = published (\d+) \+ dropped (\d+).*\n"
    r"\1: published (\d+) = stored (\d+) \+ skipped (\d+)",
    re.MULTILINE,
)


class Demo:
    """``seedstream demo`` in a folder of its own; temporary folders lie under it, too.

    Attributes:
        process: The process.
        out: Its output folder.
    """

    def __init__(self, folder: Path, model: Path, *arguments: str) -> None:
        self.folder = folder.resolve()
        self.out = folder / "out"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        command = [sys.executable, "-m", "seedstream", "demo", "--model", str(model)]
        self.process = ChildProcess.spawn(
            "demo",
            [*command, "--out", str(self.out), *arguments],
            log_path=folder / "demo.log",
            cwd=folder,
            env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
        )

    @property
    def text(self) -> str:
        return self.process.text()

    def wait_for(self, words: str, seconds: float = 90) -> None:
        self.process.wait_until(lambda: words in self.text, PATIENCE * seconds, f"no {words!r}")

    def end(self, seconds: float = 150) -> int | None:
        return self.process.wait(PATIENCE * seconds)

    def processes(self) -> list[int]:
        """Every process that works in this demo's folder, whoever its parent is now."""
        return [pid for pid in all_processes() if self._belongs(pid)]

    def one(self, words: str) -> int:
        """The process of this demo whose command line has ``words``."""
        [pid] = [pid for pid in self.processes() if words in command_line(pid)]
        return pid

    def _belongs(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.folder
        except OSError:  # it has just ended
            return False


def all_processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start demos; what they leave running is killed, after the test has looked."""
    demos: list[Demo] = []

    def start_demo(model: Path, *arguments: str) -> Demo:
        demos.append(Demo(tmp_path, model, *arguments))
        return demos[-1]

    yield start_demo
    for demo in demos:
        demo.process.kill()
        for pid in demo.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def check_accounts(text: str) -> dict[str, int]:
    """Check the sums; return how many frames of each camera were stored."""
    accounts = ACCOUNT.findall(text)
    assert [each[0] for each in accounts] == ["street", "synthetic"], text
    stored_by = {}
    for camera, *numbers in accounts:
        captured, published, dropped, again, stored, skipped = map(int, numbers)
        assert captured == published + dropped
        assert published == again == stored + skipped
        assert stored > 0
        stored_by[camera] = stored
    assert "every captured frame is accounted for" in text
    return stored_by


def check_nothing_stays(demo: Demo) -> None:
    assert demo.processes() == []
    assert [each.name for each in demo.temporary.glob("seedstream-*")] == []


def test_the_demo_accounts_for_every_frame_and_writes_the_overlay(
    start: Callable[..., Demo], street_model: Path
) -> None:
    missing = missing_programs()
    if missing:
        pytest.skip(f"no Apache Kafka on this machine: missing {', '.join(missing)}")
    demo = start(street_model, "--seconds", "12", "--broker", "kafka")
    demo.wait_for("street: captured")
    first, *_ = demo.text.splitlines()
    page = re.search(r"^live page at (http://127\.0\.0\.1:\d+/)", first)
    assert page, first

    def states(path: str, kind: str, name: str) -> dict[str, str]:
        with urllib.request.urlopen(f"{page[1]}api/{path}", timeout=10) as reply:
            return {each[name]: each["state"] for each in json.load(reply)[kind]}

    wait_until(
        lambda: (
            states("cameras", "cameras", "id") == {"street": "live", "synthetic": "live"}
            and states("system", "sources", "kind") == {"producer": "ok", "worker": "ok"}
        ),
        10,
    )
    assert demo.end() == 0, demo.text
    assert "Apache Kafka" in demo.text
    for camera, stored in check_accounts(demo.text).items():
        with av.open(str(demo.out / f"{camera}.mp4")) as video:
            assert sum(1 for _ in video.decode(video=0)) == stored
        assert Image.open(demo.out / f"{camera}.png").size[0] >= 640
    check_nothing_stays(demo)


def test_the_demo_runs_on_the_embedded_broker(start: Callable[..., Demo], tiny_model: Path) -> None:
    demo = start(tiny_model, "--seconds", "6", "--broker", "embedded")
    assert demo.end() == 0, demo.text
    check_accounts(demo.text)
    assert "embedded broker" in demo.text
    check_nothing_stays(demo)


def test_ctrl_c_ends_an_endless_demo_with_its_summary(
    start: Callable[..., Demo], tiny_model: Path
) -> None:
    with start_redis() as redis_server:
        demo = start(
            tiny_model,
            *("--seconds", "0", "--broker", "embedded", "--redis-url", redis_server.url),
        )
        demo.wait_for("street: captured")
        demo.process.signal(signal.SIGINT)
        assert demo.end() == 0, demo.text
        check_accounts(demo.text)
        check_nothing_stays(demo)
        assert redis_server.alive()  # a running server that was given is left alone
        with redis.Redis.from_url(redis_server.url) as client:
            prefixes = {key.decode().partition(":")[0] for key in client.keys("*")}
        (prefix,) = prefixes
        assert re.fullmatch(r"seedstream-demo-[0-9a-f]{8}", prefix), "not among others' results"
        assert f"results under {prefix}" in demo.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_starting_leaves_nothing(
    start: Callable[..., Demo], tiny_model: Path, number: signal.Signals
) -> None:
    demo = start(tiny_model, "--seconds", "60", "--broker", "embedded")
    demo.wait_for("starting the worker")
    demo.process.signal(number)
    assert demo.end(60) == 130, demo.text
    assert "interrupted" in demo.text
    assert "Traceback" not in demo.text
    check_nothing_stays(demo)


@pytest.mark.parametrize(
    ("words", "name"), [("seedstream work", "worker"), ("tansu", "embedded broker")]
)
def test_a_process_that_dies_is_named_with_the_end_of_its_log(
    start: Callable[..., Demo], tiny_model: Path, words: str, name: str
) -> None:
    demo = start(tiny_model, "--seconds", "240", "--broker", "embedded")
    demo.wait_for("street: captured")
    os.kill(demo.one(words), signal.SIGKILL)
    began = time.monotonic()
    assert demo.end(60) == 1, demo.text
    assert time.monotonic() - began < 135  # at once, not at the end of the demo
    assert name in demo.text
    assert "killed by SIGKILL" in demo.text
    assert "Traceback" not in demo.text
    check_nothing_stays(demo)


def test_killing_the_demo_kills_its_processes(start: Callable[..., Demo], tiny_model: Path) -> None:
    demo = start(tiny_model, "--seconds", "60", "--broker", "embedded")
    demo.wait_for("street: captured")
    assert len(demo.processes()) == 6
    demo.process.kill()
    wait_until(lambda: not demo.processes(), 10, "the end of the demo's children")


def test_wrong_options_are_all_listed_at_once(start: Callable[..., Demo], tmp_path: Path) -> None:
    demo = start(tmp_path / "no-model", "--video", str(tmp_path / "no-video"), "--fps", "1000")
    assert demo.end(60) == 2
    for fault in ("no-model", "no-video", "--fps is 1000"):
        assert fault in demo.text
    check_nothing_stays(demo)


def test_a_redis_that_is_not_there_is_a_clear_error(
    start: Callable[..., Demo], tiny_model: Path
) -> None:
    port = free_ports(1)[0]
    url = f"redis://user:secret@127.0.0.1:{port}/0"
    demo = start(tiny_model, "--seconds", "5", "--broker", "embedded", "--redis-url", url)
    assert demo.end(120) == 1, demo.text
    assert f"127.0.0.1:{port}" in demo.text
    assert "secret" not in demo.text
    check_nothing_stays(demo)


def test_a_running_kafka_is_used_and_left_as_it_was(
    start: Callable[..., Demo],
    tiny_model: Path,
    kafka: Broker,
    redis_server: RedisServer,
) -> None:
    demo = start(
        tiny_model,
        *("--seconds", "5", "--bootstrap-servers", kafka.bootstrap_servers),
        *("--redis-url", redis_server.url),
    )
    assert demo.end() == 0, demo.text
    check_accounts(demo.text)
    check_nothing_stays(demo)
    with admin_client(kafka.bootstrap_servers, 20) as client:
        assert not [each for each in client.list_topics() if each.startswith("seedstream-demo")]
    assert kafka.alive()
