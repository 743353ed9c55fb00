from workers.waiting import WaitingRoom


def _all(room: WaitingRoom[str]) -> list[str]:
    taken = []
    while (item := room.take()[0]) is not None:
        taken.append(item)
    return taken


def test_cameras_take_turns_and_keep_their_own_order() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        room.put(item[0], item)
    assert _all(room) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_newcomer_pushes_out_the_oldest_of_the_busiest_camera() -> None:
    room: WaitingRoom[str] = WaitingRoom(4)
    for item in ("a1", "b1", "a2", "a3"):
        assert room.put(item[0], item) is None
    assert room.full
    assert room.put("b", "b2") == "a1"
    assert room.put("b", "b3") in {"a2", "b1"}
    assert len(room) == 4


def test_with_one_camera_the_newest_frames_stay() -> None:
    room: WaitingRoom[str] = WaitingRoom(2)
    pushed_out = [room.put("a", str(number)) for number in range(5)]
    assert pushed_out == [None, None, "0", "1", "2"]
    assert _all(room) == ["3", "4"]


def test_unwanted_items_are_thrown_out() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for item in ("a1", "a2", "b1"):
        room.put(item[0], item)
    assert room.remove(lambda item: item.endswith("1")) == ["a1", "b1"]
    assert len(room) == 1
    assert _all(room) == ["a2"]
    assert not room.full


def test_old_items_give_way_to_newer_ones_of_their_camera_only() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for item in ("a1-old", "a2-old", "a3", "a4", "b1-old"):
        room.put(item[0], item)
    assert room.take(lambda item: item.endswith("old")) == ("a3", ["a1-old", "a2-old"])
    assert room.take(lambda item: item.endswith("old")) == ("b1-old", [])
    assert len(room) == 1
    assert _all(room) == ["a4"]
    assert room.take() == (None, [])
