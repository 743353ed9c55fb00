from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.process import ExitDeadline, Shutdown
from contract.settings import load_settings
from tests.fakes import FakeClock, build_fake
from workers.app import Worker
from workers.settings import WorkerSettings


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def worker(tmp_path: Path, clock: FakeClock) -> Worker:
    (tmp_path / "model.onnx").write_bytes(b"the fake network does not read it")
    settings = load_settings(WorkerSettings, model=tmp_path)
    return Worker(settings, build_fake(settings), Shutdown(), ExitDeadline(1), clock)


def test_a_worker_that_starts_is_alive_and_not_ready(worker: Worker) -> None:
    assert worker.alive() is None
    assert worker.ready() == "starting: model, Kafka and Redis are not ready yet"


def test_a_worker_is_ready_once_it_has_joined_the_group(worker: Worker) -> None:
    worker._loop = SimpleNamespace(joined=False)
    assert worker.ready() == "waiting for the consumer group"
    worker._loop.joined = True
    assert worker.ready() is None


@pytest.mark.parametrize(
    ("still", "busy", "wrong"),
    [
        (60, 60, None),
        (61, 0, "the loop has been stuck for 61 s"),
        (0, 61, "the network has been at one batch for 61 s"),
    ],
)
def test_a_loop_or_a_network_that_stands_still_for_a_minute_is_not_alive(
    worker: Worker, clock: FakeClock, still: float, busy: float, wrong: str | None
) -> None:
    worker._loop = SimpleNamespace(turned_at=clock.now - still)
    worker._pipeline = SimpleNamespace(busy_seconds=busy)
    assert worker.alive() == wrong
