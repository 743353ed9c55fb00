"""SIGTERM and a closed terminal end a command as Ctrl-C does, so that it can stop what it began."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_INTERRUPTED = 130
"""A command was interrupted before its end."""

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible(*, once: bool = False) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP raise ``KeyboardInterrupt``. Call in the main thread.

    SIGHUP that is ignored stays so: ``nohup`` lets a command go on without its terminal.

    Args:
        once: Whether the first of them is the last one heard, so that no impatient second one
            breaks the clean-up, whose waits must be bounded.
    """
    before = {number: signal.getsignal(number) for number in _INTERRUPTS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, _interrupt_once if once else signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_interrupts() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP wait until the end of the block, then have their effect.

    For the moment between beginning something and noting down that it has to be ended. Only the
    main thread hears signals, so elsewhere there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    # What is ignored stays so, in a child that begins meanwhile as well.
    before = {
        number: handler
        for number in _INTERRUPTS
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def ignore_interrupts() -> None:
    """Let the clean-up, whose waits must be bounded, come to its end."""
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    ignore_interrupts()
    raise KeyboardInterrupt
