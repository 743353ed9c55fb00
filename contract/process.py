"""Processes and Kubernetes: signals, exit codes, logs and the registry of metrics.

Libraries: prometheus-client, python-json-logger.
"""

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from pythonjsonlogger.json import JsonFormatter

from contract.lane import LANE_LABEL, LaneRegistry
from contract.log_limit import LogLimit
from contract.redaction import redact

log = logging.getLogger(__name__)

EXIT_OK = 0
"""Success; a process that was asked to end has finished what it had begun."""

EXIT_FAILED = 1
"""A server or the device stayed unavailable, work was lost, or an input could not be used."""

EXIT_CONFIGURATION = 2
"""What a person must change: invalid settings or options, all of them named on standard error; or a
server that refuses access, with the reason: credentials, certificates, protocol, rights."""


T = TypeVar("T")

_LISTEN_SECONDS = 0.1
"""How soon a signal is heard while a call is stuck."""


class Shutdown:
    """Whether SIGTERM or SIGINT has come; a second signal ends the process at once.

    A handler runs between any two instructions of the main thread, also inside its ``wait``: of the
    standard library's queues and locks only ``SimpleQueue.put`` may be called there. The lock of a
    ``threading.Event`` would wait for the very thread that it interrupted.
    """

    def __init__(self) -> None:
        self._requested = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def install(self) -> None:
        """Take over SIGTERM and SIGINT. Call in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._requested:
            # The person insists. Default action, so that the exit status names the signal.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.request()

    def request(self) -> None:
        """Ask for the end as a signal would."""
        self._requested = True
        self._wake.put(None)

    @property
    def requested(self) -> bool:
        """Whether the process has been asked to end."""
        return self._requested

    def wait(self, timeout_seconds: float) -> bool:
        """Wait at most ``timeout_seconds``; return whether the end is requested."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=max(0.0, timeout_seconds))
            self._wake.put(None)  # for the next call, and for other threads that wait
        return self._requested

    def unless_requested(self, call: Callable[[], T]) -> T | None:
        """Run what may be stuck in the network; None if the end is requested before it returns.

        It runs in a thread of its own, which is then left to itself: neither a name server nor a
        server that accepts connections and says nothing can keep the process from hearing SIGTERM.
        """
        if self._requested:
            return None
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
                errors.append(error)

        thread = threading.Thread(target=run, name="opening", daemon=True)
        thread.start()
        while thread.is_alive() and not self._requested:
            thread.join(_LISTEN_SECONDS)
        if self._requested:
            return None
        if errors:
            raise errors[0]
        return results[0]


class ExitDeadline:
    """Ends the process at once when it has not left by itself in time, even when a thread hangs.

    At its exit the interpreter waits for every thread of a pool, and a call into the network that
    hangs never returns; nor does the answer of a Kafka that has gone silent end in time.

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

    def leave_at_once(self) -> None:
        """End the process now, and well: a thread does what nothing interrupts, and nobody wants.

        The interpreter would wait for it, or break off in the middle of foreign code.
        """
        log.info("asked to end before work began")
        logging.shutdown()
        self._end(EXIT_OK)

    def left(self) -> None:
        """All is cleaned up: call the time off, unless a part hangs."""
        if not self._hanging:
            self._timer.cancel()

    def _end_at_once(self) -> None:
        log.error(
            "a thread still hangs %g s after work has ended: the process exits without it; "
            "what was not stored is not committed", self._seconds,
        )  # fmt: skip
        logging.shutdown()
        self._end(EXIT_FAILED)


def process_registry(lane: str | None = None) -> CollectorRegistry:
    """Return the registry of a process, with the metrics of the process itself.

    From here on no counter or histogram of the process has a ``_created`` series: those double the
    number of samples per scrape, and nothing reads them.

    Args:
        lane: The lane that the process belongs to, a label of every series; None for no label.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = LaneRegistry(lane)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class _TextFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return redact(super().formatException(ei))


class _JsonFormatter(JsonFormatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        text = super().formatException(ei)
        return redact(text if isinstance(text, str) else "\n".join(text))


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Write what nobody caught as a log line: Python's own report would repeat credentials."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log = logging.getLogger("seedstream")
        log.critical("ended by an internal error", exc_info=(kind, error, trace))


def silence_kafka_client() -> None:
    """Keep what Kafka's client says of each of its attempts from the terminal of a command.

    The command says once, in its own words, what is wrong.
    """
    library = logging.getLogger("kafka")
    library.addHandler(logging.NullHandler())  # else Python prints warnings of its own accord
    library.propagate = False


def log_dead_thread(arguments: threading.ExceptHookArgs) -> None:
    """Log where a thread died, without the error's text: FFmpeg's texts quote whole addresses."""
    name = arguments.thread.name if arguments.thread else "unknown"
    where = "".join(traceback.format_tb(arguments.exc_traceback))
    log.error("thread %s died of %s\n%s", name, arguments.exc_type.__name__, where)


class _Redact(logging.Filter):
    """Camera and server credentials never reach a log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


class _Seldom(logging.Filter):
    """What Kafka's client says in the same words several times a second is said seldom.

    Args:
        clock: Monotonic clock, in seconds.
    """

    EVERY_SECONDS = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit = LogLimit(self.EVERY_SECONDS, max_kinds=100, clock=clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka."):
            return True
        text = record.getMessage()
        more = self._limit.due(f"{record.name} {record.levelname} {text}")
        if more:
            record.msg, record.args = text + more, None
        return more is not None


def configure_logging(
    process: str,
    level: str = "INFO",
    style: Literal["json", "text"] = "json",
    lane: str | None = None,
) -> None:
    """Log to standard error, one JSON object a line (or text), credentials removed.

    What Kafka's client repeats in the same words is logged once in ten seconds.

    Args:
        process: Name of the process, in every line.
        level: Lowest level that is logged.
        style: ``json`` or ``text``.
        lane: The lane that the process belongs to, in every line of JSON; None for none.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Seldom())
    handler.addFilter(_Redact())
    if style == "json":
        handler.setFormatter(
            _JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                static_fields={"process": process} | ({} if lane is None else {LANE_LABEL: lane}),
                datefmt="%Y-%m-%dT%H:%M:%S%z",
            )
        )
    else:
        handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    sys.excepthook = _log_uncaught
    logging.getLogger("kafka").setLevel(max(logging.WARNING, root.level))
    # Says several times a second that no broker is there; the adapters say it once, with a bound.
    logging.getLogger("kafka.cluster").setLevel(logging.ERROR)
    # Warns about every turn of its loop above 0.1 s, which a busy machine has many of.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
