"""Train in the cluster, release, promote to the workers, roll back; results say which."""

import time
from datetime import datetime

import pytest

from tests.cluster.installation import Stack, Timer


@pytest.fixture(scope="module")
def training(stack: Stack) -> Stack:
    stack.start_training()
    stack.kubectl("wait", "--for=condition=Ready", "pod/looker", "--timeout=270s", timeout=300)
    return stack


def models_of_new_results(stack: Stack) -> set[str]:
    stack.count()
    time.sleep(8)
    return set(stack.count()["models"])


def test_a_released_version_is_rolled_out_and_back(training: Stack) -> None:
    stack = training
    stack.kubectl("wait", "--for=condition=Complete", "job/train", "--timeout=1200s", timeout=1230)
    status = stack.get("job", "train")["status"]
    began, ended = (datetime.fromisoformat(status[k]) for k in ("startTime", "completionTime"))
    released = stack.kubectl("logs", "job/train", "--tail=5")
    assert "released /models/discs/1" in released

    timer = Timer()
    stack.kubectl("set", "env", "deployment/worker", "WORKER_MODEL=/models/discs/1")
    stack.rolled_out_workers()
    promoted = timer.seconds
    assert models_of_new_results(stack) == {"discs/1"}

    timer = Timer()
    stack.kubectl("rollout", "undo", "deployment/worker")
    stack.rolled_out_workers()
    stack.row(
        "train, release, promote, roll back",
        f"{(ended - began).total_seconds():.0f} s to train and release, "
        f"{promoted:.0f} s to promote, {timer.seconds:.0f} s to roll back",
    )
    assert models_of_new_results(stack) == {"street/1"}
