import pytest
from rich.console import Console

from contract.samples import Samples, quantile
from stack.demo.live_table import (
    WINDOW_SECONDS,
    History,
    Moment,
    Row,
    plain,
    summary_line,
    table,
)


def moment(seconds: float, captured: int, processed: int, fast: int) -> Moment:
    camera = frozenset({("camera", "a")})
    latency = "seedstream_end_to_end_latency_seconds_bucket"
    producer = Samples(
        {
            ("seedstream_frames_captured_total", camera): captured,
            ("seedstream_frames_dropped_total", camera | {("reason", "fps_cap")}): 4.0,
        }
    )
    worker = Samples(
        {
            ("seedstream_frames_processed_total", camera): processed,
            ("seedstream_lag_records", frozenset({("partition", "0")})): 2.0,
            ("seedstream_lag_records", frozenset({("partition", "1")})): 1.0,
            (latency, camera | {("le", "0.1")}): fast,
            (latency, camera | {("le", "+Inf")}): processed,
        }
    )
    return Moment(seconds, producer, worker, {"a": 3})


def test_rates_and_latencies_are_those_between_two_moments() -> None:
    history = History()
    history.add(moment(10.0, captured=100, processed=50, fast=50))
    history.add(moment(12.0, captured=120, processed=60, fast=60))
    [row] = history.rows(["a"])
    assert row == Row("a", 10.0, 5.0, 0.05, 0.095, 3, {"fps_cap": 4}, {})
    assert history.lag_records() == 3


def test_what_is_older_than_the_window_does_not_count() -> None:
    history = History()
    history.add(moment(0.0, captured=0, processed=0, fast=0))
    for second in range(100, 100 + 2 * int(WINDOW_SECONDS)):
        history.add(moment(float(second), captured=second, processed=second, fast=second))
    [row] = history.rows(["a"])
    assert row.captured_fps == 1.0


def test_a_camera_without_frames_shows_no_latency() -> None:
    row = Row("a", 0.0, 0.0, None, None, None, {}, {})
    assert "p50 -, p95 -, instances -, dropped 0, skipped 0" in plain([row], 0, "1 s")[0]
    assert "latency p50 -" in summary_line(row)


def test_the_table_shows_every_figure() -> None:
    row = Row("gate", 10.04, 4.96, 0.0504, 0.2, 7, {"fps_cap": 4}, {"too_old": 2})
    terminal = Console(width=80)
    with terminal.capture() as shown:
        terminal.print(table([row], 9, "3 s of 60 s"))
    for text in ("gate", "10.0", "5.0", "50 / 200", "7", "fps_cap 4", "too_old 2", "lag: 9"):
        assert text in shown.get()


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    before = {0.1: 5.0, 0.2: 5.0, float("inf"): 5.0}
    after = {0.1: 5.0, 0.2: 15.0, float("inf"): 15.0}
    assert quantile(before, after, 0.5) == pytest.approx(0.15)
    assert quantile({}, {0.1: 10.0, float("inf"): 10.0}, 0.95) == pytest.approx(0.095)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile({}, {0.1: 0.0, 0.2: 1.0, float("inf"): 10.0}, 0.9) == 0.2


def test_nothing_observed_has_no_quantile() -> None:
    same = {0.1: 3.0, float("inf"): 3.0}
    assert quantile(same, same, 0.5) is None
    assert quantile({}, {}, 0.5) is None
