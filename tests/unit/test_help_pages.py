import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from contract.settings import settings_by_section
from docs.write_reference import SETTINGS
from seedstream.cli import COMMANDS, build
from seedstream.options import variable

OF_COMMAND = {
    "produce": "producer", "work": "worker", "render": "viewer", "train": "train", "view": "view",
}  # fmt: skip
NARROWEST = 60


def pages() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS:
        yield (name,)
        command = typer.main.get_command(build([name])).commands[name]
        yield from ((name, nested) for nested in getattr(command, "commands", {}))


PAGES = list(pages())


@functools.cache
def page(words: tuple[str, ...], columns: int) -> str:
    command, context = found(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        return command.get_help(context)


def found(words: tuple[str, ...]) -> tuple[Any, typer.Context]:
    command: Any = typer.main.get_command(build(list(words)))
    context = typer.Context(command, info_name="seedstream")
    for word in words:
        command = command.commands[word]
        context = typer.Context(command, info_name=word, parent=context)
    return command, context


def settings_of(command: str):
    module, _, name = SETTINGS[OF_COMMAND[command]].partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("columns", [NARROWEST, 80, 200])
@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(
    words: tuple[str, ...], columns: int
) -> None:
    text = page(words, columns)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns
    for parameter in found(words)[0].params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            assert not name.startswith("-") or name in text.replace("/", " ").split()


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_what_an_option_or_argument_takes_is_said_in_the_same_few_words(
    words: tuple[str, ...],
) -> None:
    text = page(words, 200)
    usage = text.splitlines()[0].removeprefix(f"Usage: {' '.join(('seedstream', *words))} ")
    assert re.fullmatch(r"(\[?[A-Z]+\]?(\.\.\.\]?)? ?)+", usage), usage
    assert set(re.findall(r"<([^<>|]+)>", text)) <= {"text", "path", "int", "float"}


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_choice_of_an_option_is_whole(words: tuple[str, ...]) -> None:
    narrow, wide = (page(words, columns).replace("|\n      ", "|") for columns in (NARROWEST, 200))
    choices = re.compile(r"<[^<> ]*>")
    assert choices.findall(narrow) == choices.findall(wide)
    assert "|\n" not in narrow


@pytest.mark.parametrize("command", OF_COMMAND)
def test_each_setting_is_there_with_its_default_and_the_rule_of_its_variable(command: str) -> None:
    kind = settings_of(command)
    text = " ".join(page((command,), 80).split())
    for name, field in kind.model_fields.items():
        secret = "password" in name or name.endswith("_secret")
        shown = variable(kind, name) if secret else "--" + name.replace("_", "-")
        assert shown in text or name.upper() in text
        assert " ".join((field.description or "").split()) in text or secret
    assert f"environment variable, {kind.model_config['env_prefix']} and its name" in text


@pytest.mark.parametrize("command", OF_COMMAND)
def test_what_everybody_sets_comes_first(command: str) -> None:
    text = page((command,), 80)
    titles = re.findall(r"^(\S.*):\n  ", text, re.MULTILINE)
    assert titles == [*settings_by_section(settings_of(command)), "Options"]
    first = text.partition("What you set:\n")[2].partition("\n\n")[0]
    assert len(first.splitlines()) <= 18


def test_the_longest_page_is_of_a_length_that_one_reads() -> None:
    assert len(page(("work",), 80).splitlines()) <= 150
    assert max(len(page(words, 80).splitlines()) for words in PAGES) <= 150


def test_a_setting_is_in_one_section() -> None:
    for command in OF_COMMAND:
        kind = settings_of(command)
        listed = [name for names in settings_by_section(kind).values() for name in names]
        assert sorted(listed) == sorted(kind.model_fields)


def test_a_page_on_a_pipe_is_as_at_80_columns() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "seedstream", "work", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.rstrip("\n") == page(("work",), 80)
