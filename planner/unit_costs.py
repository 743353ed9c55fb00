"""The costs that a plan is counted from, each with where it comes from."""

import math
from collections.abc import Mapping
from importlib.resources import files

import msgspec

from contract.errors import ConfigurationError
from contract.toml_text import read_toml

COSTS_FILE = "unit_costs.toml"


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
        ConfigurationError: There is no such cost, or a value is not above zero; all of them.
    """
    known = unit_costs()
    faults = [
        f"there is no cost {name!r}, expected one of {', '.join(known)}"
        for name in changes
        if name not in known
    ]
    faults += [
        f"{name} is {value:g}, expected a number above 0"
        for name, value in changes.items()
        if not 0 < value < math.inf
    ]
    if faults:
        raise ConfigurationError(faults)
    return {
        name: msgspec.structs.replace(cost, value=changes[name], source="as given", measured=True)
        if name in changes
        else cost
        for name, cost in known.items()
    }
