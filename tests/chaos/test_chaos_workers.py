"""Workers that die, leave, come and hang."""

import random
import signal
import time
from pathlib import Path

from tests.chaos.account import Row
from tests.chaos.rig import SESSION_SECONDS, Rig, clean

BOUND_SECONDS = SESSION_SECONDS + 5
LIVENESS_SECONDS = 60
LEAVE_SECONDS = 40
"""From the kubelet's SIGTERM: the drain (10 s), the exit's deadline, the session, the backlog."""


def test_a_worker_that_is_asked_to_end_under_load(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}", seconds=0.02)
    rig.add_producer()
    rig.steady()
    rig.run_for(dice.random())
    asked_at = time.time()
    assert rig.remove("worker-0") == 0
    took = rig.recovery(asked_at, BOUND_SECONDS)
    rows.append(rig.finish("worker's SIGTERM under load", took, BOUND_SECONDS))
    assert clean(rows[-1]).stored == rows[-1].account.published


def test_a_worker_that_stands_still_and_goes_on_after_the_others_took_its_work(
    rig: Rig, rows: list[Row]
) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}")
    rig.add_producer()
    rig.steady()
    frozen = rig.slots["worker-0"].process
    began = time.time()
    frozen.signal(signal.SIGSTOP)
    took = rig.recovery(began, BOUND_SECONDS)
    frozen.signal(signal.SIGCONT)
    rig.run_for(5)
    name = "worker frozen (SIGSTOP), its cameras taken over, thawed"
    rows.append(rig.finish(name, took, BOUND_SECONDS))
    clean(rows[-1])


def test_workers_that_join_and_leave_every_few_seconds(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}")
    rig.add_producer()
    rig.steady()
    for number in range(2, 10):
        rig.add_worker(f"worker-{number}")
        rig.run_for(dice.uniform(2, 4))
        running = [slot for slot in rig.slots.values() if slot.name != "producer" and slot.wanted]
        gone = dice.choice(running)
        if number % 3:
            gone.wanted = False
            gone.process.signal(signal.SIGTERM)
        else:
            gone.wanted = False
            gone.process.kill()
    over_at = time.time()
    took = rig.recovery(over_at, BOUND_SECONDS)
    name = "rebalance storm: 8 workers come, 5 leave, 3 are killed, every 2 to 4 s"
    rows.append(rig.finish(name, took, BOUND_SECONDS))
    clean(rows[-1])


def test_a_network_that_hangs_is_seen_by_liveness_and_its_frames_go_to_another_worker(
    rig: Rig, rows: list[Row], tmp_path: Path
) -> None:
    gate = tmp_path / "hang"
    rig.add_worker("worker-0", probed=True, env={"FAKE_HANGS_WHILE": str(gate)})
    rig.add_worker("worker-1")
    rig.add_producer()
    rig.steady()
    began = time.time()
    gate.touch()
    hung = rig.slots["worker-0"]
    rig.until(lambda: hung.starts > 1 or hung.exits, LIVENESS_SECONDS + 30, "the kubelet's kill")
    gate.unlink()
    bound = LIVENESS_SECONDS + LEAVE_SECONDS
    took = rig.recovery(began, bound)
    rows.append(rig.finish("network of one worker hangs (killed by its liveness)", took, bound))
    clean(rows[-1])
