import threading

import pytest

from contract.process import ExitDeadline
from tests.fakes import wait_until


@pytest.fixture
def ended() -> list[int]:
    return []


def test_a_process_that_has_left_is_not_ended(ended: list[int]) -> None:
    leaving = ExitDeadline(0.02, ended.append)
    leaving.begin()
    leaving.note(ended=True)
    leaving.left()
    threading.Event().wait(0.1)
    assert ended == []


def test_a_part_that_hangs_has_the_process_ended_with_1(ended: list[int]) -> None:
    leaving = ExitDeadline(0.02, ended.append)
    leaving.begin()
    leaving.note(ended=False)
    leaving.left()
    wait_until(lambda: ended == [1])


def test_cleaning_up_that_hangs_has_the_process_ended_with_1(ended: list[int]) -> None:
    ExitDeadline(0.02, ended.append).begin()
    wait_until(lambda: ended == [1])
