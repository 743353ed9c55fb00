import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.process import ExitDeadline, Shutdown
from contract.settings import load_settings
from tests.fakes import FakeClock, build_fake
from workers.app import Worker
from workers.settings import WorkerSettings


def worker_settings(folder: Path) -> WorkerSettings:
    (folder / "model.onnx").write_bytes(b"the fake network does not read it")
    return load_settings(WorkerSettings, model=folder)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def worker(tmp_path: Path, clock: FakeClock) -> Worker:
    settings = worker_settings(tmp_path)
    return Worker(settings, build_fake(settings), Shutdown(), ExitDeadline(1), clock)


def test_a_worker_that_starts_is_alive_and_not_ready(worker: Worker) -> None:
    assert worker.health.alive() is None
    assert worker.health.ready() == "starting: model, Kafka and Redis are not ready yet"


def test_a_worker_is_ready_once_it_has_joined_the_group(worker: Worker) -> None:
    loop = SimpleNamespace(joined=False)
    worker.health.watch(loop, SimpleNamespace())
    assert worker.health.ready() == "waiting for the consumer group"
    loop.joined = True
    assert worker.health.ready() is None


@pytest.mark.parametrize(
    ("still", "busy", "hung", "wrong"),
    [
        (60, 60, 3, None),
        (61, 0, 0, "the loop has been stuck for 61 s"),
        (0, 61, 0, "the network has been at one batch for 61 s"),
        (0, 0, 4, "4 decoders hang, each for more than 10 s"),
    ],
)
def test_what_stands_still_for_a_minute_or_hangs_for_good_is_not_alive(
    worker: Worker, clock: FakeClock, still: float, busy: float, hung: int, wrong: str | None
) -> None:
    loop = SimpleNamespace(turned_at=clock.now - still)
    seconds = {"infer": busy, "describe": 0}
    line = SimpleNamespace(busy_seconds=seconds, hung_decoders=hung, ended=None)
    worker.health.watch(loop, line)
    assert worker.health.alive() == wrong


def test_a_worker_whose_network_has_failed_is_not_alive(worker: Worker, clock: FakeClock) -> None:
    loop = SimpleNamespace(turned_at=clock.now)
    seconds = {"infer": 0, "describe": 0}
    worker.health.watch(loop, SimpleNamespace(busy_seconds=seconds, hung_decoders=0, ended="infer"))
    assert worker.health.alive() == "the network has ended: the worker is about to leave"


def test_a_network_that_hangs_at_its_first_run_is_not_alive(
    tmp_path: Path, clock: FakeClock
) -> None:
    seen: list[str | None] = []

    def warm_up() -> None:
        clock.now += 300  # CUDA looks for algorithms, for each size of a batch
        seen.append(worker.health.alive())
        clock.now += 1
        seen.append(worker.health.alive())

    settings = worker_settings(tmp_path)
    inference = replace(build_fake(settings), warm_up=warm_up)
    worker = Worker(settings, inference, Shutdown(), ExitDeadline(1), clock)
    worker._warm_up()
    assert seen == [None, "the network has been at its first run for 301 s"]
    assert worker.health.alive() is None


def test_the_end_is_heard_while_the_kernels_are_compiled(tmp_path: Path) -> None:
    shutdown, release, codes = Shutdown(), threading.Event(), list[int]()
    settings = worker_settings(tmp_path).model_copy(update={"http_port": 0})

    def warm_up() -> None:
        shutdown.request()
        release.wait(20)

    inference = replace(build_fake(settings), warm_up=warm_up)
    began = time.monotonic()
    Worker(settings, inference, shutdown, ExitDeadline(1, codes.append)).run()
    release.set()
    assert codes == [0]
    assert time.monotonic() - began < 10
