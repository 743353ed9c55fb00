"""The trainer as users run it: killed and resumed, and with several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.made_data import write_discs, write_recipe

RECIPE = """
classes = ["disc"]
input_size = [64, 64]
min_pixels = 8
recount_batch_norm = true
[[stages]]
crop = 32
epochs = 3
batch = 4
crops_per_epoch = 32
"""
STEPS = 24
PATIENCE_SECONDS = 600


def command(folder: Path, out: Path, *extra: str, processes: int = 1) -> list[str]:
    start = [sys.executable, "-m", "seedstream"]
    if processes > 1:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        start += ["--nproc-per-node", str(processes), "-m", "seedstream"]
    options = ["--data", str(folder / "discs"), "--out", str(out), "--precision", "float32"]
    options += ["--threads", "1", "--data-workers", "1", "--log-every", "1", "--device", "cpu"]
    return [*start, "train", str(folder / "discs.toml"), *options, *extra]


def run(arguments: list[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        arguments, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(out: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_discs(folder / "discs")
    write_recipe(folder, RECIPE)
    return folder


@pytest.fixture(scope="module")
def whole(folder) -> Path:
    """A run that nothing stopped."""
    run(command(folder, folder / "whole"))
    return folder / "whole"


def test_a_killed_run_goes_on_with_the_same_curve(folder, whole):
    out = folder / "killed"
    process = subprocess.Popen(
        command(folder, out, "--checkpoint-every", "3"),
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (out / "log.jsonl").exists() or len(losses(out)) < 8:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reached = max(losses(out))
    assert reached < STEPS - 1

    run(command(folder, out, "--checkpoint-every", "3"))

    assert losses(out) == losses(whole)
    assert list(losses(out)) == list(range(STEPS))
    record = json.loads((out / "run.json").read_text())
    assert len(record["attempts"]) == 2
    assert 0 < record["attempts"][1]["first_step"] <= reached + 1
    ends = [
        torch.load(o / "checkpoints" / f"step-{STEPS:08d}.pt", weights_only=True)
        for o in (whole, out)
    ]
    for name, value in ends[0]["model_state_dict"].items():
        assert torch.equal(ends[1]["model_state_dict"][name], value), name


def test_two_processes_learn_as_one_does(folder, whole):
    # In float64: in float32 the order of sums alone moves the gradient of such small crops by
    # percents, through ReLU's kinks and ties in the hinge, and no curve tells a fault from it.
    exact = ("--precision", "float64")
    run(command(folder, folder / "one", *exact))
    out = folder / "two"

    run(command(folder, out, *exact, processes=2))

    one, two = losses(folder / "one"), losses(out)
    assert list(two) == list(range(STEPS))
    # Even so the smallest difference grows tenfold a step, and faster where a kink is met.
    bounds = [1e-9] * 3 + [1e-3] * 5 + [5e-2] * (STEPS - 8)
    for step, bound in enumerate(bounds):
        assert two[step] == pytest.approx(one[step], rel=bound), step
    record = json.loads((out / "run.json").read_text())
    assert record["attempts"][0]["processes"] == 2
    assert len(list((out / "tensorboard").iterdir())) == 1


def test_two_processes_go_on_where_one_stopped(folder, whole):
    out = folder / "mixed"
    run(command(folder, out, "--stop-after", "10"))

    run(command(folder, out, processes=2))

    one, mixed = losses(whole), losses(out)
    assert [mixed[step] for step in range(10)] == [one[step] for step in range(10)]
    assert mixed[10] == pytest.approx(one[10], rel=1e-4)


def test_a_run_stopped_by_sigterm_keeps_its_last_step(folder, whole):
    out = folder / "terminated"
    process = subprocess.Popen(
        command(folder, out),
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (out / "log.jsonl").exists() or len(losses(out)) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)  # as systemd and `timeout` do: its loader hears it, too
    _, said = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert "the same command resumes it" in said
    reached = max(losses(out)) + 1
    assert (out / "checkpoints" / f"step-{reached:08d}.pt").exists()
    run(command(folder, out))
    assert losses(out) == losses(whole)
