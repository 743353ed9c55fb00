"""How long a decoder has been at work, as far as its process could run."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from segmentation.decode import Image
from tests.fakes import make_frame, make_job
from workers.decoders import MAX_DECODE_SECONDS, Decoders
from workers.records import Job, Position


def frame() -> Job:
    return make_job(make_frame(), Position(0, 0, 1))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Ends every decode."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def decoders(clock: Clock, over: threading.Event) -> Iterator[Decoders]:
    def decode(_: Job) -> Image:
        over.wait(30)
        return np.zeros((8, 8, 3), np.uint8)

    made = Decoders(decode, lambda: 2, threading.Lock(), lambda: None, clock)
    yield made
    over.set()
    made.stop()


def test_a_process_that_was_stopped_blames_no_picture_for_it(
    decoders: Decoders, clock: Clock
) -> None:
    decoders.add(frame())
    clock.now += 3600  # SIGSTOP, a frozen container, a machine that moves
    decoders.look()
    assert decoders.give_up() == []
    assert decoders.hung == 0


def test_a_decode_is_given_up_after_its_time_has_been_looked_at(
    decoders: Decoders, clock: Clock
) -> None:
    job = frame()
    decoders.add(job)
    for _ in range(int(MAX_DECODE_SECONDS)):
        clock.now += 1
        decoders.look()
    assert decoders.give_up() == []
    clock.now += 1
    assert [each.job for each in decoders.give_up()] == [job]
    assert decoders.hung == 1


def test_somebody_looks_every_second_while_a_decoder_works(
    decoders: Decoders, clock: Clock
) -> None:
    assert decoders.due_seconds == float("inf")
    decoders.add(frame())
    clock.now += 1
    assert decoders.due_seconds <= 1


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_as_many_frames_are_decoded_side_by_side_as_there_are_threads(
    clock: Clock, over: threading.Event, threads: int
) -> None:
    begun = threading.Semaphore(0)

    def decode(_: Job) -> Image:
        begun.release()
        over.wait(30)
        return np.zeros((8, 8, 3), np.uint8)

    made = Decoders(decode, lambda: 8, threading.Lock(), lambda: None, clock, threads)
    for _ in range(6):
        made.add(frame())
    assert all(begun.acquire(timeout=10) for _ in range(threads))
    assert not begun.acquire(timeout=0.05)
    assert len(made.running) == threads
    over.set()
    made.stop()
