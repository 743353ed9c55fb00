"""Calls into the network beside one another: one server that is silent holds up no other."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def as_they_come(
    call: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ResultT]:
    """Call with every item at once, and yield what is returned, the soonest first.

    What is not there in time is left out. A call that is still under way then, or when the caller
    has seen enough, is left to itself, in a thread that holds up no exit.

    Args:
        call: Called in threads of its own; what it raises is raised here.
        items: What it is called with.
        seconds: How long to wait for all of them.
        clock: Monotonic clock, in seconds.
    """
    results: queue.SimpleQueue[tuple[ResultT | None, BaseException | None]] = queue.SimpleQueue()

    def run(item: ItemT) -> None:
        try:
            results.put((call(item), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            results.put((None, error))

    for item in items:
        threading.Thread(target=run, args=(item,), name="visit", daemon=True).start()
    deadline = clock() + seconds
    for _ in items:
        try:
            result, error = results.get(timeout=max(0.0, deadline - clock()))
        except queue.Empty:
            return
        if error is not None:
            raise error
        yield result  # type: ignore[misc]  # it is one unless there was an error
