"""The table of `make bench`: bars, regressions, figures that an older result lacks."""

import importlib
from pathlib import Path

import pytest

from benchmarks.bench_all import (
    BENCHMARKS,
    Benchmark,
    Figure,
    committed_results,
    last_value,
    row,
    table,
)
from benchmarks.environment import results_folder

SPEED = Figure("speed", ("ratios", "ours"), bar=3.0)
SHARE = Figure("share", ("share",), "lower", bar=0.2)


def test_a_figure_that_is_better_and_keeps_its_bar_is_said_nothing_about() -> None:
    assert row(SPEED, 4.0, 3.5) == ("speed", "4", "3", "3.5", "1.14", "")


@pytest.mark.parametrize(
    ("figure", "now", "before", "said"),
    [
        (SPEED, 2.9, 2.9, "misses the bar"),
        (SPEED, 3.5, 4.0, ""),
        (SPEED, 3.3, 4.0, "REGRESSION"),
        (SPEED, 2.0, 4.0, "misses the bar, REGRESSION"),
        (SHARE, 0.21, 0.2, "misses the bar"),
        (SHARE, 0.12, 0.1, "REGRESSION"),
        (SHARE, 0.11, 0.1, ""),
        (SHARE, 0.05, 0.1, ""),
        (SPEED, 2.0, None, "misses the bar"),
        (Figure("no bar", ("x",)), 1.0, None, ""),
        (SPEED, None, 4.0, "failed"),
    ],
)
def test_bars_and_regressions_are_told_in_either_direction(
    figure: Figure, now: float | None, before: float | None, said: str
) -> None:
    assert row(figure, now, before)[-1] == said


def test_the_last_value_is_that_of_the_newest_result_which_has_the_figure() -> None:
    results = [{"other": 1}, {"ratios": {"ours": 3.0}}, {"ratios": {"ours": 9.0}}]
    assert last_value(SPEED, results) == 3.0
    assert last_value(SPEED, [{"ratios": 5}]) is None


def test_the_table_is_markdown_of_equal_columns() -> None:
    lines = table([row(SPEED, 4.0, None), row(SHARE, None, None)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("there", [True, False], ids=["with OpenVINO", "without"])
def test_openvino_is_measured_where_it_is_installed(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "none"
    bench = Benchmark("w", "bench_worker", (), ("--frames", "9"), ("--rounds", "1"),
                      further=(folder, ("--openvino", str(folder))))  # fmt: skip
    assert bench.command(quick=False)[3:5] == ["--frames", "9"]
    assert bench.command(quick=True)[3:5] == ["--rounds", "1"]
    for quick in (True, False):
        assert bench.command(quick)[5:] == ["--openvino", str(folder)] * there


def test_each_bar_of_the_worker_is_in_the_table() -> None:
    (worker,) = [each for each in BENCHMARKS if each.name == "worker"]
    assert [each.bar for each in worker.figures] == [3.5, 1.8, 5, 2.8]
    newest = committed_results("worker")
    assert all(last_value(each, newest) for each in worker.figures)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda each: each.name)
def test_each_benchmark_is_a_command_whose_committed_results_are_found(benchmark: object) -> None:
    module = importlib.import_module(f"benchmarks.{benchmark.module}")  # type: ignore[attr-defined]
    assert callable(module.main)
    assert committed_results(benchmark.name)  # type: ignore[attr-defined]


def test_the_folder_of_the_results_is_made_and_a_wrong_one_told_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    assert results_folder(str(tmp_path / "of" / "today")).is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^SEEDSTREAM_BENCHMARK_RESULTS is .*file.*name a folder"):
        results_folder(str(tmp_path / "file"))
