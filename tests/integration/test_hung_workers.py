"""A worker process whose network or decoders hang or fail, and scan bombs among its frames."""

import signal
import subprocess
import sys
from pathlib import Path

import redis

from stack.frame_ledger import read_results
from tests.fakes import make_frame, wait_until
from tests.integration.test_worker import (  # noqa: F401 - fixtures
    cameras,
    client,
    line,
    wait_for_results,
)
from tests.integration.worker_line import Line, sequences
from tests.jpeg_files import scan_bomb


def test_scan_bombs_are_dead_letters_and_cost_their_neighbours_no_second(
    line: Line,  # noqa: F811
    client: "redis.Redis",  # noqa: F811
    cameras: list[str],  # noqa: F811
) -> None:
    worker = line.worker(max_batch_size=1)
    worker.wait_until_ready()
    line.send(*(make_frame(camera, 0) for camera in cameras))
    wait_for_results(client, cameras, 1)
    bomb = scan_bomb(3072, 3072, 30_000)
    line.send(*(make_frame("bomb", n, data=bomb, width=3072, height=3072) for n in range(8)))
    for number in range(1, 11):
        line.send(*(make_frame(camera, number) for camera in cameras))
    wait_for_results(client, cameras, 11, seconds=20)
    latencies = [
        result.latency_seconds for camera in cameras for result in read_results(client, camera)[1:]
    ]
    assert max(latencies) < 2, "on a busy machine; a bomb took 40 s"
    reasons = {headers["seedstream_dead_reason"] for _, _, headers in line.dead(8)}
    assert reasons == {b"too_many_scans"}
    assert worker.stop(30) == 0
    assert line.committed() == 6 * 11 + 8


def test_hung_decoders_are_passed_by_and_end_liveness_when_all_spare_ones_hang(
    line: Line,  # noqa: F811
    client: "redis.Redis",  # noqa: F811
    cameras: list[str],  # noqa: F811
) -> None:
    worker = line.worker(fake={"hanging_camera": "bad", "decode_seconds": 1}, max_batch_size=1)
    worker.wait_until_ready()
    line.send(make_frame("bad", 0), *(make_frame(camera, 0) for camera in cameras))
    wait_for_results(client, cameras, 1)
    wait_until(lambda: worker.metric("seedstream_decoders_hung") == 1, 20, "the hung decoder seen")
    assert worker.get("/healthz") == (200, "ok\n"), "a spare one has taken its place"
    line.send(*(make_frame("bad", number) for number in range(1, 4)))
    wait_until(lambda: worker.get("/healthz")[0] == 503, 20, "the end of life")
    assert "4 decoders hang" in worker.get("/healthz")[1]
    line.send(*(make_frame(camera, 1) for camera in cameras))
    wait_for_results(client, cameras, 2)
    reasons = {headers["seedstream_dead_reason"] for _, _, headers in line.dead(4)}
    assert reasons == {b"decode_timeout"}
    assert worker.stop(28) == 1, "Kubernetes grants 30 s"
    assert line.committed() == 2 * 6 + 4
    assert list(sequences(client, *cameras)) == [[0, 1]] * 6


def test_a_network_that_never_returns_ends_liveness(line: Line) -> None:  # noqa: F811
    worker = line.worker(600, fake={"standstill_seconds": 1})
    line.send(make_frame())
    worker.wait_until_ready()
    wait_until(lambda: worker.get("/healthz")[0] == 503, 20, "the end of life")
    assert "the network has been at one batch for" in worker.get("/healthz")[1]


def test_a_device_that_fails_ends_the_worker_with_nothing_committed(
    line: Line,  # noqa: F811
    client: "redis.Redis",  # noqa: F811
    cameras: list[str],  # noqa: F811
) -> None:
    worker = line.worker(fake={"failure": "CUDA error 700: an illegal address"})
    worker.wait_until_ready()
    line.send(make_frame(cameras[0], 0))
    assert worker.wait(20) == 1
    assert "CUDA error 700" in worker.text()
    assert list(sequences(client, cameras[0])) == [[]]
    assert line.committed() == 0


LOADS_FOR_EVER = """
import os, sys
from pathlib import Path
from workers.app import run
from workers.settings import WorkerSettings

def build(settings):
    print("loading", flush=True)
    # As foreign code that keeps a thread and hears no signal.
    os.read(os.pipe()[0], 1)

sys.exit(run(WorkerSettings(model=Path(sys.argv[1])), build))
"""


def test_sigterm_is_heard_within_a_second_while_the_model_loads(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    command = [sys.executable, "-c", LOADS_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"loading\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
        finally:
            process.kill()
