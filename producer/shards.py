"""Which process of several carries a camera.

Every process reads the same list and takes its part of it: see ``producer.assignment``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from producer.assignment import assign

_SHARD = re.compile(r"(\d{1,9})(?:/(\d{1,9}))?", re.ASCII)

MOST_SHARDS = 10_000
"""How many parts a list may have."""


@dataclass(frozen=True)
class Shard:
    """One part of a list of cameras.

    Attributes:
        index: Number of the part, from 0.
        count: How many parts there are; None where the list says it.
    """

    index: int
    count: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``INDEX/COUNT`` or ``INDEX``.

        Raises:
            ValueError: It is not that, or the index is not below the count.
        """
        match = _SHARD.fullmatch(text)
        if match is None:
            raise ValueError(
                "expected INDEX, or INDEX/COUNT, for instance 0/2 for the first of two"
            )
        index, count = int(match[1]), None if match[2] is None else int(match[2])
        if count is not None and count > MOST_SHARDS:
            raise ValueError(f"{count} parts, expected at most {MOST_SHARDS}")
        if count is not None and index >= count:
            raise ValueError(
                f"there is no part {index} of {count}, parts are numbered from 0; where replicas "
                "are the parts, their number and COUNT must be the same"
            )
        return cls(index, count)

    def __str__(self) -> str:
        return str(self.index) if self.count is None else f"{self.index}/{self.count}"


def owners(ids: Iterable[str], count: int) -> dict[str, int]:
    """Return for every camera of the whole list the number of the part, of ``count``, it is in."""
    return assign(ids, count, "shard")
