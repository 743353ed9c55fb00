from pathlib import Path

import pytest

from stack.frame_ledger import Accounts
from stack.samples import FILES_VARIABLE, Samples, environment, quantile


def samples(values: dict[tuple[str, ...], float]) -> Samples:
    """``(metric, "label=value", ...) -> value``."""
    return Samples(
        {
            (
                f"seedstream_{name}",
                frozenset((k, v) for k, v in (x.split("=") for x in labels)),
            ): value
            for (name, *labels), value in values.items()
        }
    )


PRODUCER = {
    ("frames_captured_total", "camera=a"): 100.0,
    ("frames_published_total", "camera=a"): 60.0,
    ("frames_dropped_total", "camera=a", "reason=fps_cap"): 38.0,
    ("frames_dropped_total", "camera=a", "reason=buffer_full"): 2.0,
    ("frames_dropped_total", "camera=a", "reason=send_failed"): 0.0,
}
WORKER = {
    ("frames_processed_total", "camera=a"): 50.0,
    ("frames_skipped_total", "camera=a", "reason=too_old"): 10.0,
}


def accounts(
    producer: dict[tuple[str, ...], float], worker: dict[tuple[str, ...], float]
) -> Accounts:
    return Accounts.of(["a"], samples(producer), samples(worker))


def test_accounts_that_close_have_no_fault() -> None:
    closed = accounts(PRODUCER, WORKER)
    assert closed.faults() == []
    assert closed.done
    assert closed.lines() == [
        "a: captured 100 = published 60 + dropped 40 (buffer_full 2, fps_cap 38)",
        "a: published 60 = processed 50 + skipped 10 (too_old 10)",
    ]


def test_a_captured_frame_that_went_nowhere_is_a_fault() -> None:
    [fault] = accounts({**PRODUCER, ("frames_captured_total", "camera=a"): 101.0}, WORKER).faults()
    assert "+1 unaccounted" in fault


@pytest.mark.parametrize(("processed", "word"), [(49.0, "+1"), (51.0, "-1")])
def test_a_published_frame_lost_or_counted_twice_is_a_fault(processed: float, word: str) -> None:
    worker = {**WORKER, ("frames_processed_total", "camera=a"): processed}
    [fault] = accounts(PRODUCER, worker).faults()
    assert f"{word} unaccounted" in fault


def test_the_worker_is_not_done_while_a_published_frame_is_open() -> None:
    assert not accounts(PRODUCER, {**WORKER, ("frames_processed_total", "camera=a"): 49.0}).done


def test_a_dead_letter_accounts_for_a_frame() -> None:
    worker = {
        **WORKER,
        ("frames_processed_total", "camera=a"): 49.0,
        ("dead_letters_total", "reason=undecodable"): 1.0,
    }
    with_dead = accounts(PRODUCER, worker)
    assert with_dead.faults() == []
    assert "dead letters: 1 (undecodable 1)" in with_dead.lines()


def test_a_dead_letter_that_was_also_processed_is_a_fault() -> None:
    assert accounts(PRODUCER, {**WORKER, ("dead_letters_total", "reason=x"): 1.0}).faults()


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


def test_settings_of_the_shell_do_not_reach_the_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PRODUCER_TOPIC", "WORKER_MODE", "worker_device", "VIEWER_MIN_SCORE"):
        monkeypatch.setenv(name, "of another pipeline")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    given = environment(tmp_path / "values")
    assert "of another pipeline" not in given.values()
    assert given["OMP_NUM_THREADS"] == "2"
    assert given[FILES_VARIABLE] == str(tmp_path / "values")
