"""Wall clocks that step back and forth, each of one process alone."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.chaos.account import Row
from tests.chaos.rig import Rig, clean
from tests.default_keys import KEYS

SOURCE = Path(__file__).with_name("wall_clock.c")
BOUND_SECONDS = 5.0
STEP_SECONDS = 3000


class SteppingClock:
    """The wall clock of the processes that are started with ``env``; the monotonic one is true."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (`cc`) for a clock that can be set for one process")
        library, self._file = folder / "wall_clock.so", folder / "clock"
        self.step(0)
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
        subprocess.run(command, check=True, timeout=60)
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(self._file)}

    def step(self, seconds: int) -> None:
        """Set it this far from the true time."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(struct.pack("q", seconds))


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
        return [int(rig.client.xlen(KEYS.results(camera))) for camera in rig.cameras]

    before = counted()

    def more() -> bool:
        return all(now >= then + 10 for now, then in zip(counted(), before, strict=True))

    return max(0.0, rig.until(more, bound + 1, "more results of every camera") - 1)
