"""What ``seedstream results`` prints: a table of the newest, a line for each to come, or JSON."""

import re
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from contract.errors import ConfigurationError
from contract.process import EXIT_FAILED, EXIT_OK, configure_logging
from contract.result import encode_result
from contract.settings import warn_of_unknown_variables
from seedstream.results.camera_result import CameraResult
from seedstream.results.results_client import Results
from seedstream.results.results_settings import ResultsSettings

_HEAD = ("captured (UTC)", "sequence", "objects", "tracks", "latency", "model")
_WIDTHS = (23, 9, 36, 6, 9, 0)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def run_results(
    settings: ResultsSettings,
    camera: str,
    *,
    follow: bool,
    since: str | None,
    count: int,
    as_json: bool,
) -> int:
    """Print results of a camera.

    Args:
        settings: Where Redis is.
        camera: Camera id.
        follow: Whether to go on with those that come, for ever.
        since: Begins with those captured then or later, see `moment_of`.
        count: How many of the newest are shown, where ``since`` does not say.
        as_json: Whether to print a document a line instead of a table.

    Returns:
        Exit code: 1 where the camera has no results.

    Raises:
        ConfigurationError: ``since`` is no time, or Redis refuses access.
        UnavailableError: Redis does not answer.
    """
    configure_logging("results", settings.log_level, settings.log_format)
    warn_of_unknown_variables(type(settings))
    start = None if since is None else moment_of(since)
    console = Console()
    with Results.of(settings) as results:
        if follow:
            found: Iterable[CameraResult] = results.follow(camera, start)
        elif start is not None:
            found = results.history(camera, start)
        else:
            found = results.newest(camera, count)
        if as_json:
            shown = _print_documents(found)
        elif follow and console.is_terminal:
            shown = _show_newest(found, console, count)
        else:
            shown = _print_lines(found) if follow else _print_table(found, console)
        if not shown:
            known = ", ".join(results.cameras()[:10])
            said = f"no results of camera {camera!r}" + (f" since {since}" if since else "")
            Console(stderr=True).print(
                f"{said}; cameras with results: {known or 'none'}", markup=False, soft_wrap=True
            )
    return EXIT_OK if shown else EXIT_FAILED


def moment_of(text: str) -> datetime:
    """Read how long ago (``90s``, ``5m``, ``2h``, ``1d``) or a time (ISO 8601, UTC without a zone).

    Raises:
        ConfigurationError: It is neither.
    """
    ago = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd])", text.strip())
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"--since is {text!r}: expected how long ago, such as 90s, 5m, 2h or 1d, or a time, "
            "such as 2026-11-29T14:03:12+01:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def row_of(result: CameraResult) -> tuple[str, ...]:
    """Return what a table says of a result."""
    document = result.document
    counts = Counter(instance.class_name for instance in document.instances)
    tracks = sum(bool(instance.confirmed) for instance in document.instances)
    tracked = any(instance.track is not None for instance in document.instances)
    return (
        f"{document.captured_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3],
        str(document.sequence),
        ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none",
        str(tracks) if tracked else "-",
        f"{1000 * document.latency_seconds:.0f} ms",
        f"{document.model.name}/{document.model.version}",
    )


def _print_documents(found: Iterable[CameraResult]) -> int:
    shown = 0
    for result in found:
        print(encode_result(result.document).decode(), flush=True)
        shown += 1
    return shown


def _print_lines(found: Iterable[CameraResult]) -> int:
    print(_line(_HEAD), flush=True)
    shown = 0
    for result in found:
        print(_line(row_of(result)), flush=True)
        shown += 1
    return shown


def _line(row: tuple[str, ...]) -> str:
    cells = (text.ljust(width) for text, width in zip(row, _WIDTHS, strict=True))
    return " ".join(cells).rstrip()


def _print_table(found: Iterable[CameraResult], console: Console) -> int:
    rows = [row_of(result) for result in found]
    if rows:
        console.print(_table(rows))
    return len(rows)


def _show_newest(found: Iterable[CameraResult], console: Console, count: int) -> int:
    rows: deque[tuple[str, ...]] = deque(maxlen=max(1, min(count, console.height - 4)))
    shown = 0
    with Live(_table(rows), console=console, refresh_per_second=10) as live:
        for result in found:
            rows.append(row_of(result))
            live.update(_table(rows))
            shown += 1
    return shown


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in _HEAD:
        table.add_column(name, justify="right" if name in _HEAD[3:5] else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
