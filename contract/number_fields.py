"""People who write files by hand, and the process that reads them: a truth value is no number.

Library: pydantic, which takes ``true`` for 1: ``jpeg_quality: yes`` would be a quality of 1.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationInfo, field_validator


class NumberFields(BaseModel):
    """A mapping of such a file: where a field takes numbers, ``true`` and ``false`` are faults."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name and _takes_numbers(cls, info.field_name) and _holds_boolean(value):
            raise ValueError(
                "expected a number, found a truth value (true, false; for YAML also yes, no)"
            )
        return value


@cache
def _takes_numbers(model: type[BaseModel], field: str) -> bool:
    parts = set(_parts(model.model_fields[field].annotation))
    return not parts.isdisjoint({int, float}) and bool not in parts


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of; of a literal those of its values."""
    if get_origin(annotation) is Literal:
        yield from map(type, get_args(annotation))
    elif parts := get_args(annotation):
        for part in parts:
            yield from _parts(part)
    elif isinstance(annotation, type):
        yield annotation


def _holds_boolean(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_boolean, value))
    return isinstance(value, bool)
