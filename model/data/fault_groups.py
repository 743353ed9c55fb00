"""The same fault in many files, told once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.data.data_set import BrokenSampleError, DataSet
from model.data.read import ENDINGS

_PICTURE = re.compile(rf"\S+({'|'.join(map(re.escape, ENDINGS))})\b", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_LISTED = re.compile(r"(\*: )?(annotation|line) ")
_MORE = re.compile(r"and (\d+) more")

_TOLD = 3
"""Faults of one kind that are told in full; of more, the first is."""


@dataclass(frozen=True)
class FaultGroup:
    """Files that are broken alike.

    Attributes:
        first: The first of them.
        files: How many there are.
        faults: How many faults they have together.
    """

    first: BrokenSampleError
    files: int
    faults: int


def group_faults(broken: Iterable[BrokenSampleError]) -> list[FaultGroup]:
    """Bring faults together that differ in numbers and in the picture's name alone.

    Few alike stay groups of their own, in their order.
    """
    kinds: dict[frozenset[str], list[BrokenSampleError]] = {}
    for fault in broken:
        kinds.setdefault(_kind(fault.reason), []).append(fault)
    groups: list[FaultGroup] = []
    for alike in kinds.values():
        if len(alike) <= _TOLD:
            groups += [FaultGroup(fault, 1, _count(fault.reason)) for fault in alike]
        else:
            total = sum(_count(fault.reason) for fault in alike)
            groups.append(FaultGroup(alike[0], len(alike), total))
    return groups


def describe_faults(broken: Sequence[BrokenSampleError]) -> list[str]:
    """Return a sentence per group: the first fault, and how many more there are."""
    return [_describe(group) for group in group_faults(broken)]


def describe_whole(data: DataSet) -> list[str]:
    """Return what a data set assumed, and which labels belong to none of its pictures."""
    return [*data.notes(), *(f"left out: {text}" for text in describe_faults(data.orphans()))]


def _describe(group: FaultGroup) -> str:
    if group.files == 1:
        return str(group.first)
    together = f", {group.faults} faults in all" if group.faults > group.files else ""
    return f"{group.first} (and {group.files - 1} more like it{together})"


def _clauses(reason: str) -> list[str]:
    return reason.split("; ")


def _kind(reason: str) -> frozenset[str]:
    named = _PICTURE.sub("*", reason)
    clauses = (_NUMBER.sub("#", clause).removeprefix("*: ") for clause in _clauses(named))
    return frozenset(clause for clause in clauses if not clause.startswith("and # more"))


def _count(reason: str) -> int:
    """Count the faults that a reason lists, each with its place; any other is one."""
    clauses = _clauses(_PICTURE.sub("*", reason))
    listed = sum(_LISTED.match(clause) is not None for clause in clauses)
    more = sum(int(found[1]) for clause in clauses if (found := _MORE.fullmatch(clause)))
    return max(listed + more, 1)
