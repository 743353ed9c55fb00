"""Frames gathered into batches, by size or by age. Pure; the clock is passed in."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """Gathers items until the batch is full or its first item has waited long enough.

    Args:
        max_size: Most items of a batch.
        max_age_seconds: Longest time that the first item waits for others, in seconds.
    """

    def __init__(self, max_size: int, max_age_seconds: float) -> None:
        if max_size < 1:
            raise ValueError(f"max_size is {max_size}, expected at least 1")
        self._max_size = max_size
        self._max_age_seconds = max_age_seconds
        self._items: list[T] = []
        self._due_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, now: float) -> None:
        """Add an item to a batch that is not full.

        Args:
            item: The item.
            now: Monotonic time, in seconds.
        """
        if len(self._items) >= self._max_size:
            raise ValueError(f"the batch already has {self._max_size} items: take it first")
        if not self._items:
            self._due_at = now + self._max_age_seconds
        self._items.append(item)

    def ready(self, now: float) -> bool:
        """Return whether the batch should go now."""
        if not self._items:
            return False
        return len(self._items) >= self._max_size or now >= self._due_at

    def seconds_until_due(self, now: float) -> float | None:
        """Return how long the batch may still wait, in seconds; None while it is empty."""
        return max(0.0, self._due_at - now) if self._items else None

    def take(self) -> list[T]:
        """Return the items in the order they came, and start the next batch."""
        items, self._items = self._items, []
        return items
