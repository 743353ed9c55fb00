"""Cameras spread over places (shards, partitions): balanced, and few move when something changes.

Rendezvous hashing (Thaler and Ravishankar, 1998) with bounded loads (Mirrokni, Thorup and
Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018): each camera, in an order that
its own hash gives, takes the place with the highest hash of both that is not full. It follows from
the ids and the number of places alone, so every process finds the same, whatever came before.

Library: numpy.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["shard", "partition"]
"""What places are: one kind's hashes tell nothing of the other's, so that the cameras of a shard
are spread over all partitions."""

MOST_PERCENT = 110
"""What a place carries at most, in percent of the mean, rounded up to a whole camera: 14 at a mean
of 12, which is 1.17 times. Less room makes more cameras move at each change, and 100 % a tenth of
them at some."""

_AT_A_TIME = 256
"""Cameras whose hashes are in memory at once: 2 MB at a thousand places."""


def most_cameras(cameras: int, places: int) -> int:
    """Return how many cameras one of ``places`` carries at most."""
    return -(-cameras * MOST_PERCENT // (100 * places))


def assign(ids: Iterable[str], places: int, kind: Kind) -> dict[str, int]:
    """Return the place of every camera, from 0.

    Args:
        ids: Camera ids; their order, and an id that comes twice, have no say.
        places: How many places there are.
        kind: What they are.
    """
    names = sorted(set(ids))
    hashes = np.array([_hash(f"camera/{name}") for name in names], np.uint64)
    salts = np.array([_hash(f"{kind}/{number}") for number in range(places)], np.uint64)
    order = np.argsort(hashes, kind="stable")
    room = np.full(places, most_cameras(len(names), places))
    found = {}
    for start in range(0, len(names), _AT_A_TIME):
        some = order[start : start + _AT_A_TIME]
        weights = _mixed(hashes[some, None] ^ salts[None, :])
        for number, row in zip(some, weights, strict=True):
            place = int(np.where(room > 0, row, 0).argmax())
            room[place] -= 1
            found[names[number]] = place
    return found


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers of which each bit depends on all bits of theirs: SplitMix64's last step."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
