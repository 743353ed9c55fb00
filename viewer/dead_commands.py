"""The work of ``seedstream dead list | show | replay``."""

import json
from collections.abc import Callable
from pathlib import Path

from contract.errors import ConfigurationError
from contract.process import EXIT_FAILED, EXIT_OK, configure_logging
from contract.settings import warn_of_unknown_variables
from viewer.dead_replay import replay
from viewer.dead_report import (
    Found,
    as_json,
    as_lines,
    as_table,
    collect,
    described,
    picture_or_why,
    summary,
)
from viewer.dead_topic import Choice, parse_id, read_letters
from viewer.settings import DeadSettings

Say = Callable[[str], None]
"""Prints lines."""


def list_letters(
    settings: DeadSettings, choice: Choice, limit: int, say: Say, *, json_wanted: bool
) -> int:
    """Print the newest letters, and how many there are of each reason.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    found = _found(settings, choice, limit)
    say(as_json(found) if json_wanted else "\n".join(as_table(found)))
    return EXIT_OK


def show_letter(
    settings: DeadSettings, letter_id: str, picture: Path | None, say: Say, *, json_wanted: bool
) -> int:
    """Print one letter, and write its picture.

    Returns:
        Exit code: 1 where there is no such letter, or no picture in it though one is asked for.

    Raises:
        ConfigurationError: The id or the picture's name is none.
        UnavailableError: Kafka does not answer.
    """
    _begin(settings)
    parse_id(letter_id)
    letters = read_letters(settings, settings.topic, [letter_id])
    letter = next((each for each in letters if each.id == letter_id), None)
    if letter is None:
        say(
            f"no dead letter {letter_id} in {settings.topic}: retention may have removed it; "
            "`seedstream dead list` shows those that are there"
        )
        return EXIT_FAILED
    about, lines, code = described(letter), as_lines(letter), EXIT_OK
    if picture is not None:
        written, said = picture_or_why(letter, picture)
        code = EXIT_OK if written else EXIT_FAILED
        about["picture"] = said.removeprefix("picture: ")
        lines.append(said)
    say(json.dumps(about, indent=2) if json_wanted else "\n".join(lines))
    return code


def replay_letters(
    settings: DeadSettings,
    choice: Choice,
    limit: int,
    say: Say,
    *,
    dry_run: bool,
    confirmed: Callable[[str], bool],
) -> int:
    """Send letters again, the oldest first.

    Args:
        settings: Where they are.
        choice: Which ones.
        limit: More than so many are refused.
        say: Prints a line.
        dry_run: Only say what would be sent.
        confirmed: Asked before anything is sent.

    Returns:
        Exit code: 1 where one could not be sent, or none was found.

    Raises:
        ConfigurationError: Too many, or Kafka refuses access.
        UnavailableError: Kafka does not answer.
    """
    found = _found(settings, choice, limit)
    if found.count > limit:
        raise ConfigurationError(
            f"{summary(found)}: more than --limit {limit}; choose fewer, or raise it"
        )
    say("\n".join(as_table(found)))
    if not found.count:
        return EXIT_FAILED
    targets = ", ".join(sorted({letter.topic for letter in found.letters}))
    if dry_run:
        say(f"nothing sent; without --dry-run, they would go to {targets}")
        return EXIT_OK
    if not confirmed(f"Send {found.count} record{'s' * (found.count != 1)} to {targets} again?"):
        say("nothing sent")
        return EXIT_FAILED
    ids = frozenset(letter.id for letter in found.letters)
    letters = (each for each in read_letters(settings, settings.topic, ids) if each.id in ids)
    counts = replay(letters, settings, settings.topic)
    for letter_id, why in counts.refused.items():
        say(f"{letter_id} not sent: {why}")
    gone = len(ids) - counts.sent - len(counts.refused)
    left = f"; {gone} removed from {settings.topic} by retention meanwhile" if gone else ""
    say(f"{counts.sent} of {len(ids)} sent again{left}; all stay in {settings.topic}")
    return EXIT_OK if counts.sent == len(ids) else EXIT_FAILED


def _found(settings: DeadSettings, choice: Choice, limit: int) -> Found:
    _begin(settings)
    for each in choice.ids:
        parse_id(each)
    return collect(read_letters(settings, settings.topic, choice.ids), choice, limit)


def _begin(settings: DeadSettings) -> None:
    configure_logging("dead", settings.log_level, settings.log_format)
    warn_of_unknown_variables(type(settings))
