"""The buffer between the cameras and the publisher."""

import threading
from collections import Counter
from datetime import UTC, datetime

from contract.frame import Frame, new_session
from producer.metrics import DropReason
from producer.outbox import Outbox

SESSION = new_session()


def frame(camera: str, sequence: int) -> Frame:
    return Frame(camera, SESSION, sequence, datetime.now(UTC), 2, 2, b"x")


class Drops:
    def __init__(self) -> None:
        self.frames: list[tuple[str, int]] = []
        self.reasons: Counter[str] = Counter()

    def __call__(self, lost: Frame, reason: DropReason) -> None:
        self.frames.append((lost.camera, lost.sequence))
        self.reasons[reason] += 1


def drain(outbox: Outbox) -> list[tuple[str, int]]:
    taken = []
    while (item := outbox.take(0)) is not None:
        taken.append((item.camera, item.sequence))
    return taken


def test_a_full_live_buffer_keeps_the_newest_frames_and_counts_the_oldest() -> None:
    drops = Drops()
    outbox = Outbox(drops)
    for sequence in range(5):
        assert outbox.put(frame("a", sequence), 2, wait=False)
    assert drain(outbox) == [("a", 3), ("a", 4)]
    assert drops.frames == [("a", 0), ("a", 1), ("a", 2)]
    assert drops.reasons == {"buffer_full": 3}


def test_cameras_are_served_in_turn_and_each_in_order() -> None:
    outbox = Outbox(Drops())
    for sequence in range(3):
        outbox.put(frame("busy", sequence), 10, wait=False)
    outbox.put(frame("quiet", 0), 10, wait=False)
    assert drain(outbox) == [("busy", 0), ("quiet", 0), ("busy", 1), ("busy", 2)]


def test_a_full_file_buffer_makes_its_reader_wait_for_room() -> None:
    drops = Drops()
    outbox = Outbox(drops)
    outbox.put(frame("a", 0), 1, wait=True)
    done = threading.Event()

    def put_second() -> None:
        outbox.put(frame("a", 1), 1, wait=True)
        done.set()

    thread = threading.Thread(target=put_second)
    thread.start()
    assert not done.wait(0.05)
    first = outbox.take(0)
    assert first is not None
    assert first.sequence == 0
    assert done.wait(5)
    thread.join()
    assert drain(outbox) == [("a", 1)]
    assert not drops.frames


def test_closing_releases_a_waiting_reader_and_counts_its_frame() -> None:
    drops = Drops()
    outbox = Outbox(drops)
    outbox.put(frame("a", 0), 1, wait=True)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(outbox.put(frame("a", 1), 1, wait=True)))
    thread.start()
    outbox.close()
    thread.join(5)
    assert taken == [False]
    assert drops.frames == [("a", 1)]
    assert drops.reasons == {"shutdown": 1}
    assert drain(outbox) == [("a", 0)]


def test_discarding_counts_every_frame_left() -> None:
    drops = Drops()
    outbox = Outbox(drops)
    for camera in ("a", "b"):
        outbox.put(frame(camera, 0), 4, wait=False)
    assert not outbox.empty
    assert outbox.discard() == 2
    assert outbox.empty
    assert drops.reasons == {"shutdown": 2}
    assert outbox.take(0) is None
