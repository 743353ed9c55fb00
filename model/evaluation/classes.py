"""Which class of the data is which class of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.errors import ConfigurationError
from model.data.labels import IGNORED


@dataclass(frozen=True)
class Pairing:
    """Classes of data and model brought together.

    Attributes:
        model: Class names of the model.
        becomes: Class of the model, or ``ignore``, by class of the data; the others are background.
        measured: Classes of the model that the data show; instances of the others do not count.
        left_out: Classes of the data that the model does not know: background.
    """

    model: tuple[str, ...]
    becomes: Mapping[str, str]
    measured: tuple[str, ...]
    left_out: tuple[str, ...]


def parse_classes(text: str | None) -> dict[str, str]:
    """Return the mapping of a text like ``car=vehicle,person=person``; none for None.

    Raises:
        ConfigurationError: It is no such text, or names a class of the data twice.
    """
    becomes: dict[str, str] = {}
    for part in [] if text is None else text.split(","):
        old, sign, new = (piece.strip() for piece in part.partition("="))
        if not (old and sign and new) or becomes.get(old, new) != new:
            raise ConfigurationError(
                f"--classes is {text!r}, expected each class of the data once, like "
                f"car=vehicle,person=person,rider={IGNORED}"
            )
        becomes[old] = new
    return becomes


def pair(data: Sequence[str], model: Sequence[str], given: Mapping[str, str]) -> Pairing:
    """Bring classes together: by the mapping given, the others by their name.

    With a mapping a class of the model may have no counterpart; it is then not measured.

    Raises:
        ConfigurationError: The mapping names a class that there is not, or a class of the model
            has no counterpart; both lists are named.
    """
    faults = [
        f"--classes names {old!r}, but the data have the classes {_listed(data)}"
        for old in given
        if old not in data
    ]
    faults += [
        f"--classes makes {old!r} {new!r}, but the model has the classes {list(model)} "
        f"(or {IGNORED!r})"
        for old, new in given.items()
        if new != IGNORED and new not in model
    ]
    becomes = {name: name for name in data if name in model} | dict(given)
    measured = tuple(name for name in model if name in becomes.values())
    missing = [name for name in model if name not in measured]
    if not faults and (not measured or (missing and not given)):
        faults.append(
            f"the model's classes {missing} are none of the data's: the model has {list(model)}, "
            f"the data have {_listed(data)}; {_advice(data, missing, measured)}"
        )
    if faults:
        raise ConfigurationError(faults)
    left_out = tuple(name for name in data if name not in becomes)
    return Pairing(tuple(model), becomes, measured, left_out)


def _advice(data: Sequence[str], missing: Sequence[str], measured: Sequence[str]) -> str:
    """Say how to go on; a class that both have stays what it is."""
    others = [name for name in data if name not in measured]
    advice = []
    if others:
        advice.append(f"say which is which, like --classes {others[0]}={missing[0]}")
    if measured:
        same = ",".join(f"{name}={name}" for name in measured)
        advice.append(f"measure only what both have: --classes {same}")
    return f"{', or '.join(advice)} (classes left without a counterpart are not measured)"


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(repr(name) for name in names)}]"
