import pytest

from model.evaluation.on_tracks import Choice


def test_every_frame_or_each_third_is_seen_from_the_first_on() -> None:
    assert Choice().of(4) == [0, 1, 2, 3]
    assert Choice(every=3).of(8) == [0, 3, 6]
    assert (Choice().name, Choice(every=3).name) == ("all", "1 in 3")


def test_dropped_frames_are_those_of_the_seed() -> None:
    half = Choice(drop=0.5, seed=3)
    assert half.of(400) == half.of(400)
    assert half.of(400) != Choice(drop=0.5, seed=4).of(400)
    assert 160 < len(half.of(400)) < 240
    assert half.name == "50 % dropped"


@pytest.mark.parametrize("every", [1, 2])
def test_all_dropped_leaves_none(every: int) -> None:
    assert Choice(every=every, drop=1.0).of(9) == []
