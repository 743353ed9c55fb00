"""The costs that a plan is counted from, each with where it comes from."""

from collections.abc import Mapping
from importlib.resources import files

import msgspec

from contract.errors import ConfigurationError
from contract.toml_text import read_toml

COSTS_FILE = "unit_costs.toml"

_MOST_TIMES = 10_000
"""A cost is at most so many times what is known, and at least that part of it."""


class UnitCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit costs.

    Attributes:
        value: In ``unit``.
        unit: For people.
        meaning: Of what.
        source: Where it was measured, with the date, or why it is assumed.
        measured: Whether it was measured with this project; otherwise it is an assumption.
    """

    value: float
    unit: str
    meaning: str
    source: str
    measured: bool


# At import: msgspec is not safe where threads convert to a struct for the first time.
_COSTS = msgspec.convert(
    read_toml((files("planner") / COSTS_FILE).read_text(encoding="utf-8")), dict[str, UnitCost]
)


def unit_costs() -> Mapping[str, UnitCost]:
    """Return the costs by name."""
    return _COSTS


def with_changes(changes: Mapping[str, float]) -> Mapping[str, UnitCost]:
    """Return the costs with other values for some, which count as known then.

    Raises:
        ConfigurationError: There is no such cost, or a value is not above zero or far from what is
            known; all of them.
    """
    known = unit_costs()
    faults = [
        f"there is no cost {name!r}, expected one of {', '.join(known)}"
        for name in changes
        if name not in known
    ]
    faults += [
        _fault(name, value, known[name])
        for name, value in changes.items()
        if name in known and not _in_reach(value, known[name])
    ]
    if faults:
        raise ConfigurationError(faults)
    return {
        name: msgspec.structs.replace(cost, value=changes[name], source="as given", measured=True)
        if name in changes
        else cost
        for name, cost in known.items()
    }


def _in_reach(value: float, cost: UnitCost) -> bool:
    return cost.value / _MOST_TIMES <= value <= cost.value * _MOST_TIMES


def _fault(name: str, value: float, cost: UnitCost) -> str:
    low, high = cost.value / _MOST_TIMES, cost.value * _MOST_TIMES
    return f"{name} is {value:g}, expected a number above 0: {low:g} to {high:g} {cost.unit}"
