"""The demo's live table: what each camera does, and a clear error when a process dies."""

import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from contract.errors import SeedstreamError
from contract.result import decode_result
from contract.result_keys import ResultKeys
from contract.samples import NOTHING, Samples, quantile
from servers.redis import Client, Redis
from servers.redis_connection import RedisConnection
from stack.child_process import ChildProcess, check_alive
from stack.demo.children import CAMERAS
from stack.seedstream_process import SeedstreamProcess

REFRESH_SECONDS = 1.0
PLAIN_SECONDS = 5.0
"""Between two reports where standard output is no terminal."""

WINDOW_SECONDS = 5.0
"""Rates and latencies are over the last so many seconds."""


@dataclass(frozen=True)
class Moment:
    """Metrics of both processes at one time.

    Attributes:
        seconds: Monotonic time.
        producer: The producer's metrics.
        worker: The worker's metrics.
        instances: Instances in the newest result of each camera.
    """

    seconds: float
    producer: Samples = NOTHING
    worker: Samples = NOTHING
    instances: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Row:
    """One camera, over the last seconds; latencies in seconds, None without frames."""

    camera: str
    captured_fps: float
    processed_fps: float
    p50_seconds: float | None
    p95_seconds: float | None
    instances: int | None
    dropped: dict[str, int]
    skipped: dict[str, int]


class History:
    """The moments of the last seconds."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque()

    def add(self, moment: Moment) -> None:
        """Add the newest moment and forget those that are too old."""
        self._moments.append(moment)
        while len(self._moments) > 2 and moment.seconds - self._moments[1].seconds > WINDOW_SECONDS:
            self._moments.popleft()

    def rows(self, cameras: list[str]) -> list[Row]:
        """Return a row for each camera."""
        if not self._moments:
            return []
        return [row(camera, self._moments[0], self._moments[-1]) for camera in cameras]

    def lag_records(self) -> int:
        """Return how many frames wait in Kafka."""
        worker = self._moments[-1].worker if self._moments else NOTHING
        return int(worker.total("seedstream_lag_records"))


def row(camera: str, before: Moment, after: Moment) -> Row:
    """Return what a camera did between two moments, and its drops since the beginning."""
    span = max(after.seconds - before.seconds, 1e-9)
    captured = "seedstream_frames_captured_total"
    processed = "seedstream_frames_processed_total"
    latency = "seedstream_end_to_end_latency_seconds"
    new = after.producer.total(captured, camera=camera) - before.producer.total(
        captured, camera=camera
    )
    done = after.worker.total(processed, camera=camera) - before.worker.total(
        processed, camera=camera
    )
    earlier = before.worker.buckets(latency, camera=camera)
    later = after.worker.buckets(latency, camera=camera)
    return Row(
        camera=camera,
        captured_fps=new / span,
        processed_fps=done / span,
        p50_seconds=quantile(earlier, later, 0.5),
        p95_seconds=quantile(earlier, later, 0.95),
        instances=(after.instances or {}).get(camera),
        dropped=after.producer.counts("reason", "seedstream_frames_dropped_total", camera=camera),
        skipped=after.worker.counts("reason", "seedstream_frames_skipped_total", camera=camera),
    )


def table(rows: list[Row], lag_records: int, title: str) -> Table:
    """Return the table for a terminal."""
    # Fits 80 columns: only the reasons may wrap.
    made = Table(
        title=title,
        caption=f"lag: {lag_records} frames wait in Kafka",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )
    made.add_column("camera", no_wrap=True)
    for heading in ("captured\nfps", "processed\nfps", "p50 / p95\nlatency ms", "instances"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("dropped", overflow="fold")
    made.add_column("skipped", overflow="fold")
    for each in rows:
        made.add_row(
            each.camera,
            f"{each.captured_fps:.1f}",
            f"{each.processed_fps:.1f}",
            f"{_number(each.p50_seconds)} / {_number(each.p95_seconds)}",
            "-" if each.instances is None else str(each.instances),
            _reasons(each.dropped),
            _reasons(each.skipped),
        )
    return made


def plain(rows: list[Row], lag_records: int, title: str) -> list[str]:
    """Return the table as lines for a log."""
    return [
        f"{title} {each.camera}: captured {each.captured_fps:.1f} fps, "
        f"processed {each.processed_fps:.1f} fps, "
        f"p50 {_milliseconds(each.p50_seconds)}, p95 {_milliseconds(each.p95_seconds)}, "
        f"instances {'-' if each.instances is None else each.instances}, "
        f"dropped {_reasons(each.dropped)}, skipped {_reasons(each.skipped)}, lag {lag_records}"
        for each in rows
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _number(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _reasons(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.items()) or "0"


def summary_line(each: Row) -> str:
    """Return a row over a whole run as a line."""
    return (
        f"{each.camera}: captured {each.captured_fps:.1f} fps, processed "
        f"{each.processed_fps:.1f} fps, latency p50 {_milliseconds(each.p50_seconds)}, "
        f"p95 {_milliseconds(each.p95_seconds)}"
    )


class Watch:
    """Looks at a producer and a worker.

    Args:
        console: Where the table is shown.
        producer: The producer.
        worker: The worker.
        running: Every process that must go on running, these two among them.
        redis: Where the results are.
    """

    def __init__(
        self,
        console: Console,
        producer: SeedstreamProcess,
        worker: SeedstreamProcess,
        running: Sequence[ChildProcess],
        redis: RedisConnection,
    ) -> None:
        self._console = console
        self._running = running
        self._producer = producer
        self._worker = worker
        self._redis = Redis(redis)
        self._history = History()
        self._first: Moment | None = None
        self._last: Moment | None = None

    def wait_for_frames(self, timeout_seconds: float) -> None:
        """Wait until every camera has given a frame.

        Raises:
            StartError: A process died, or a camera gave nothing within ``timeout_seconds``.
        """
        for camera in CAMERAS:
            self._producer.wait_until(
                partial(self._has_frames, camera), timeout_seconds, f"no frame of camera {camera}"
            )

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

    def _has_frames(self, camera: str) -> bool:
        self._first = self._look()
        return self._first.producer.total("seedstream_frames_captured_total", camera=camera) > 0

    def _look(self) -> Moment:
        check_alive(self._running)
        moment = Moment(
            time.monotonic(),
            self._producer.metrics() or NOTHING,
            self._worker.metrics() or NOTHING,
            self._instances(),
        )
        # A process that was too busy to answer is no process that does nothing.
        if moment.producer is not NOTHING and moment.worker is not NOTHING:
            self._history.add(moment)
            self._last = moment
        return moment

    def _instances(self) -> dict[str, int]:
        found = {}
        with contextlib.suppress(SeedstreamError):
            look = partial(_latest, keys=self._redis.connection.result_keys)
            for camera, document in self._redis.attempt("read from", look).items():
                if document is not None:
                    found[camera] = len(decode_result(document).instances)
        return found


def _latest(client: Client, keys: ResultKeys) -> dict[str, Any]:
    return {camera: client.get(keys.latest(camera)) for camera in CAMERAS}
