"""What a worker does when its consumer group gives it partitions or takes them.

Library: kafka-python 3, whose event loop calls this.
"""

import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.future import Future

from workers.records import Change, Event

HandOver = Callable[[frozenset[int]], Mapping[int, int]]
"""Finishes what is in flight of partitions that go to another worker, within a bound, and returns
what may be committed of them. Called in a thread of its own."""


class RebalanceListener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # no types there
    """Called on kafka-python's own event loop, which must not be blocked: it sends heartbeats.

    Args:
        note: Takes every change, in order.
        hand_over: See ``HandOver``.
        commit: Sends a commit and returns its future, from any thread.
        on_loop: Has the event loop run a coroutine, and wakes the loop for it, from any thread.
    """

    def __init__(
        self,
        note: Callable[[Event], None],
        hand_over: HandOver,
        commit: Callable[[Mapping[int, int]], Future],
        on_loop: Callable[[Callable[[], Awaitable[None]]], object],
    ) -> None:
        self._note = note
        self._hand_over = hand_over
        self._commit = commit
        self._on_loop = on_loop

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
        async def settle() -> None:
            done.success(None)

        def end(_: object = None) -> None:
            # kafka-python's futures wake no loop: one that is idle would sleep on, and `close`,
            # which waits for the listener without a bound, with it.
            self._on_loop(settle)

        commit: Future | None = None
        try:
            # Goes out before the join, on the same connection.
            commit = self._commit(self._hand_over(partitions))
        finally:
            if commit is None:
                end()
        # Answered by now, or on the event loop later: for good or ill, the listener goes on.
        commit.add_both(end)


def _numbers(partitions: Collection[Any]) -> frozenset[int]:
    return frozenset(each.partition for each in partitions)
