"""What producers and workers do, for the system page: asked only while somebody looks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from contract.samples import Samples
from viewer.top_rows import Look, ProcessRow, process_row
from viewer.top_screen import look, page_address
from viewer.web.prometheus import PrometheusError, looks

_FRESH_SECONDS = 2.0
"""So long an answer serves everybody."""

_SPAN_SECONDS = 1.0
_OLD_SECONDS = 30.0
"""A look that is older says nothing of now."""

_AT_ONCE = 16


class SystemState:
    """Asks the sources, one after the other for all who want to know.

    Args:
        sources: Addresses as `page_address` takes them.
        prometheus_url: Where Prometheus is, None for nowhere.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.

    Raises:
        ConfigurationError: An address is none.
    """

    def __init__(
        self,
        sources: Sequence[str],
        prometheus_url: str | None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._pages = [page_address(each) for each in sources]
        self._prometheus_url = prometheus_url
        self._clock = clock
        self._wall_clock = wall_clock
        self._turn = asyncio.Lock()
        self._before: list[Look] = []
        self._answer: list[dict[str, Any]] = []
        self._asked_at: float | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sources")

    async def sources(self) -> list[dict[str, Any]]:
        """Return what each process does, as the page takes it."""
        async with self._turn:
            if self._asked_at is None or self._clock() - self._asked_at >= _FRESH_SECONDS:
                self._answer = await self._own_pages() + await self._prometheus()
                self._asked_at = self._clock()
            return self._answer

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _own_pages(self) -> list[dict[str, Any]]:
        if not self._pages:
            return []
        if not self._before or self._clock() - self._before[0].seconds > _OLD_SECONDS:
            self._before = await self._look()
            await asyncio.sleep(_SPAN_SECONDS)
        after = await self._look()
        found = [
            source(urlsplit(page).netloc, before, now)
            for page, before, now in zip(self._pages, self._before, after, strict=True)
        ]
        self._before = after
        return found

    async def _look(self) -> list[Look]:
        loop = asyncio.get_running_loop()
        return list(
            await asyncio.gather(*(loop.run_in_executor(self._pool, look, p) for p in self._pages))
        )

    async def _prometheus(self) -> list[dict[str, Any]]:
        if self._prometheus_url is None:
            return []
        url, now, wall_now = self._prometheus_url, self._clock(), self._wall_clock()
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._pool, looks, url, now, wall_now
            )
        except PrometheusError as error:
            reason = f"Prometheus: {error}"
            return [{"address": "prometheus", "kind": "", "state": "away", "reason": reason}]
        return [source(name, before, after) for name, (before, after) in found.items()]


def source(address: str, before: Look, after: Look) -> dict[str, Any]:
    """Return what a process did between two looks, as the page takes it."""
    row = process_row(address, before, after)
    if row.fault:
        return {"address": address, "kind": row.kind, "state": "away", "reason": row.fault}
    return _figures(row, after.samples)


def _figures(row: ProcessRow, samples: Samples | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": row.address,
        "kind": row.kind,
        "state": "ok",
        "reason": None,
        "fps": None if row.fps is None else round(row.fps, 2),
        "latency_p50": row.p50_seconds,
        "latency_p95": row.p95_seconds,
        "lag_records": row.lag_records,
        "lag_seconds": row.lag_seconds,
        "drops": {reason: round(rate, 3) for reason, rate in row.dropped_fps.items()},
    }
    model = {} if samples is None else _model(samples)
    if model:
        found |= {
            "model": f"{model.get('name', '')}/{model.get('version', '')}",
            "provider": model.get("provider"),
            "precision": model.get("precision"),
        }
    return found


def _model(samples: Samples) -> dict[str, str]:
    for name, labels in samples.values:
        if name == "seedstream_model_info":
            return dict(labels)
    return {}


def system_answer(
    sources: Sequence[dict[str, Any]],
    *,
    fault: str | None,
    states: Sequence[str],
    editor: bool,
) -> dict[str, Any]:
    """Return what the system page shows.

    Args:
        sources: As `SystemState.sources` returns them.
        fault: Why Redis is away, None if it is not.
        states: Of the cameras that the one who asks may see.
        editor: Whether they may see where processes run and why one is away.
    """
    workers = [each for each in sources if each["kind"] == "worker" and each["state"] == "ok"]
    producers = [each for each in sources if each["kind"] == "producer" and each["state"] == "ok"]
    shown = list(sources) if editor else [_without_place(*each) for each in enumerate(sources, 1)]
    return {
        "redis": {"state": "ok" if fault is None else "away", "reason": fault},
        "sources": shown,
        "totals": {
            "workers": len(workers),
            "producers": len(producers),
            "captured_fps": _sum(producers, "fps"),
            "lag_records": _sum(workers, "lag_records"),
        },
        "cameras": {name: states.count(name) for name in ("live", "offline", "waiting")},
        "processed_fps": _sum(workers, "fps"),
    }


def _sum(sources: Sequence[dict[str, Any]], name: str) -> float | None:
    found = [each[name] for each in sources if each.get(name) is not None]
    return round(sum(found), 2) if found else None


def _without_place(number: int, source: dict[str, Any]) -> dict[str, Any]:
    name = f"{source['kind'] or 'process'} {number}"
    away = source["state"] == "away"
    return {**source, "address": name, "reason": "it does not answer" if away else None}
