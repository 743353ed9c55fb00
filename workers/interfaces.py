"""What the loop and the stages need of Kafka and Redis; the adapters fit it without knowing it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from contract.errors import InvalidMessageError
from workers.records import Entry, Event, Outcome, Position, Record


class Source(Protocol):
    """One member of the consumer group, used by the loop's thread; see `workers.source`."""

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions."""
        ...

    @property
    def rebalancing(self) -> bool:
        """Whether partitions are shared out anew; until then nothing is committed."""
        ...

    def poll(self, max_records: int) -> list[Record]:
        """Return records that have arrived; with 0 only keep the membership.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        ...

    def take_events(self) -> list[Event]:
        """Return the changes of partitions since the last call, in order."""
        ...

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Commit the next position to read of each partition; return whether that is done."""
        ...

    def end(self, partition: int) -> int | None:
        """Return the position after the partition's last record, as far as it is known."""
        ...


class DeadLetterBox(Protocol):
    """Takes records that cannot be used; see `workers.dead_letters`."""

    @property
    def full(self) -> bool:
        """Whether no further records should be taken for now."""
        ...

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        """Queue a record; its position is done once the letter is acknowledged. Never blocks."""
        ...

    def check(self) -> None:
        """Raise what ended the writing of letters."""
        ...


class Sink(Protocol):
    """Stores results; see `workers.sink`."""

    def store(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Store results, idempotently, those of one camera in the order given.

        Returns:
            What became of each.

        Raises:
            ConfigurationError: The server refuses.
            UnavailableError: It stays away; repeating the call is safe.
        """
        ...

    def give_up(self) -> None:
        """End a ``store`` that still tries, from another thread."""
        ...
