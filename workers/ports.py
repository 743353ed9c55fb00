"""What the loop and the pipeline need of each other and of the adapters.

Tests put small fakes in these places; ``workers.app`` puts Kafka, Redis and the network.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from contract.errors import InvalidMessageError
from contract.result import ModelReference, Result
from segmentation.decode import Image
from segmentation.instances import Instances
from workers.rebalance import Event
from workers.records import Job, Position, Record
from workers.sink import Outcome


class Source(Protocol):
    """Where records come from; see ``workers.source.KafkaSource``."""

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions."""
        ...

    def poll(self, max_records: int) -> list[Record]:
        """Return at most ``max_records``, waiting a moment; 0 only keeps up the membership."""
        ...

    def take_events(self) -> list[Event]:
        """Return the changes of owned partitions since the last call."""
        ...

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Commit the next position of each partition; whether it worked."""
        ...

    def end(self, partition: int) -> int | None:
        """Return the position after the partition's last record, where known."""
        ...


class Work(Protocol):
    """What processes the frames; see ``workers.pipeline.Pipeline``."""

    @property
    def room(self) -> int:
        """How many frames may be put in now."""
        ...

    def put(self, job: Job) -> None:
        """Take a frame."""
        ...

    def abandon_waiting(self, partitions: Collection[int]) -> None:
        """Forget the frames of ``partitions`` that no work has gone into yet."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the work has ended, for whatever reason."""
        ...

    def check(self) -> None:
        """Raise what ended the work."""
        ...


class DeadLetterBox(Protocol):
    """Takes invalid records; see ``workers.dead_letters.DeadLetters``."""

    @property
    def full(self) -> bool:
        """Whether no further records should be taken for now."""
        ...

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        """Queue an invalid record; its position is done when Kafka has acknowledged."""
        ...

    def check(self) -> None:
        """Raise what ended the writing."""
        ...


class Segmenter(Protocol):
    """Finds the instances of images."""

    @property
    def reference(self) -> ModelReference:
        """Which weights it uses."""
        ...

    def segment(
        self, images: Sequence[Image], observe: Callable[[str, float], None]
    ) -> list[Instances]:
        """Return the instances of each image, in its own pixels.

        Args:
            images: At most a batch of uint8 (H, W, 3) RGB images, of any sizes.
            observe: Called with the stages ``infer`` and ``cluster`` and their seconds.

        Raises:
            DeviceError: The accelerator failed.
        """
        ...


class Sink(Protocol):
    """Stores results; see ``workers.sink.RedisSink``."""

    def store(self, results: Sequence[Result]) -> list[Outcome]:
        """Store results and return what became of each."""
        ...

    def give_up(self) -> None:
        """End a ``store`` that still tries."""
        ...
