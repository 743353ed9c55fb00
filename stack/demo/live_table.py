"""Watches the demo's processes: the live table, and a clear error when one of them dies."""

import contextlib
import time
from collections.abc import Sequence

import redis
from rich.console import Console
from rich.live import Live

from contract.errors import InvalidMessageError, UnavailableError
from contract.result import decode_result, latest_key
from stack.child_process import POLL_SECONDS, Server, check_alive
from stack.demo.children import CAMERAS, Child
from stack.samples import NOTHING, scrape
from stack.table import History, Moment, plain, row, summary_line, table

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 5.0
"""Between two reports where standard output is no terminal."""


class Watch:
    """Looks at a producer and a worker.

    Args:
        console: Where the table is shown.
        producer: The producer.
        worker: The worker.
        servers: Every process that must go on running, these two among them.
        redis_url: Where the results are.
    """

    def __init__(
        self,
        console: Console,
        producer: Child,
        worker: Child,
        servers: Sequence[Server],
        redis_url: str,
    ) -> None:
        self._console = console
        self._servers = servers
        self._producer = producer
        self._worker = worker
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._history = History()
        self._first: Moment | None = None
        self._last: Moment | None = None

    def wait_for_frames(self, timeout_seconds: float) -> None:
        """Wait until every camera has given a frame.

        Raises:
            UnavailableError: A process died, or a camera gave nothing within ``timeout_seconds``.
        """
        deadline = time.monotonic() + timeout_seconds
        name = "seedstream_frames_captured_total"
        while True:
            moment = self._look()
            silent = [each for each in CAMERAS if not moment.producer.total(name, camera=each)]
            if not silent:
                self._first = moment
                return
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"no frame of {', '.join(silent)} within {timeout_seconds:.0f} s; the end of "
                    f"the producer's log:\n{self._producer.server.tail()}"
                )
            time.sleep(POLL_SECONDS * 2)

    def show(self, seconds: float) -> None:
        """Show what goes on for ``seconds`` (0: until interrupted).

        Raises:
            StartError: A process died; the message carries the end of its log.
        """
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            live = None
            if self._console.is_terminal:
                live = stack.enter_context(Live(console=self._console, auto_refresh=False))
            reported = began
            while seconds == 0 or time.monotonic() - began < seconds:
                time.sleep(REFRESH_SECONDS)
                self._look()
                now = time.monotonic()
                title = f"{now - began:.0f} s" + (f" of {seconds:.0f} s" if seconds else "")
                rows, lag = self._history.rows(CAMERAS), self._history.lag_records()
                if live is not None:
                    live.update(table(rows, lag, title), refresh=True)
                elif now - reported >= PLAIN_SECONDS:
                    reported = now
                    for line in plain(rows, lag, title):
                        self._console.print(line)

    def summary(self) -> list[str]:
        """Return what each camera did on average while it was watched."""
        first, last = self._first, self._last
        if first is None or last is None or first is last:
            return []
        return [summary_line(row(camera, first, last)) for camera in CAMERAS]

    def close(self) -> None:
        """Close the connection to Redis."""
        self._redis.close()

    def _look(self) -> Moment:
        check_alive(self._servers)
        moment = Moment(
            time.monotonic(),
            scrape(self._producer.port) or NOTHING,
            scrape(self._worker.port) or NOTHING,
            self._instances(),
        )
        # A process that was too busy to answer is no process that does nothing.
        if moment.producer is not NOTHING and moment.worker is not NOTHING:
            self._history.add(moment)
            self._last = moment
        return moment

    def _instances(self) -> dict[str, int]:
        found = {}
        for camera in CAMERAS:
            with contextlib.suppress(redis.RedisError, InvalidMessageError):
                document = self._redis.get(latest_key(camera))
                if isinstance(document, bytes):
                    found[camera] = len(decode_result(document).instances)
        return found
