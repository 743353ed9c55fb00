"""What an examination finds, and how its parts run beside one another within a bound."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from contract.errors import SeedstreamError

Status = Literal["ok", "warning", "fault", "skipped"]

Clock = Callable[[], float]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        part: What was examined, for instance ``kafka``.
        check: Which property of it.
        status: ``skipped`` where it could not be looked at, which is no fault by itself.
        seen: What was seen, and what was expected where that differs.
        advice: What to do; empty if nothing.
        process: The process whose settings were used; empty for the machine itself.
    """

    part: str
    check: str
    status: Status
    seen: str
    advice: str = ""
    process: str = ""


@dataclass(frozen=True)
class Part:
    """Makes the findings of one part of one process.

    Attributes:
        name: The part.
        process: The process.
    """

    name: str
    process: str = ""

    def ok(self, check: str, seen: str) -> Finding:
        """Return that all is well."""
        return Finding(self.name, check, "ok", seen, "", self.process)

    def warning(self, check: str, seen: str, advice: str) -> Finding:
        """Return what works, but not for long, or not as well as it could."""
        return Finding(self.name, check, "warning", seen, advice, self.process)

    def fault(self, check: str, seen: str, advice: str) -> Finding:
        """Return what does not work."""
        return Finding(self.name, check, "fault", seen, advice, self.process)

    def skipped(self, check: str, seen: str, advice: str = "") -> Finding:
        """Return what could not be looked at, and why."""
        return Finding(self.name, check, "skipped", seen, advice, self.process)

    def failed(self, check: str, error: SeedstreamError | str) -> Finding:
        """Return one of our errors as a fault: its last clause says what to do."""
        seen, _, advice = str(error).rpartition("; ")
        return self.fault(check, seen or advice, advice if seen else "")


Task = tuple[Part, Callable[[], Iterable[Finding]]]


def examine(
    tasks: Mapping[str, Task], *, threads: int, seconds: float, clock: Clock = time.monotonic
) -> Iterator[Finding]:
    """Run tasks beside one another and yield their findings, task by task in the given order.

    A task that hangs is left behind: what it had found by then is yielded, and a fault.

    Args:
        tasks: What to run by name of its check, with the part that a fault of it belongs to.
        threads: How many run at a time.
        seconds: How long all of them may take together.
        clock: Monotonic clock, in seconds.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[str, Finding | None]] = queue.SimpleQueue()
    for name in tasks:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            part, run = tasks[name]
            last: Finding | None = part.fault(
                name, "ended by an internal error, which the log tells", "report it"
            )
            try:
                for finding in run():
                    results.put((name, finding))
                last = None
            except SeedstreamError as error:
                last = part.failed(name, error)
            finally:
                if last is not None:
                    results.put((name, last))
                results.put((name, None))

    for number in range(min(threads, len(tasks))):
        # Not to be waited for: a camera or a server may hang for ever.
        threading.Thread(target=work, name=f"examine-{number}", daemon=True).start()
    found: dict[str, list[Finding]] = {name: [] for name in tasks}
    left = set(tasks)
    deadline = clock() + seconds
    while left:
        try:
            name, finding = results.get(timeout=max(0.0, deadline - clock()))
        except queue.Empty:
            break
        if finding is None:
            left.discard(name)
        else:
            found[name].append(finding)
    for name, (part, _) in tasks.items():
        yield from found[name]
        if name in left:
            yield part.fault(
                name,
                f"not done within {seconds:g} s",
                "see whether the server or camera hangs, or give more time with --timeout",
            )
