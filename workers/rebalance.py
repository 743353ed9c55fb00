"""Changes of the partitions that this worker owns, as the consumer group decides them.

Library: kafka-python 3.
"""

import enum
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.future import Future


class Change(enum.Enum):
    """What happened to partitions."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    """They went to another worker, after what was done here had been committed."""
    LOST = "lost"
    """The group has given them away already: nothing may be committed."""


class Event(NamedTuple):
    """A change of the partitions that this worker owns."""

    change: Change
    partitions: frozenset[int]


HandOver = Callable[[frozenset[int]], Mapping[int, int]]
"""Finishes what is in flight of partitions that go to another worker, within a bound, and returns
what may be committed of them. Called in a thread of its own."""


class RebalanceListener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # no types there
    """Called on kafka-python's own event loop, which must not be blocked: it sends heartbeats.

    Args:
        note: Takes every change, in order.
        hand_over: See ``HandOver``.
        commit: Sends a commit and returns its future, from any thread.
    """

    def __init__(
        self,
        note: Callable[[Event], None],
        hand_over: HandOver,
        commit: Callable[[Mapping[int, int]], Future],
    ) -> None:
        self._note = note
        self._hand_over = hand_over
        self._commit = commit

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Note new partitions."""
        self._note(Event(Change.ASSIGNED, _numbers(assigned)))

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Hand partitions over; the worker joins again, as the group awaits, when this returns."""
        partitions, done = _numbers(revoked), Future()
        threading.Thread(
            target=self._finish, args=(partitions, done), name="hand-over", daemon=True
        ).start()
        await done
        self._note(Event(Change.REVOKED, partitions))

    async def on_partitions_lost(self, lost: Collection[Any]) -> None:
        """Note partitions that are gone."""
        self._note(Event(Change.LOST, _numbers(lost)))

    def _finish(self, partitions: frozenset[int], done: Future) -> None:
        commit: Future | None = None
        try:
            # Goes out before the join, on the same connection.
            commit = self._commit(self._hand_over(partitions))
        finally:
            if commit is None:
                done.success(None)  # or the polling thread would wait for ever
        # Its answer, good or bad, comes on the event loop, which so runs when the listener goes on.
        commit.add_both(lambda _: done.success(None))


def _numbers(partitions: Collection[Any]) -> frozenset[int]:
    return frozenset(each.partition for each in partitions)
