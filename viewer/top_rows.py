"""What producers and workers do, told from two looks at their metrics. Pure."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from contract.samples import Samples, quantile

STAGES = ("fetch", "decode", "infer", "describe", "store")
"""The worker's line, in order."""

BUSY_SHARE = 0.5
"""A stage that works less than this share of the time holds nobody up."""

_START_TIME = "process_start_time_seconds"
_COUNTED = ("_total", "_count", "_bucket")
"""How the names of values end that only grow, while a process lives."""

_STAGE_TIME = "seedstream_stage_time_seconds_total"
_LATENCY = "seedstream_result_latency_seconds"


@dataclass(frozen=True)
class Look:
    """A process's metrics at one moment.

    Attributes:
        seconds: Monotonic time.
        samples: Its metrics; None where it did not answer.
        fault: Why it did not.
    """

    seconds: float
    samples: Samples | None = None
    fault: str = ""


@dataclass(frozen=True)
class StageShare:
    """What a stage did of the time between two looks, as shares of it."""

    name: str
    waiting_for_input: float
    working: float
    waiting_for_output: float


@dataclass(frozen=True)
class ProcessRow:
    """A process between two looks.

    Attributes:
        address: Where its page is.
        kind: ``producer``, ``worker``, or empty where that is unknown.
        fault: Why nothing is known.
        fps: Frames a second, published or stored; None before two looks at the same process.
        p50_seconds: Median latency, to Kafka or to the stored result; None without a frame.
        p95_seconds: 95th percentile.
        dropped_fps: Frames a second that were left out, by reason.
        lag_records: Unfinished records of a worker's partitions; None for a producer, or where its
            page says no number.
        lag_seconds: Age of the oldest of them.
        stages: A worker's stages; none before two looks at the same process.
    """

    address: str
    kind: str = ""
    fault: str = ""
    fps: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    dropped_fps: Mapping[str, float] = field(default_factory=dict)
    lag_records: int | None = None
    lag_seconds: float | None = None
    stages: Sequence[StageShare] = ()

    @property
    def bottleneck(self) -> StageShare | None:
        """The stage that works most, unless even that one mostly waits."""
        busiest = max(self.stages, key=lambda stage: stage.working, default=None)
        return busiest if busiest is not None and busiest.working >= BUSY_SHARE else None


def process_row(address: str, before: Look, after: Look) -> ProcessRow:
    """Return what a process did between two looks."""
    if after.samples is None:
        return ProcessRow(address, fault=after.fault)
    now, then = after.samples, before.samples
    if then is not None and not _same_process(then, now):
        then = None
    span = max(after.seconds - before.seconds, 1e-9)
    names = {name for name, _ in now.values}
    if _STAGE_TIME in names:
        return _worker(address, then, now, span)
    if "seedstream_sends_in_flight" in names:
        return _producer(address, then, now, span)
    return ProcessRow(address, fault="its page has no metrics of a producer or worker")


def _same_process(then: Samples, now: Samples) -> bool:
    """Whether the same process was looked at twice: it started at the same time.

    Where its page does not say when, nothing that only grows has become less.
    """
    began = [each.total(_START_TIME) for each in (then, now)]
    if any(began):
        return began[0] == began[1]
    return all(
        now.values.get(series, value) >= value
        for series, value in then.values.items()
        if series[0].endswith(_COUNTED)
    )


def _worker(address: str, then: Samples | None, now: Samples, span: float) -> ProcessRow:
    row = ProcessRow(
        address,
        "worker",
        lag_records=_whole(now.total("seedstream_lag_records")),
        lag_seconds=_largest(now.by("partition", "seedstream_lag_seconds").values()),
    )
    if then is None:
        return row
    p50, p95 = _latencies(then, now, _LATENCY)
    return replace(
        row,
        fps=_rate(then, now, "seedstream_frames_processed_total", span),
        p50_seconds=p50,
        p95_seconds=p95,
        dropped_fps=_rates(then, now, "reason", "seedstream_frames_skipped_total", span)
        | {
            f"dead: {reason}": rate
            for reason, rate in _rates(
                then, now, "reason", "seedstream_dead_letters_total", span
            ).items()
        },
        stages=[_share(stage, then, now, span) for stage in STAGES],
    )


def _producer(address: str, then: Samples | None, now: Samples, span: float) -> ProcessRow:
    if then is None:
        return ProcessRow(address, "producer")
    p50, p95 = _latencies(then, now, "seedstream_publish_seconds")
    return ProcessRow(
        address,
        "producer",
        fps=_rate(then, now, "seedstream_frames_published_total", span),
        p50_seconds=p50,
        p95_seconds=p95,
        dropped_fps=_rates(then, now, "reason", "seedstream_frames_dropped_total", span),
    )


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _largest(values: Collection[float]) -> float | None:
    """Return the largest of them, 0 of none; None where one is no number."""
    return max(values, default=0.0) if all(map(math.isfinite, values)) else None


def _share(stage: str, then: Samples, now: Samples, span: float) -> StageShare:
    before = then.by("state", _STAGE_TIME, stage=stage)
    after = now.by("state", _STAGE_TIME, stage=stage)

    def share(state: str) -> float:
        return min(1.0, max(0.0, after.get(state, 0.0) - before.get(state, 0.0)) / span)

    return StageShare(
        stage, share("waiting_for_input"), share("working"), share("waiting_for_output")
    )


def _rate(then: Samples, now: Samples, name: str, span: float) -> float | None:
    rate = max(0.0, now.total(name) - then.total(name)) / span
    return rate if math.isfinite(rate) else None


def _rates(then: Samples, now: Samples, label: str, name: str, span: float) -> dict[str, float]:
    before = then.by(label, name)
    rates = {
        key: max(0.0, value - before.get(key, 0.0)) / span
        for key, value in sorted(now.by(label, name).items())
    }
    return {key: rate for key, rate in rates.items() if 0 < rate < math.inf}


def _latencies(then: Samples, now: Samples, name: str) -> tuple[float | None, float | None]:
    try:
        before, after = then.buckets(name), now.buckets(name)
    except ValueError:
        # A bound that is no number: no histogram of ours.
        return None, None
    return _known(quantile(before, after, 0.5)), _known(quantile(before, after, 0.95))


def _known(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) else None
