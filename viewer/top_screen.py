"""`seedstream top`: producers and workers at a glance, from their own pages."""

import http.client
import sys
import time
import urllib.error
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from contract.errors import ConfigurationError
from contract.samples import Samples
from viewer.page_fetch import fetch_page
from viewer.printable import printable
from viewer.top_rows import Look, ProcessRow, StageShare, process_row

_ANSWER_SECONDS = 2.0
_MAX_PAGE_BYTES = 32 * 2**20
_FAULT_CHARACTERS, _REASON_CHARACTERS = 200, 40
_BAR = 20

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def page_address(text: str) -> str:
    """Return the address of a process's metrics: ``HOST:PORT``, ``:PORT``, a port, or a URL.

    Raises:
        ConfigurationError: It is none of these.
    """
    whole = text if "://" in text else f"http://{text if ':' in text else f':{text}'}"
    parts = urlsplit(whole)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https") or (port is None and "://" not in text):
        raise ConfigurationError(
            f"{text!r} is no address of a process: expected HOST:PORT, PORT, or the URL of its "
            "metrics"
        )
    host = parts.hostname or "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    where = host if port is None else f"{host}:{port}"
    path = parts.path if parts.path not in ("", "/") else "/metrics"
    return f"{parts.scheme}://{where}{path}"


def look(address: str, clock: Callable[[], float] = time.monotonic) -> Look:
    """Read a process's metrics once, within two seconds and `_MAX_PAGE_BYTES`."""
    try:
        page = fetch_page(address, _ANSWER_SECONDS, _MAX_PAGE_BYTES).decode()
        return Look(clock(), Samples.of(text_string_to_metric_families(page)))
    except urllib.error.URLError as error:
        return Look(clock(), fault=str(error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Look(clock(), fault=str(error) or type(error).__name__)


def lines(rows: Sequence[ProcessRow]) -> list[str]:
    """Return what is shown, as plain text of at most 80 columns where addresses are short.

    Words of the pages are strangers': nothing in them reaches the terminal but as text.
    """
    shown = [
        f"{'process':<9} {'address':<22} {'fps':>7} {'p50 ms':>7} {'p95 ms':>7} {'lag':>7} "
        f"{'lag s':>6}  bottleneck"
    ]
    for row in rows:
        where = printable(urlsplit(row.address).netloc)
        if row.fault:
            shown.append(f"{'?':<9} {where:<22} {printable(row.fault, _FAULT_CHARACTERS)}")
            continue
        fps = "-" if row.fps is None else f"{row.fps:.1f}"
        lag = "-" if row.lag_records is None else str(row.lag_records)
        behind = "-" if row.lag_seconds is None else f"{row.lag_seconds:.1f}"
        shown.append(
            f"{row.kind:<9} {where:<22} {fps:>7} {_milliseconds(row.p50_seconds):>7} "
            f"{_milliseconds(row.p95_seconds):>7} {lag:>7} {behind:>6}  {_bottleneck(row)}"
        )
        if row.dropped_fps:
            reasons = ", ".join(
                f"{printable(name, _REASON_CHARACTERS)} {rate:.1f}"
                for name, rate in row.dropped_fps.items()
            )
            shown.append(f"{'':<10}left out a second: {reasons}")
    for row in rows:
        if row.stages:
            shown += [
                "",
                f"{printable(urlsplit(row.address).netloc)}: # working, > waiting for output",
            ]
            shown += [_bar(stage, row.bottleneck) for stage in row.stages]
    return shown


def run_top(
    addresses: Sequence[str],
    interval_seconds: float,
    *,
    once: bool,
    out: TextIO = sys.stdout,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Show the processes, again and again.

    Args:
        addresses: See `page_address`.
        interval_seconds: Between two looks; rates are over that time.
        once: Whether to end after the first report.
        out: Where to write.
        sleep: Waits so many seconds.

    Returns:
        Whether every process answered at the last look.
    """
    pages = [page_address(each) for each in addresses]
    with ThreadPoolExecutor(min(16, len(pages)), thread_name_prefix="look") as pool:
        before = list(pool.map(look, pages))
        while True:
            sleep(interval_seconds)
            after = list(pool.map(look, pages))
            rows = [process_row(*each) for each in zip(pages, before, after, strict=True)]
            out.write(("" if once else _HOME_AND_CLEAR) + "\n".join(lines(rows)) + "\n")
            out.flush()
            if once:
                return not any(row.fault for row in rows)
            before = after


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f}"


def _bottleneck(row: ProcessRow) -> str:
    if not row.stages:
        return "-"
    stage = row.bottleneck
    return "none" if stage is None else f"{stage.name} ({stage.working:.0%})"


def _bar(stage: StageShare, bottleneck: StageShare | None) -> str:
    working = round(_BAR * stage.working)
    output = min(round(_BAR * stage.waiting_for_output), _BAR - working)
    bar = "#" * working + ">" * output
    mark = "  <- bottleneck" if stage is bottleneck else ""
    return (
        f"  {stage.name:<9}[{bar:<{_BAR}}] working {stage.working:>4.0%}, waiting for input "
        f"{stage.waiting_for_input:>4.0%}, output {stage.waiting_for_output:>4.0%}{mark}"
    )
