"""Which process of several carries a camera.

Every process reads the same list and takes its part by rendezvous hashing (Thaler and Ravishankar,
1998): a camera goes to the shard with the highest hash of both. Other cameras of the list have no
say in it, so that adding or removing one moves no other; and of N shards, one more takes 1/(N+1) of
the cameras and leaves the rest where they were.
"""

import hashlib
import re
from dataclasses import dataclass

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One part of a list of cameras.

    Attributes:
        index: Number of the part, from 0.
        count: How many parts there are.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``INDEX/COUNT``.

        Raises:
            ValueError: It is not that, or the index is not below the count.
        """
        match = _SHARD.fullmatch(text)
        if match is None:
            raise ValueError("expected INDEX/COUNT, for instance 0/2 for the first of two")
        index, count = int(match[1]), int(match[2])
        if index >= count:
            raise ValueError(
                f"there is no part {index} of {count}, parts are numbered from 0; where replicas "
                "are the parts, their number and COUNT must be the same"
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, camera: str) -> bool:
        """Return whether this part carries the camera with this id."""
        return self.count == 1 or shard_of(camera, self.count) == self.index


def shard_of(camera: str, count: int) -> int:
    """Return the number of the part, of ``count``, that carries a camera id."""
    return max(range(count), key=lambda index: (_weight(camera, index), index))


def _weight(camera: str, index: int) -> bytes:
    return hashlib.blake2b(f"{index}/{camera}".encode(), digest_size=8).digest()
