"""Help pages in plain text: options in groups, each name whole, at any width and on a pipe.

Library: Typer. Its own pages put names into a column, which cuts them on a narrow terminal; and it
takes nan for a number within bounds, and the last of two values: what a script's settings want, and
nobody who names two data sets.
"""

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from contract.errors import ConfigurationError

_HEAD, _BODY = "  ", "      "
"""Indentation of an option's name, and of what it means."""

_REST = "Options"
"""Of what has no group of its own."""

_JOINED = "\N{NO-BREAK SPACE}"

_NO_BRACES = str.maketrans("", "", "{}")

_LONGEST_BESIDE = 20
"""A group with a longer name has the meanings below the names."""


class App(typer.Typer):
    """A Typer application, or a group of subcommands, whose pages are those of this module."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_Group, rich_markup_mode=None, no_args_is_help=True, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register a subcommand; ``epilog`` may have several paragraphs."""
        return super().command(name, **{"cls": Command, **options})


class Command(TyperCommand):
    """A subcommand with a page of this module, which refuses what would count for nothing."""

    once: ClassVar[Mapping[str, str]] = {"data": ""}
    """Parameters that name what is read, of which one counts -> what to do with two."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments.

        Raises:
            ConfigurationError: What is read is named twice and counts once, or a number is not
                finite; all faults.
        """
        if ctx.resilient_parsing:  # completion guesses at half a command line
            return super().parse_args(ctx, args)
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        faults = self._given_twice(order)
        if faults:
            raise ConfigurationError(faults)
        rest = super().parse_args(ctx, args)
        faults = [
            f"{each.opts[0]} is {value}, expected a finite number"
            for each in self.get_params(ctx)
            if isinstance(value := ctx.params.get(each.name), float) and not math.isfinite(value)
        ]
        if faults:
            raise ConfigurationError(faults)
        return rest

    def _given_twice(self, order: list[Any]) -> list[str]:
        # The order names a parameter once for each time that it was given.
        given = Counter(each.name for each in order if each.param_type_name == "option")
        options = {each.name: each for each in order}
        return [
            f"{options[name].opts[0]} is given {count} times, expected once: only one of its "
            f"values would count{self._advice(name)}"
            for name, count in given.items()
            if count > 1 and name in self.once and not options[name].multiple
        ]

    def _advice(self, name: str) -> str:
        advice = self.once.get(name)
        return f"; {advice}" if advice else ""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the name of the command."""
        # Typer writes {NAME} for what is required, which is a placeholder nowhere else.
        return [piece.translate(_NO_BRACES) for piece in super().collect_usage_pieces(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write(_page(self, ctx, formatter.width))


class _Group(TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_page(self, ctx, formatter.width))


def _page(command: TyperCommand | TyperGroup, context: Any, width: int) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    parts = [_wrap(f"{context.command_path} {pieces}", width, "Usage: ", " " * 7)]
    parts += _paragraphs(command.help or "", width)
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            title, head = _title_and_head(parameter, record[0])
            groups.setdefault(title, []).append((head, " ".join(record[1].split())))
    if _REST in groups:
        groups[_REST] = groups.pop(_REST)  # settings come first
    if isinstance(command, TyperGroup):
        found = [(name, command.get_command(context, name)) for name in command.commands]
        groups["Commands"] = [(name, each.help or "") for name, each in found if each]
    parts += [f"{title}:\n{_list(entries, width)}" for title, entries in groups.items()]
    parts += _paragraphs(command.epilog or "", width)
    return "\n\n".join(parts) + "\n"


def _title_and_head(parameter: Any, declared: str) -> tuple[str, str]:
    title = getattr(parameter, "rich_help_panel", None)
    if parameter.param_type_name == "argument":
        return title or "Arguments", declared.split(" ")[0]
    return title or _REST, re.sub(r"<([^<>|]*)>", _type_in_words, declared)


def _type_in_words(match: re.Match[str]) -> str:
    """Return what an option takes in the words of those that are made from settings."""
    name = re.sub(r"list\[(\w+)\]", r"\1", match[1]).removesuffix(" range").lower()
    return f"<{'text' if name == 'str' else name}>"


def _list(entries: list[tuple[str, str]], width: int) -> str:
    """Return names with what they mean beside them, or below where a name is long."""
    longest = max(len(head) for head, _ in entries)
    if longest <= _LONGEST_BESIDE:
        column = len(_HEAD) + longest + 2
        return "\n".join(
            _wrap(text, width, f"{_HEAD}{head}".ljust(column), " " * column)
            for head, text in entries
        )
    lines: list[str] = []
    for head, text in entries:
        lines += _broken_at_bars(head, width)
        lines.append(_wrap(text, width, _BODY, _BODY))
    return "\n".join(lines)


def _broken_at_bars(head: str, width: int) -> Iterator[str]:
    """Yield the lines of a name with its choices, which may be wider than the page."""
    line = _HEAD
    for number, piece in enumerate(head.split("|")):
        bar = "|" if number else ""
        if number and len(line) + len(piece) + 2 > width:
            yield f"{line}|"
            line, bar = _BODY, ""
        line += bar + piece
    yield line


def _paragraphs(text: str, width: int) -> list[str]:
    return [_wrap(" ".join(each.split()), width, "", "") for each in text.split("\n\n") if each]


def _wrap(text: str, width: int, first: str, rest: str) -> str:
    filled = textwrap.fill(
        text.replace("[default: ", f"[default:{_JOINED}"),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_JOINED, " ")
