from workers.fair_queue import FairQueue


def _room(capacity: int, max_bytes: int = 1000) -> FairQueue[str]:
    return FairQueue(capacity, max_bytes, len)


def _put(room: FairQueue[str], item: str) -> list[str]:
    pushed_out = room.make_room(item)
    room.put(item[0], item)
    return pushed_out


def _all(room: FairQueue[str]) -> list[str]:
    taken = []
    while (item := room.take()[0]) is not None:
        taken.append(item)
    return taken


def test_cameras_take_turns_and_keep_their_own_order() -> None:
    room = _room(10)
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        room.put(item[0], item)
    assert _all(room) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_newcomer_pushes_out_the_oldest_of_the_busiest_camera() -> None:
    room = _room(4)
    for item in ("a1", "b1", "a2", "a3"):
        assert _put(room, item) == []
    assert room.places == 0
    assert _put(room, "b2") == ["a1"]
    assert _put(room, "b3") in (["a2"], ["b1"])
    assert len(room) == 4


def test_with_one_camera_the_newest_frames_stay() -> None:
    room = _room(2)
    pushed_out = [_put(room, f"a{number}") for number in range(5)]
    assert pushed_out == [[], [], ["a0"], ["a1"], ["a2"]]
    assert _all(room) == ["a3", "a4"]


def test_without_bytes_left_there_are_no_places_until_something_is_taken() -> None:
    room = _room(10, max_bytes=8)
    room.put("a", "a123")
    assert room.places == 9
    room.put("a", "a45678")
    assert room.places == 0
    room.take()
    assert room.places == 9
    room.remove(lambda item: True)
    room.put("a", "a123")
    assert room.places == 9


def test_when_bytes_are_short_the_camera_that_holds_most_of_them_gives_way() -> None:
    room = _room(10, max_bytes=20)
    for item in ("a1", "a2", "a3", "b1-large", "b2-la"):
        assert _put(room, item) == []
    assert _put(room, "a4") == ["b1-large"]


def test_an_item_larger_than_all_the_bytes_waits_alone() -> None:
    room = _room(10, max_bytes=20)
    for item in ("a1", "a2", "b1"):
        _put(room, item)
    assert _put(room, "c" * 30) == ["a1", "a2", "b1"]
    assert room.places == 0
    assert _all(room) == ["c" * 30]


def test_unwanted_items_are_thrown_out() -> None:
    room = _room(10)
    for item in ("a1", "a2", "b1"):
        room.put(item[0], item)
    assert room.remove(lambda item: item.endswith("1")) == ["a1", "b1"]
    assert len(room) == 1
    assert _all(room) == ["a2"]
    assert room.places == 10


def test_old_items_give_way_to_newer_ones_of_their_camera_only() -> None:
    room = _room(10)
    for item in ("a1-old", "a2-old", "a3", "a4", "b1-old"):
        room.put(item[0], item)
    assert room.take(lambda item: item.endswith("old")) == ("a3", ["a1-old", "a2-old"])
    assert room.take(lambda item: item.endswith("old")) == ("b1-old", [])
    assert len(room) == 1
    assert _all(room) == ["a4"]
    assert room.take() == (None, [])
