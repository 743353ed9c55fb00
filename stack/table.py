"""The demo's live table: what each camera does, from two moments of the metrics."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table

from stack.samples import NOTHING, Samples, quantile

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
