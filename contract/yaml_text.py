"""People who write lists and names by hand, and the process that reads them: YAML of bounded cost.

Library: PyYAML. Its safe loader makes no objects of Python, but raises whatever a constructor
raises (``2026-99-99``, ``!!int x``), is slow on deep nesting, lets a few aliases of aliases
stand for more values than any memory holds, and of a key that stands twice takes the last one.
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

_MERGE = "tag:yaml.org,2002:merge"

_RAISED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""By PyYAML's constructors, of text that is not what its tag says."""


class RepeatedKeyError(ConstructorError):
    """A mapping has a key twice, and only one of them could count.

    Attributes:
        key: As the file has it.
        first_line: Where it stands, from 1.
        line: Where it stands again.
    """

    def __init__(self, first: yaml.ScalarNode, again: yaml.ScalarNode) -> None:
        self.key = str(again.value)
        self.first_line, self.line = first.start_mark.line + 1, again.start_mark.line + 1
        super().__init__(None, None, f"the key {self.key!r} {self.where}", again.start_mark)

    @property
    def where(self) -> str:
        """Both places, and what to do, without the key, which may be a secret in a wrong place."""
        return (
            f"stands on line {self.first_line} and again on line {self.line} of one mapping: only "
            "one can count, so join them or take one out"
        )


def read_yaml(text: str) -> Any:
    """Return what a YAML document says; None of an empty one.

    Raises:
        RepeatedKeyError: A mapping has a key twice. What it merges (``<<``) does not count.
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
        # Before anything is made of it: then what is merged stands among a mapping's own keys.
        loader.check_keys(node)
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

    def check_keys(self, node: Any) -> None:
        """Refuse keys that stand twice in a mapping, in all of a document.

        Raises:
            RepeatedKeyError: There is one.
        """
        seen, waiting = set[int](), [node]
        while waiting:
            each = waiting.pop()
            if id(each) in seen or not isinstance(each, yaml.CollectionNode):
                continue
            seen.add(id(each))
            if isinstance(each, yaml.MappingNode):
                self._check_mapping(each)
                waiting += [part for pair in reversed(each.value) for part in pair]
            else:
                waiting += reversed(each.value)

    def _check_mapping(self, node: yaml.MappingNode) -> None:
        known: dict[Any, yaml.ScalarNode] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            # By what they mean: a and "a" are the same, and so are 1 and 0x1.
            first = known.setdefault(self.construct_object(key), key)
            if first is not key:
                raise RepeatedKeyError(first, key)

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
