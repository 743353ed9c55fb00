"""What the generated pages say of one field: its meaning, values and default, and their tables."""

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns)]
    lines += [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def unquoted(text: str) -> str:
    """Return a docstring's text with Markdown's quotes."""
    return text.replace("``", "`")


def field_meaning(field: FieldInfo) -> str:
    """Return what a field's docstring says, on one line."""
    return unquoted(" ".join((field.description or "").split()))


def first_paragraph(kind: type) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return unquoted(" ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split()))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a type is or holds."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in models_in(each)]


def field_value(field: FieldInfo) -> str:
    """Return which values a field takes."""
    limits = [
        f"{sign} {getattr(each, name):g}"
        for each in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(each, name, None) is not None
    ]
    return " ".join([_type_text(field.annotation), ", ".join(limits)]).strip()


def _type_text(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return field_value(FieldInfo.from_annotation(annotation))
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type_text(each) for each in inner if each is not type(None))
    if origin is tuple and Ellipsis not in inner:
        return f"[{', '.join(map(_type_text, inner))}]"
    if origin in (tuple, list):
        tables = bool(models_in(inner[0]))
        return "tables" if tables else f"list of {_type_text(inner[0])}"
    if origin is dict:
        return f"table of {_type_text(inner[1])}"
    if models_in(annotation):
        return "table"
    names: dict[Any, str] = {
        bool: "`true`, `false`",
        int: "integer",
        float: "number",
        str: "text",
        SecretStr: "text",
        Path: "path",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def field_default(field: FieldInfo) -> str:
    """Return a field's default."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or (value and models_in(field.annotation)):
        return "below"
    if value is None or value in ("", (), {}):
        return "unset"
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"
