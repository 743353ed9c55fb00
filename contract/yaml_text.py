"""People who write lists and names by hand, and the process that reads them: YAML of bounded cost.

Library: PyYAML. Its safe loader makes no objects of Python, but raises whatever a constructor
raises (``2026-99-99``, ``!!int x``), is slow on deep nesting, and lets a few aliases of aliases
stand for more values than any memory holds.
"""

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.scanner import ScannerError

MAX_DEPTH = 50
"""Deepest nesting."""

MAX_VALUES = 1_000_000
"""Most values, each alias counted as what it stands for."""

_MAX_BITS = 64
"""Of a whole number: a longer one may be longer than any message can show."""

_RAISED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""By PyYAML's constructors, of text that is not what its tag says."""


def read_yaml(text: str) -> Any:
    """Return what a YAML document says; None of an empty one.

    Raises:
        yaml.YAMLError: It is not YAML, or too deep or too large; with the place if that is known.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, ()) > MAX_VALUES:
            raise ConstructorError(
                None, None, f"aliases stand for more than {MAX_VALUES} values", node.start_mark
            )
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - PyYAML's name
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        self._check_depth(len(self.indents))
        return bool(super().add_indent(column))

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except _RAISED as error:
            tag = node.tag.rpartition(":")[2]
            raise ConstructorError(
                None, None, f"text that is not what YAML takes it for ({tag})", node.start_mark
            ) from error
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise ConstructorError(
                None, None, f"a whole number of {value.bit_length()} bits", node.start_mark
            )
        return value

    def _check_depth(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise ScannerError(
                None, None, f"nested more than {MAX_DEPTH} levels deep", self.get_mark()
            )


def _values(node: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Return how many values a node and those below it stand for."""
    key = id(node)
    if key in above:
        raise ConstructorError(None, None, "an alias stands for itself", node.start_mark)
    if key not in known:
        below = node.value if isinstance(node.value, list) else []
        parts = [part for each in below for part in (each if isinstance(each, tuple) else (each,))]
        known[key] = 1 + sum(_values(part, known, (*above, key)) for part in parts)
    return known[key]
