import pytest

from workers.batcher import Batcher


def test_a_batch_is_ready_when_it_is_full() -> None:
    batcher: Batcher[str] = Batcher(max_size=2, max_age_seconds=10)
    batcher.add("a", now=0)
    assert not batcher.ready(now=1)
    batcher.add("b", now=1)
    assert batcher.ready(now=1)
    assert batcher.take() == ["a", "b"]


def test_a_batch_is_ready_when_its_first_item_is_old_enough() -> None:
    batcher: Batcher[str] = Batcher(max_size=8, max_age_seconds=2)
    batcher.add("a", now=10)
    batcher.add("b", now=11.9)
    assert not batcher.ready(now=11.9)
    assert batcher.seconds_until_due(now=11.5) == pytest.approx(0.5)
    assert batcher.ready(now=12)


def test_an_empty_batch_is_never_ready_nor_due() -> None:
    batcher: Batcher[str] = Batcher(max_size=1, max_age_seconds=0)
    assert not batcher.ready(now=1e9)
    assert batcher.seconds_until_due(now=0) is None
    assert batcher.take() == []


def test_the_age_counts_anew_for_the_next_batch() -> None:
    batcher: Batcher[str] = Batcher(max_size=1, max_age_seconds=5)
    batcher.add("a", now=0)
    batcher.take()
    batcher.add("b", now=100)
    assert batcher.seconds_until_due(now=101) == pytest.approx(4)


def test_a_full_batch_takes_no_more() -> None:
    batcher: Batcher[str] = Batcher(max_size=1, max_age_seconds=5)
    batcher.add("a", now=0)
    with pytest.raises(ValueError, match="take it first"):
        batcher.add("b", now=0)
