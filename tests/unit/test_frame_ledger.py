import pytest

from contract.samples import Samples
from stack.frame_ledger import CameraLedger, FrameLedger


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


def ledger(
    producer: dict[tuple[str, ...], float], worker: dict[tuple[str, ...], float]
) -> FrameLedger:
    return FrameLedger.from_metrics(["a"], samples(producer), samples(worker))


def test_a_ledger_that_closes_has_no_fault() -> None:
    closed = ledger(PRODUCER, WORKER)
    assert closed.faults() == []
    assert closed.settled
    assert closed.lines() == [
        "a: captured 100 = published 60 + dropped 40 (buffer_full 2, fps_cap 38)",
        "a: published 60 = stored 50 + skipped 10 (too_old 10)",
    ]


def test_a_captured_frame_that_went_nowhere_is_a_fault() -> None:
    [fault] = ledger({**PRODUCER, ("frames_captured_total", "camera=a"): 101.0}, WORKER).faults()
    assert "+1 unaccounted" in fault


@pytest.mark.parametrize(("processed", "word"), [(49.0, "+1"), (51.0, "-1")])
def test_a_published_frame_lost_or_counted_twice_is_a_fault(processed: float, word: str) -> None:
    worker = {**WORKER, ("frames_processed_total", "camera=a"): processed}
    [fault] = ledger(PRODUCER, worker).faults()
    assert f"{word} unaccounted" in fault


def test_the_worker_is_not_done_while_a_published_frame_is_open() -> None:
    assert not ledger(PRODUCER, {**WORKER, ("frames_processed_total", "camera=a"): 49.0}).settled


def test_a_dead_letter_accounts_for_a_frame() -> None:
    worker = {
        **WORKER,
        ("frames_processed_total", "camera=a"): 49.0,
        ("dead_letters_total", "reason=undecodable"): 1.0,
    }
    with_dead = ledger(PRODUCER, worker)
    assert with_dead.faults() == []
    assert "dead letters: 1 (undecodable 1)" in with_dead.lines()


def test_a_dead_letter_that_was_also_processed_is_a_fault() -> None:
    assert ledger(PRODUCER, {**WORKER, ("dead_letters_total", "reason=x"): 1.0}).faults()


SENT = [("s1", 0), ("s1", 1), ("s2", 0)]


def test_frames_with_one_result_each_in_order_have_no_fault() -> None:
    closed = FrameLedger.from_frames({"a": SENT}, {"a": [("s0", 7), *SENT], "b": []})
    assert closed.faults() == []
    assert closed.settled
    assert closed.lines() == ["a: published 3 = stored 3 + skipped 0"]


def test_a_frame_without_result_is_missing_and_named() -> None:
    lost = FrameLedger.from_frames({"a": SENT, "b": SENT}, {"a": [SENT[0], SENT[2]], "b": SENT})
    assert lost.cameras[0].missing == (("s1", 1),)
    [fault] = lost.faults()
    assert fault.startswith("camera a: 3 published, but 2 stored and 0 skipped: +1 unaccounted")
    assert fault.endswith("missing, among others: s1/1")
    assert FrameLedger.from_frames({"a": SENT}, {}, {"corrupt_image": 3}).faults() == []


@pytest.mark.parametrize(
    ("published", "stored", "fault"),
    [
        ([*SENT, SENT[0]], SENT, "frames published more than once: 1"),
        (SENT, [*SENT, SENT[0], SENT[1]], "frames stored more than once: 2"),
        (SENT, [SENT[1], SENT[0], SENT[2]], "results out of order"),
    ],
)
def test_a_frame_that_is_doubled_or_out_of_order_is_a_fault(
    published: list[tuple[str, int]], stored: list[tuple[str, int]], fault: str
) -> None:
    assert FrameLedger.from_frames({"a": published}, {"a": stored}).faults() == [
        f"camera a: {fault}"
    ]


def test_a_missing_frame_does_not_put_the_others_out_of_order() -> None:
    assert CameraLedger.from_frames("a", SENT, [SENT[0], SENT[2]]).in_order
