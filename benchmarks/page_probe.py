"""What a live page does, seen from outside it: what its worker reports, and its long tasks.

Nothing of it is in the page: scripts that the browser runs before the page's own listen to the
messages of its worker, and to what the browser says of its main thread.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

_HEAR_WORKER = """
window.probe = {drawn: [], tasks: []};
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', ({data}) => {
      if (data.type !== 'drawn') return;
      for (const {camera, capturedMs, processedMs, drawnMs} of data.pictures) {
        probe.drawn.push([camera, drawnMs - processedMs, drawnMs - capturedMs]);
      }
    });
  }
};
"""
_HEAR_TASKS = """
new PerformanceObserver((list) => {
  for (const {duration} of list.getEntries()) probe.tasks.push(duration);
}).observe({type: 'longtask', buffered: true});
"""


@dataclass(frozen=True)
class Figures:
    """What was drawn.

    Attributes:
        drawn: Camera and milliseconds from stored and from captured to drawn, of each picture.
        tasks: Milliseconds of each task of the main thread that took over 50.
    """

    drawn: Sequence[tuple[str, float, float]]
    tasks: Sequence[float]

    @property
    def count(self) -> int:
        """How many pictures."""
        return len(self.drawn)

    @property
    def long_tasks(self) -> int:
        """How many tasks took over 50 ms."""
        return len(self.tasks)

    @property
    def longest_task_ms(self) -> float | None:
        """The longest task of over 50 ms; None without one."""
        return round(max(self.tasks), 1) if self.tasks else None

    def quantile(self, share: float) -> float | None:
        """Return a quantile of stored to drawn, in ms."""
        return self._quantile(share, 1)

    def quantile_since_captured(self, share: float) -> float | None:
        """Return a quantile of captured to drawn, in ms."""
        return self._quantile(share, 2)

    def _quantile(self, share: float, field: Literal[1, 2]) -> float | None:
        ages = sorted(each[field] for each in self.drawn)
        return round(ages[int(share * (len(ages) - 1))], 1) if ages else None

    def evenness(self, tiles: int) -> float:
        """Return the pictures of the slowest tile by those of the fastest, 0..1."""
        counts = Counter(each[0] for each in self.drawn)
        if len(counts) < tiles:
            return 0.0
        return round(min(counts.values()) / max(counts.values()), 3)


class PageProbe:
    """Measures a page that was opened with `SCRIPTS`."""

    SCRIPTS = (_HEAR_WORKER, _HEAR_TASKS)

    def __init__(self, page: Page) -> None:
        self._page = page

    def begin(self) -> None:
        """Forget what was until now."""
        self._page.evaluate("probe.drawn = []; probe.tasks = [];")

    def end(self) -> Figures:
        """Return what was since."""
        drawn, tasks = self._page.evaluate("[probe.drawn, probe.tasks]")
        return Figures([(camera, stored, captured) for camera, stored, captured in drawn], tasks)

    def heap_megabytes(self) -> float:
        """Return the JavaScript heap after collecting garbage; what was measured is forgotten."""
        self.begin()
        session = self._page.context.new_cdp_session(self._page)
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Runtime.getHeapUsage")
        session.detach()
        return float(metrics["usedSize"]) / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_megabytes(pid: int) -> float:
    """Return the memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
