"""Processes and who watches them: samples of metrics, from a page or as a process left them.

A scrape never sees the last values, since who would answer has ended. prometheus-client can keep
its values in files instead (its multi-process mode), and those stay: that is how the demo's
ledger closes to the frame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

FILES_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Samples:
    """Values of metrics at one moment.

    Attributes:
        values: (name, labels) -> value.
    """

    values: Mapping[tuple[str, Labels], float]

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> "Samples":
        """Collect the samples of parsed metrics."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for metric in metrics
                for sample in metric.samples
            }
        )

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a metric that have these labels; 0 without one."""
        wanted = set(labels.items())
        return sum(
            value
            for (each, series), value in self.values.items()
            if each == name and wanted <= series
        )

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return the sums of a metric by the values of one label."""
        wanted, sums = set(labels.items()), dict[str, float]()
        for (each, series), value in self.values.items():
            if each == name and wanted <= series and (key := dict(series).get(label)) is not None:
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def counts(self, label: str, name: str, **labels: str) -> dict[str, int]:
        """Return the sums of a counter by the values of one label, sorted, without the zeros."""
        found = self.by(label, name, **labels)
        return {key: int(found[key]) for key in sorted(found) if found[key]}

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Return a histogram's cumulative counts by upper bound."""
        found = self.by("le", f"{name}_bucket", **labels)
        return {float(bound): found[bound] for bound in found}


NOTHING = Samples({})


def quantile(before: Mapping[float, float], after: Mapping[float, float], q: float) -> float | None:
    """Estimate a quantile of what a histogram observed between two moments.

    As Prometheus' ``histogram_quantile``: linear within the bucket.

    Args:
        before: Cumulative counts by upper bound at the first moment; bounds may be missing.
        after: Cumulative counts at the second moment.
        q: Which quantile, 0..1.

    Returns:
        The estimate, None without observations; the highest finite bound where it lies beyond.
    """
    bounds = sorted(after)
    counts = [max(0.0, after[bound] - before.get(bound, 0.0)) for bound in bounds]
    if not counts or counts[-1] <= 0:
        return None
    rank, lower_bound, lower_count = q * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= rank and count > lower_count:
            if bound == float("inf"):
                return lower_bound
            share = (rank - lower_count) / (count - lower_count)
            return lower_bound + (bound - lower_bound) * share
        lower_bound, lower_count = bound, count
    return lower_bound


def last_values(folder: Path) -> Samples:
    """Return the values of a process that has ended.

    Args:
        folder: What ``FILES_VARIABLE`` named in its environment.
    """
    collector = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]
    return Samples.of(collector.collect())  # type: ignore[no-untyped-call]
