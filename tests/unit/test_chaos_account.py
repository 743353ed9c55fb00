"""The fault suite's own account: it sees what is lost, doubled and out of order."""

import pytest

from contract.frame import new_session
from stack.frame_ledger import FrameId
from tests.chaos.account import Account, Place, Row, ascending, close_account, table

A, B = new_session(1), new_session(2)
FRAMES: list[FrameId] = [(A, 0), (A, 1), (A, 2)]
PLACES: list[Place] = [(0, 0), (0, 1), (0, 2)]


def account(
    *,
    published: list[FrameId] = FRAMES,
    stored: list[FrameId] = FRAMES,
    dead: dict[Place, str] | None = None,
    skipped: dict[str, int] | None = None,
    repeated: int = 0,
) -> Account:
    dead = dead or {}
    places = {(0, number): frame for number, frame in enumerate(published)}
    reasons = {reason: list(dead.values()).count(reason) for reason in dead.values()}
    return close_account(
        len(published), {"gate": places}, dead, {"gate": stored}, skipped or {},
        reasons=reasons, repeated=repeated,
    )  # fmt: skip


def test_what_is_stored_skipped_or_dead_is_accounted_for() -> None:
    assert account().clean
    assert account(stored=FRAMES[:2], skipped={"out_of_order": 1}).clean
    assert account(stored=FRAMES[1:], dead={PLACES[0]: "corrupt_image"}).clean


def test_a_frame_without_a_result_is_lost() -> None:
    found = account(stored=[FRAMES[0], FRAMES[2]])
    assert (found.lost, found.clean) == (1, False)
    assert f"{A}/1" in found.named[0]


@pytest.mark.parametrize(
    "found",
    [
        account(published=[*FRAMES, FRAMES[2]]),
        account(stored=[*FRAMES, FRAMES[2]]),
        account(stored=FRAMES[1:], dead={PLACES[0]: "corrupt_image"}, repeated=1),
        account(dead={PLACES[0]: "corrupt_image"}),
    ],
)
def test_what_is_there_twice_is_doubled(found: Account) -> None:
    assert (found.doubled, found.lost, found.clean) == (1, 0, False)


@pytest.mark.parametrize(
    "found",
    [
        account(stored=[FRAMES[1], FRAMES[0], FRAMES[2]]),
        account(published=FRAMES[::-1], stored=FRAMES[::-1]),
    ],
)
def test_frames_and_results_out_of_order_are_seen(found: Account) -> None:
    assert (found.out_of_order, found.clean) == (1, False)


def test_sessions_follow_each_other_whatever_their_clocks_say() -> None:
    assert ascending([(A, 0), (A, 1), (B, 0)])
    assert ascending([(B, 5), (A, 0)])
    assert not ascending([(A, 0), (B, 0), (A, 1)])


def test_the_table_has_a_row_for_each_fault() -> None:
    row = Row(fault="x", account=account(), recovery_seconds=1.25, bound_seconds=5, note="seen")
    assert table([row]).splitlines()[-1] == "| x | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 1.2 (5) | seen |"
