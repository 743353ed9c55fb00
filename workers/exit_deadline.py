"""The end of the process, within a bound even when a thread hangs.

At its exit the interpreter waits for every thread of a pool, and a call into the network that hangs
never returns; nor does the answer of a Kafka that has gone silent end in time.
"""

import logging
import os
import threading
from collections.abc import Callable

from contract.process import EXIT_FAILED

log = logging.getLogger(__name__)


class ExitDeadline:
    """Ends the process at once when it has not left by itself in time.

    Args:
        seconds: How long leaving may take, in seconds.
        end: Ends the process with an exit code, without waiting for anything.
    """

    def __init__(self, seconds: float, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._hanging = False
        self._timer = threading.Timer(seconds, self._end_at_once)
        self._timer.daemon = True

    def begin(self) -> None:
        """Start the time: from here on the process only leaves."""
        self._timer.start()

    def note(self, *, ended: bool) -> None:
        """Note whether a part ended; one that did not will hold up the interpreter."""
        self._hanging = self._hanging or not ended

    def left(self) -> None:
        """All is cleaned up: call the time off, unless a part hangs."""
        if not self._hanging:
            self._timer.cancel()

    def _end_at_once(self) -> None:
        log.error(
            "a thread still hangs %g s after the end of the work: the process ends without it; "
            "what was not stored is not committed", self._seconds,
        )  # fmt: skip
        logging.shutdown()
        self._end(EXIT_FAILED)
