"""One process that feeds one parser, and watches what each input costs."""

import contextlib
import mmap
import random
import re
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import TARGETS, Target, corpus

_HANG_SECONDS = 60
_POOL = 400
"""Inputs with outcomes of their own that are kept to be changed further."""

_GOOD_SHARE = 0.4


@dataclass
class Finding:
    """An input that did what no input may.

    Attributes:
        what: What it did.
        data: The input.
    """

    what: str
    data: bytes


@dataclass
class Outcome:
    """What a session saw.

    Attributes:
        inputs: How many were tried.
        seconds: How long that took.
        busy_seconds: Processor time of it; the machine may be shared.
        refused: How many raised a named error.
        outcomes: How many different outcomes there were.
        most_seconds: Most processor time that one input took.
        most_mebibytes: Most memory that one input added to the process's peak.
        findings: What must be mended, one of each kind.
    """

    inputs: int = 0
    seconds: float = 0.0
    busy_seconds: float = 0.0
    refused: int = 0
    outcomes: int = 0
    most_seconds: float = 0.0
    most_mebibytes: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    def add(self, other: "Outcome") -> None:
        """Add what another session of the same parser saw."""
        self.inputs += other.inputs
        self.refused += other.refused
        self.seconds = max(self.seconds, other.seconds)
        self.busy_seconds += other.busy_seconds
        self.outcomes = max(self.outcomes, other.outcomes)
        self.most_seconds = max(self.most_seconds, other.most_seconds)
        self.most_mebibytes = max(self.most_mebibytes, other.most_mebibytes)
        self.findings |= other.findings


class _HangError(BaseException):
    pass


def last_input(path: Path) -> bytes:
    """Return the input at which a session died."""
    raw = path.read_bytes() if path.exists() else b""
    return raw[8 : 8 + int.from_bytes(raw[:8], "big")]


def run_session(
    name: str, inputs: int, seed: int, ended: Callable[[], bool], note: Path | None = None
) -> Outcome:
    """Feed a parser.

    Args:
        name: The parser.
        inputs: How many inputs, the seeds and the corpus among them.
        seed: Of everything random.
        ended: Whether to end before all inputs are tried; the first ones are in any case.
        note: File that holds the present input, should the process die of it.
    """
    target, seen = TARGETS[name], Outcome()
    source = random.Random(f"{name}/{seed}")
    mutator = Mutator(source, target.words, target.most_bytes)
    first = [*target.seeds(), *corpus(name)]
    pool, known = list(first), set[str]()
    began, busy = time.monotonic(), time.process_time()
    with (
        tempfile.TemporaryDirectory(prefix="fuzz", dir=_memory()) as folder,
        _noted(note, target) as write,
    ):
        # Deep, so that a path which climbs meets nothing, above all no other session's inputs.
        deep = Path(folder, *"climbing")
        deep.mkdir(parents=True)
        parse = target.open(deep)
        for number in range(inputs):
            if number < len(first):
                data = first[number]
            elif ended():
                break
            else:
                # What was refused for a new reason leads on; what is good leads deep.
                base = source.choice(first if source.random() < _GOOD_SHARE else pool)
                data = mutator.mutate(base, source.choice(pool))
            write(data)
            outcome = _feed(parse, data, target, seen)
            if outcome not in known and len(known) < 20_000:
                known.add(outcome)
                if len(pool) < _POOL:
                    pool.append(data)
                else:
                    pool[source.randrange(len(first), _POOL)] = data
    seen.seconds, seen.outcomes = time.monotonic() - began, len(known)
    seen.busy_seconds = time.process_time() - busy
    return seen


def _feed(parse: Callable[[bytes], object], data: bytes, target: Target, seen: Outcome) -> str:
    before, clock = _peak_mebibytes(), time.process_time()
    outcome, finding = "ok", ""
    try:
        with _bounded():
            parse(data)
    except target.errors as error:
        seen.refused += 1
        outcome = f"{type(error).__name__}: {_shape(str(error))}"
    except _HangError:
        finding = outcome = f"takes more than {_HANG_SECONDS} s"
    except Exception as error:  # noqa: BLE001 - to see these is what it is for
        finding = outcome = f"{type(error).__name__}: {_shape(str(error))}"
    seconds, mebibytes = time.process_time() - clock, _peak_mebibytes() - before
    seen.inputs += 1
    if seen.inputs > 20:  # the first ones load libraries
        seen.most_seconds = max(seen.most_seconds, seconds)
        seen.most_mebibytes = max(seen.most_mebibytes, mebibytes)
        if seconds > target.most_seconds:
            finding = finding or f"takes {seconds:.1f} s of processor time"
        if mebibytes > target.most_mebibytes:
            finding = finding or f"takes {mebibytes:.0f} MiB of memory"
    if finding:
        kind = re.sub(r"\d+", "#", finding)[:40]
        seen.findings.setdefault(kind, Finding(finding[:300], data))
    return outcome


def _shape(text: str) -> str:
    """Return a message without what differs from input to input."""
    return re.sub(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"", "#", text)[:80]


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, _HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def on_alarm(_number: int, _frame: FrameType | None) -> None:
    """End an input that hangs; of code that never returns to Python the parent sees the silence."""
    raise _HangError


@contextlib.contextmanager
def _noted(path: Path | None, target: Target) -> Iterator[Callable[[bytes], None]]:
    if path is None:
        yield lambda data: None
        return
    with path.open("w+b") as file:
        file.truncate(8 + target.most_bytes + 4_000_000)
        with mmap.mmap(file.fileno(), 0) as memory:

            def write(data: bytes) -> None:
                memory[:8] = len(data).to_bytes(8, "big")
                memory[8 : 8 + len(data)] = data

            yield write


def _memory() -> Path | None:
    """Return a folder that is no disk, where there is one."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None
