from workers.dead_share import MIN_RECORDS, WINDOW_RECORDS, DeadShare
from workers.records import Position


class Stream:
    """Records of several cameras, some of them poison."""

    def __init__(self, limit: float = 0.8) -> None:
        self.share = DeadShare(limit)
        self.number = 0

    def read(self, key: bytes | None, count: int, *, dead: bool) -> None:
        for _ in range(count):
            position = Position(0, self.number, 1)
            self.number += 1
            self.share.read(position, key)
            if dead:
                self.share.dead(position, "corrupt_image")


def test_a_topic_full_of_poison_exceeds_the_limit_as_soon_as_enough_was_seen() -> None:
    stream = Stream()
    stream.read(b"gate", MIN_RECORDS - 1, dead=True)
    assert stream.share.exceeded is None
    stream.read(b"gate", 1, dead=True)
    assert stream.share.exceeded == (
        "200 of the last 200 records became dead letters (corrupt_image 200), 100% with each of 1 "
        "cameras weighing the same"
    )
    assert stream.share.written == MIN_RECORDS


def test_one_bad_camera_among_others_stops_nobody_however_fast_it_is() -> None:
    stream = Stream()
    for _ in range(500):
        stream.read(b"yard", 1, dead=False)
        stream.read(b"gate", 50, dead=True)
    assert stream.share.exceeded is None


def test_keys_that_are_no_cameras_count_as_one() -> None:
    stream = Stream()
    for number in range(3_000):
        stream.read(b"/%d" % number, 1, dead=True)
        stream.read(None, 1, dead=True)
        stream.read(b"\xff%d" % number, 1, dead=True)
        stream.read(b"yard", 1, dead=False)
    assert stream.share.exceeded is None


def test_all_cameras_gone_bad_exceed_the_limit() -> None:
    stream = Stream()
    for camera in (b"gate", b"yard", b"roof"):
        stream.read(camera, WINDOW_RECORDS, dead=False)
    for _ in range(WINDOW_RECORDS):
        for camera in (b"gate", b"yard", b"roof"):
            stream.read(camera, 1, dead=True)
    assert stream.share.exceeded is not None


def test_what_left_the_window_no_longer_counts() -> None:
    stream = Stream()
    stream.read(b"gate", MIN_RECORDS - 1, dead=True)
    stream.read(b"gate", WINDOW_RECORDS, dead=False)
    stream.read(b"gate", WINDOW_RECORDS // 2, dead=True)
    assert stream.share.exceeded is None


def test_a_limit_of_one_bears_everything() -> None:
    stream = Stream(limit=1)
    stream.read(b"gate", 3 * WINDOW_RECORDS, dead=True)
    assert stream.share.exceeded is None
