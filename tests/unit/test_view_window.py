"""The window of a page: few pictures on the way, each tile in its turn, always the newest."""

import random

import pytest

from viewer.web.window import Window


def drain(window: Window, size_bytes: int = 1000) -> list[tuple[int, str]]:
    """Send all that may be sent now."""
    sent = []
    while (camera := window.next()) is not None and window.fits(size_bytes):
        sent.append((window.sent(camera, size_bytes), camera))
    return sent


def make_window(*cameras: str) -> Window:
    window = Window()
    window.show(cameras)
    return window


def test_four_pictures_are_on_the_way_over_all_tiles() -> None:
    window = make_window(*"abcdef")
    for camera in "abcdef":
        window.offer(camera)
    sent = drain(window)
    assert [camera for _, camera in sent] == ["a", "b", "c", "d"]
    window.acknowledge(sent[0][0])
    assert [camera for _, camera in drain(window)] == ["e"]


def test_a_page_that_never_acknowledges_gets_four_pictures_and_no_more() -> None:
    window = make_window("a", "b")
    total = 0
    for _ in range(1000):
        window.offer("a")
        window.offer("b")
        total += len(drain(window))
    assert total == 4


def test_next_comes_the_tile_that_was_sent_longest_ago() -> None:
    window = make_window("a", "b", "c")
    for camera in "abc":
        window.offer(camera)
    for number, _ in drain(window):
        window.acknowledge(number)
    for camera in "cab":  # in whatever order they come
        window.offer(camera)
    assert [camera for _, camera in drain(window)] == ["a", "b", "c"]


def test_a_picture_that_was_not_sent_gives_way_to_the_next_of_its_camera() -> None:
    window = make_window("a")
    assert window.offer("a") is False
    assert window.offer("a") is True
    assert len(drain(window)) == 1
    assert window.next() is None


def test_a_slow_page_shows_fast_and_slow_cameras_alike() -> None:
    """64 tiles of 1 to 10 fps, a page that draws 40 pictures a second."""
    rates = {f"camera-{number}": 1 + number % 10 for number in range(64)}
    window = make_window(*rates)
    shown = dict.fromkeys(rates, 0)
    randomness = random.Random(4)
    on_the_way: list[int] = []
    for step in range(6000):  # of 10 ms
        for camera, rate in rates.items():
            if randomness.random() < rate / 100:
                window.offer(camera)
        for number, camera in drain(window):
            shown[camera] += 1
            on_the_way.append(number)
        if on_the_way and step % 5 < 2:
            window.acknowledge(on_the_way.pop(0))
    fast = [count for camera, count in shown.items() if rates[camera] >= 2]
    assert min(fast) >= 0.9 * max(fast)
    assert sum(shown.values()) == pytest.approx(2400, rel=0.03)


def test_tiles_that_are_replaced_keep_their_turn_and_their_room() -> None:
    window = make_window("a", "b", "c")
    for camera in "abc":
        window.offer(camera)
    sent = drain(window)
    assert window.show(["c", "d"]) == ["d"]
    assert window.unacknowledged == 3  # the page still has to draw them, or give them up
    window.offer("c")
    window.offer("a")
    window.offer("d")
    assert [camera for _, camera in drain(window)] == ["d"]
    window.acknowledge(sent[0][0])
    assert [camera for _, camera in drain(window)] == ["c"]


def test_what_was_never_sent_and_what_was_acknowledged_makes_no_room() -> None:
    window = make_window("a")
    window.offer("a")
    [(number, _)] = drain(window)
    for wrong in (0, -1, number + 1, 10**30):
        window.acknowledge(wrong)
    assert window.unacknowledged == 1
    window.acknowledge(number)
    window.acknowledge(number)
    assert window.unacknowledged == 0


def test_large_pictures_fill_the_window_sooner_and_a_huge_one_passes_alone() -> None:
    window = make_window(*"abcd")
    for camera in "abcd":
        window.offer(camera)
    sent = drain(window, 250 * 1024)
    assert len(sent) == 2
    for number, _ in sent:
        window.acknowledge(number)
    assert len(drain(window, 3 * 2**20)) == 1
    assert window.next() is None


def test_a_camera_without_a_picture_after_all_is_passed_over() -> None:
    window = make_window("a", "b")
    window.offer("a")
    window.offer("b")
    window.skip("a")
    assert [camera for _, camera in drain(window)] == ["b"]


def test_pictures_of_cameras_that_the_page_does_not_show_are_not_sent() -> None:
    window = make_window("a")
    window.offer("b")
    assert window.next() is None
