"""What a soak found, and its page."""

from dataclasses import dataclass

import numpy as np

from benchmarks.charts import Chart

SIZE = 64
TITLES = {
    "rss_mib": "resident memory, MiB",
    "threads": "threads",
    "descriptors": "file descriptors",
    "series": "metric series",
}
SAMPLED = tuple(TITLES)


@dataclass(frozen=True)
class Sample:
    """A process at one moment.

    Attributes:
        at: Seconds since the begin.
        rss_mib: Resident memory, in MiB.
        threads: Threads.
        descriptors: Open file descriptors.
        series: Metric series on its page.
    """

    at: float
    rss_mib: float
    threads: int
    descriptors: int
    series: int


@dataclass(frozen=True)
class Soak:
    """What was run and seen.

    Attributes:
        seconds: How long the load lasted.
        fed: Frames that the feeder sent.
        live: Frames of the live cameras that Kafka took.
        stored: Results that the workers stored.
        duplicates: Redelivered frames.
        skipped: Frames left out.
        dead: Dead letters.
        reconnects: How often live cameras were opened again.
        samples: By process.
    """

    seconds: float
    fed: int
    live: int
    stored: int
    duplicates: int
    skipped: int
    dead: int
    reconnects: int
    samples: dict[str, list[Sample]]

    @property
    def faults(self) -> list[str]:
        """Return what does not close."""
        if self.fed + self.live != self.stored + self.skipped + self.dead:
            return [f"{self.fed} + {self.live} published, {self.stored} stored"]
        return []


def drift(samples: list[Sample], name: str) -> float:
    """Return the growth in an hour by a straight line through the last two thirds."""
    late = samples[len(samples) // 3 :]
    times = [each.at for each in late]
    return float(np.polyfit(times, [getattr(each, name) for each in late], 1)[0] * 3600)


def page(found: Soak, about: dict[str, object]) -> str:
    """Return the result in words, as Markdown."""
    sums = (
        f"{found.fed:,} frames of {SIZE}x{SIZE} pixels fed and {found.live:,} of live cameras, "
        f"which were opened again {found.reconnects} times, in {found.seconds / 60:.1f} minutes: "
        f"{found.stored:,} stored, {found.skipped} skipped, {found.dead} dead-lettered, "
        f"{found.duplicates} redelivered."
    )
    return (
        f"# Soak\n\n{sums} {'; '.join(found.faults) or 'The sums close.'}\n\n"
        "The workers' network is a fake (it finds one object at once); decoding, batching, Kafka "
        "and Redis are real. Growth is a straight line through the last two thirds.\n\n"
        f"{_rows(found)}\n![memory, threads, descriptors and series over time](soak.svg)\n\n"
        f"Command `{about['command']}`, commit {about['commit']}, {about['measured_at']}; Python "
        f"{about['python']}, {about['packages']}; {about['processor']}, {about['cores']} cores, "
        f"load before {about['load_before']}.\n"
    )


def _rows(found: Soak) -> str:
    lines = "| process | | begin | one third | end | highest | growth an hour |\n"
    lines += "|---|---|--:|--:|--:|--:|--:|\n"
    for name, samples in found.samples.items():
        for what in SAMPLED:
            values = [getattr(each, what) for each in samples]
            lines += (
                f"| {name} | {TITLES[what]} | {values[0]} | {values[len(values) // 3]} "
                f"| {values[-1]} | {max(values)} | {drift(samples, what):+.1f} |\n"
            )
    return lines


def charts(found: Soak) -> list[Chart]:
    """Return one chart for each of what was sampled."""
    return [
        Chart(
            TITLES[what],
            {
                name: [(each.at / 60, float(getattr(each, what))) for each in samples]
                for name, samples in found.samples.items()
            },
        )
        for what in SAMPLED
    ]
