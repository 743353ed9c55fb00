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
    stream.read(b"gate", 100, dead=True)
    stream.read(b"yard", MIN_RECORDS - 101, dead=True)
    assert stream.share.exceeded is None
    stream.read(b"yard", 1, dead=True)
    assert stream.share.exceeded == (
        "200 of the last 200 records became dead letters (corrupt_image 200), 100% with each of 2 "
        "cameras weighing the same"
    )
    assert stream.share.written == MIN_RECORDS


def test_one_bad_camera_that_is_alone_in_a_worker_stops_nobody() -> None:
    stream = Stream()
    stream.read(b"gate", 5_000, dead=True)
    assert stream.share.exceeded is None
    assert stream.share.written == 5_000


def test_bad_cameras_do_not_count_for_all_because_the_others_are_slower() -> None:
    stream = Stream()
    for _ in range(12):
        for camera in (b"yard", b"roof", b"door"):
            stream.read(camera, 1, dead=False)
        for _ in range(450):
            stream.read(b"gate", 1, dead=True)
            stream.read(b"hall", 1, dead=True)
    assert stream.share.exceeded is None


def test_cameras_that_moved_to_another_worker_do_not_hide_that_all_others_went_bad() -> None:
    stream = Stream()
    cameras = [b"camera-%d" % number for number in range(20)]
    for _ in range(WINDOW_RECORDS):
        for camera in cameras:
            stream.read(camera, 1, dead=False)
    for _ in range(2_000):
        for camera in cameras[:3]:
            stream.read(camera, 1, dead=True)
    assert stream.share.exceeded == (
        "300 of the last 300 records became dead letters (corrupt_image 300), 100% with each of 3 "
        "cameras weighing the same"
    )


def test_one_bad_camera_stops_nobody_when_the_others_moved_to_another_worker() -> None:
    stream = Stream()
    for camera in (b"yard", b"roof", b"door"):
        stream.read(camera, WINDOW_RECORDS, dead=False)
    stream.read(b"gate", 5_000, dead=True)
    assert stream.share.exceeded is None


def test_records_of_no_camera_stop_nobody_once_cameras_were_read_however_long_ago() -> None:
    stream = Stream()
    stream.read(b"yard", 1, dead=False)
    stream.read(None, 5_000, dead=True)
    assert stream.share.exceeded is None


def test_among_many_cameras_slow_ones_go_on_counting() -> None:
    stream = Stream()
    slow = [b"slow-%d" % number for number in range(5)]
    fast = [b"fast-%d" % number for number in range(10)]
    for _ in range(8):
        for camera in slow:
            stream.read(camera, 1, dead=False)
        for _ in range(250):
            for camera in fast:
                stream.read(camera, 1, dead=True)
    assert stream.share.exceeded is None


def test_a_topic_without_any_cameras_frames_exceeds_the_limit() -> None:
    stream = Stream()
    stream.read(None, MIN_RECORDS, dead=True)
    assert stream.share.exceeded is not None


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
    for camera in (b"gate", b"yard"):
        stream.read(camera, MIN_RECORDS // 2 - 1, dead=True)
    for camera in (b"gate", b"yard"):
        stream.read(camera, WINDOW_RECORDS, dead=False)
        stream.read(camera, WINDOW_RECORDS // 2, dead=True)
    assert stream.share.exceeded is None


def test_of_random_keys_that_look_like_cameras_a_bounded_number_is_remembered() -> None:
    stream = Stream(limit=1)
    for number in range(3_000):
        stream.read(b"camera-%d" % number, 2, dead=True)
    assert len(stream.share._reads) <= 1_000


def test_a_limit_of_one_bears_everything() -> None:
    stream = Stream(limit=1)
    for camera in (b"gate", b"yard"):
        stream.read(camera, 3 * WINDOW_RECORDS, dead=True)
    assert stream.share.exceeded is None
