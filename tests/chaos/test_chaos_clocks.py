"""Wall clocks that step back and forth (Debian's libfaketime, preloaded into one process)."""

import random
from pathlib import Path

import pytest

from contract.result import results_key
from tests.chaos.account import Row
from tests.chaos.rig import Rig, clean

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
BOUND_SECONDS = 5.0
STEP_SECONDS = 3000


class SteppingClock:
    """The wall clock of the processes that are started with ``env``; the monotonic one is true."""

    def __init__(self, folder: Path) -> None:
        if LIBRARY is None:
            pytest.skip("no libfaketime: apt-get install libfaketime")
        self._file = folder / "clock"
        self.step(0)
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Set it this far from the true time."""
        self._file.write_text(f"{seconds:+d}\n")


@pytest.mark.parametrize("whose", ["producer", "workers"])
def test_a_wall_clock_steps_back_and_forth(
    rig: Rig, rows: list[Row], dice: random.Random, tmp_path: Path, whose: str
) -> None:
    clock = SteppingClock(tmp_path)
    for number in range(2):
        rig.add_worker(f"worker-{number}", env=clock.env if whose == "workers" else None)
    rig.add_producer(env=clock.env if whose == "producer" else None)
    rig.steady()
    for _ in range(8):
        clock.step(dice.randint(-STEP_SECONDS, STEP_SECONDS))
        rig.run_for(2)
    clock.step(0)
    took = more_results(rig)
    rows.append(rig.finish(f"wall clock of {whose} steps by up to 50 min", took, BOUND_SECONDS))
    clean(rows[-1])


def test_a_producer_starts_again_with_its_clock_set_back(
    rig: Rig, rows: list[Row], tmp_path: Path
) -> None:
    clock = SteppingClock(tmp_path)
    rig.add_worker("worker-0")
    slot = rig.add_producer(env=clock.env)
    rig.steady()
    clock.step(-600)
    slot.process.kill()
    rig.until(lambda: slot.starts == 2, 20, "the new producer")
    took = more_results(rig, 30)
    name = "producer starts again with its clock set back by 10 min"
    rows.append(rig.finish(name, took, 30))
    clean(rows[-1])


def more_results(rig: Rig, bound: float = BOUND_SECONDS) -> float:
    """Wait for ten more results of every camera: capture times tell nothing here."""

    def counted() -> list[int]:
        return [int(rig.client.xlen(results_key(camera))) for camera in rig.cameras]

    before = counted()

    def more() -> bool:
        return all(now >= then + 10 for now, then in zip(counted(), before, strict=True))

    return max(0.0, rig.until(more, bound + 1, "more results of every camera") - 1)
