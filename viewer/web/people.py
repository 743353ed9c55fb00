"""Who may look: the files of users and tokens, read again when they change."""

import fnmatch
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from contract.errors import ConfigurationError
from contract.yaml_text import RepeatedKeyError, read_yaml
from viewer.web.passwords import check_hash, check_token_hash, hash_token

log = logging.getLogger(__name__)

Role = Literal["viewer", "editor"]

_LOOK_SECONDS = 2.0
"""How soon a change of a file is noticed."""

_MAX_FILE_BYTES = 4 * 2**20
_NAME = re.compile(r"[^\x00-\x20\x7f:]{1,100}")


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the users file.

    Attributes:
        password: As ``seedstream view --hash-password`` prints it; empty for somebody who comes
            only through the proxy that knows them.
        role: What they may do.
        cameras: Ids of cameras that they may see; ``*`` and ``?`` stand for any characters.
    """

    password: str = ""
    role: Role = "viewer"
    cameras: tuple[str, ...] = ("*",)


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the tokens file.

    Attributes:
        token: As ``seedstream view --new-token`` prints it.
        role: What it may do.
        cameras: Ids of cameras that it may see; ``*`` and ``?`` stand for any characters.
    """

    token: str
    role: Role = "viewer"
    cameras: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Visitor:
    """Who asks, and what they may see.

    Attributes:
        name: Name of the user or program; empty without authentication.
        role: What they may do.
        cameras: Patterns of the cameras that they may see.
    """

    name: str
    role: Role
    cameras: tuple[str, ...] = ("*",)

    def sees(self, camera: str) -> bool:
        """Return whether they may see a camera."""
        return self._pattern is None or self._pattern.fullmatch(camera) is not None

    @cached_property
    def _pattern(self) -> "re.Pattern[str] | None":
        if "*" in self.cameras:
            return None
        parts = [fnmatch.translate(_only_stars(each)) for each in self.cameras]
        return re.compile("|".join(parts) or r"(?!)")


ANYBODY = Visitor("", "editor")
"""Whoever asks where there is no authentication: it is the person at this machine."""


class People:
    """The users and programs of both files.

    A file that cannot be used any more leaves what was read before in force, and is told in the
    log: a slip of the pen locks nobody out, and lets nobody in.

    Args:
        users_file: YAML, name -> `Person`; None for no users.
        tokens_file: YAML, name -> `Program`; None for no tokens.
        clock: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: With each fault of the files.
    """

    def __init__(
        self, users_file: Path | None, tokens_file: Path | None, clock: Callable[[], float]
    ) -> None:
        self._files = {"VIEW_USERS_FILE": users_file, "VIEW_TOKENS_FILE": tokens_file}
        self._clock = clock
        self._looked_at = clock()
        self._stamps = self._seen()
        self._users, self._programs = self._read()

    def user(self, name: str) -> Person | None:
        """Return an entry of the users file."""
        self._look()
        return self._users.get(name)

    def program(self, token: str) -> Visitor | None:
        """Return whose token this is.

        The hash is looked up, not the token, so the time it takes tells nothing about a token.
        """
        self._look()
        return self._programs.get(hash_token(token))

    @property
    def has_users(self) -> bool:
        """Whether there is a users file."""
        return self._files["VIEW_USERS_FILE"] is not None

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        stamps = self._seen()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._users, self._programs = self._read()
        except ConfigurationError as error:
            log.error("users and tokens stay as they were: %s", error)
        else:
            log.info("users and tokens read again")

    def _seen(self) -> list[tuple[int, int, int] | None]:
        """Return what tells whether the files have changed."""
        found: list[tuple[int, int, int] | None] = []
        for path in self._files.values():
            try:
                about = None if path is None else path.stat()
            except OSError:
                about = None
            found.append(about and (about.st_mtime_ns, about.st_size, about.st_ino))
        return found

    def _read(self) -> tuple[dict[str, Person], dict[str, Visitor]]:
        faults: list[str] = []
        users = _entries("VIEW_USERS_FILE", self._files["VIEW_USERS_FILE"], _users, faults)
        programs = _entries("VIEW_TOKENS_FILE", self._files["VIEW_TOKENS_FILE"], _programs, faults)
        for name, person in users.items():
            if person.password:
                _checked(
                    faults, f"VIEW_USERS_FILE, {name}: its password", check_hash, person.password
                )
        for name, program in programs.items():
            _checked(
                faults, f"VIEW_TOKENS_FILE, {name}: its token", check_token_hash, program.token
            )
        if faults:
            raise ConfigurationError(faults)
        return users, {
            each.token: Visitor(name, each.role, each.cameras) for name, each in programs.items()
        }


_users = msgspec.json.Decoder(dict[str, Person])
_programs = msgspec.json.Decoder(dict[str, Program])

EntryT = TypeVar("EntryT", Person, Program)


def _entries(
    variable: str,
    path: Path | None,
    decoder: "msgspec.json.Decoder[dict[str, EntryT]]",
    faults: list[str],
) -> dict[str, EntryT]:
    """Read a file; what is wrong with it is added to the faults, without what it says."""
    if path is None:
        return {}
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"longer than {_MAX_FILE_BYTES} bytes")
        said: Any = read_yaml(path.read_text(encoding="utf-8-sig")) or {}
        if not isinstance(said, Mapping):
            raise ValueError("expected a name with its entry on each line")
        found = decoder.decode(
            msgspec.json.encode({str(name): entry for name, entry in said.items()})
        )
    except OSError as error:
        faults.append(f"{variable} is {path}: {error.strerror or error}")
    except RepeatedKeyError as error:
        faults.append(f"{variable} is {path}, line {error.line}: a name or key {error.where}")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        faults.append(f"{variable} is {path}: not YAML{place}")
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        faults.append(f"{variable} is {path}: {error}")
    else:
        bad = [name for name in found if not _NAME.fullmatch(name)]
        faults += [
            f"{variable}: {name!r} is no name: 1 to 100 characters, no blanks" for name in bad
        ]
        return found
    return {}


def _checked(faults: list[str], what: str, check: Callable[[str], None], kept: str) -> None:
    try:
        check(kept)
    except ValueError as error:
        faults.append(f"{what}: {error}")


def _only_stars(pattern: str) -> str:
    """Return a pattern in which brackets stand for themselves."""
    return pattern.replace("[", "[[]")
