"""Every process and the person or manifest that configures it: how settings are read and refused.

Library: pydantic-settings.
"""

import difflib
import inspect
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.errors import ConfigurationError

DAY_SECONDS = 86_400
"""Longest time that anybody waits for a server, a camera or an end: clocks and sockets of every
platform take it."""

YEAR_SECONDS = 365 * DAY_SECONDS
"""Longest age that is asked about: what is older is not told from it."""

log = logging.getLogger(__name__)


class EnvironmentSettings(BaseSettings):
    """Settings that come from environment variables, of which an empty path means none.

    A manifest can so take back a path that another one sets.
    """

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_paths(cls, given: Any) -> Any:
        """Drop them, so that the default applies; a required path is missing then."""
        return {name: value for name, value in given.items() if not cls._is_empty_path(name, value)}

    @classmethod
    def _is_empty_path(cls, name: str, value: object) -> bool:
        if name not in cls.model_fields or not isinstance(value, str) or value.strip():
            return False
        return is_path(cls.model_fields[name].annotation)


def is_path(annotation: object) -> bool:
    """Return whether a setting's type is a path, or a path or none."""
    return annotation is Path or Path in get_args(annotation)


class CommandSettings(EnvironmentSettings):
    """Settings shared by every command.

    A subclass sets ``env_prefix`` and documents each field, with its unit, in a docstring: the
    command line's help and the reference's tables are made from those.
    """

    model_config = SettingsConfigDict(
        frozen=True, use_attribute_docstrings=True, validate_default=True, extra="ignore"
    )

    removed: ClassVar[Mapping[str, str]] = {}
    """Names of removed settings, and what applies instead, for a warning."""

    essential: ClassVar[tuple[str, ...]] = ()
    """What everybody sets: first in the help and in the reference."""

    sections: ClassVar[Mapping[str, str]] = {"log_level": "Logging"}
    """First setting of each section of this class -> the section's title."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level to log."""

    log_format: Literal["json", "text"] = "json"
    """One JSON object per line, or plain text for people."""


class ProcessSettings(CommandSettings):
    """Additional settings of every long-running process."""

    sections: ClassVar[Mapping[str, str]] = {"http_host": "Probes, metrics and shutdown"}

    http_host: str = "0.0.0.0"
    """Address on which /metrics, /healthz and /readyz are served."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it."""

    drain_seconds: float = Field(default=20.0, gt=0, le=DAY_SECONDS)
    """How long work in flight may take to finish after SIGTERM, in seconds."""


ESSENTIAL = "What you set"
"""Title of the settings that everybody needs."""


def settings_by_section(kind: type[BaseSettings]) -> dict[str, list[str]]:
    """Return the names of a class's settings by their section's title, in the order of the help.

    The essential ones come first; each other one is in the section of the class that declared it
    first, below whose first setting it stands: ``KafkaConnection`` has the same for each process.
    """
    essential = list(getattr(kind, "essential", ()))
    found = {ESSENTIAL: essential} if essential else {}
    for declaring in kind.__mro__:
        titles: Mapping[str, str] = vars(declaring).get("sections", {})
        title = "Settings"
        for name in inspect.get_annotations(declaring):
            title = titles.get(name, title)
            inherited = any(
                name in getattr(base, "model_fields", ()) for base in declaring.__bases__
            )
            if name in kind.model_fields and name not in essential and not inherited:
                found.setdefault(title, []).append(name)
    return found


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(
    kind: type[SettingsT], *, positional: str | None = None, **overrides: Any
) -> SettingsT:
    """Read the settings of a process from its environment.

    Args:
        kind: The settings class.
        positional: Name of the setting that the command line gives without a flag, for messages.
        overrides: Values that take precedence over the environment; None leaves a setting to it.

    Raises:
        ConfigurationError: With one line for each invalid setting.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        faults = [_fault(dict(detail), prefix, positional) for detail in error.errors()]
        raise ConfigurationError(faults) from None  # the cause would repeat secret values


def warn_of_unknown_variables(
    kind: type[BaseSettings], environment: Mapping[str, str] = os.environ
) -> None:
    """Name, in one line of the log, the variables with a process's prefix that set nothing.

    They are misspelt or no longer settings, and would go unnoticed. Call once logging is
    configured.

    Args:
        kind: The settings class.
        environment: Environment variables of the process.
    """
    unknown = unknown_variables(kind, environment)
    if unknown:
        told = "; ".join(f"{name} ({advice})" for name, advice in unknown.items())
        log.warning("environment variables without effect: %s", told)


def unknown_variables(
    kind: type[BaseSettings], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the variables with a process's prefix that set nothing, each with what to do.

    Args:
        kind: The settings class.
        environment: Environment variables of the process.
    """
    prefix = str(kind.model_config.get("env_prefix", "")).lower()
    given = [name for name in sorted(environment) if prefix and name.lower().startswith(prefix)]
    unknown = [name for name in given if name.lower().removeprefix(prefix) not in kind.model_fields]
    return {name: _advice(kind, name, prefix) for name in unknown}


def _advice(kind: type[BaseSettings], variable: str, prefix: str) -> str:
    name = variable.lower().removeprefix(prefix)
    removed: Mapping[str, str] = getattr(kind, "removed", {})
    if name in removed:
        return f"no longer a setting: {removed[name]}"
    near = difflib.get_close_matches(name, kind.model_fields, 1)
    return "no such setting" + "".join(f"; {prefix}{each}?".upper() for each in near)


def _fault(detail: dict[str, Any], prefix: str, positional: str | None) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    variable = f"{prefix}{path}".upper()
    if path == positional:
        variable += f" ({path.upper()})"
    elif "password" not in path and not path.endswith("_secret"):  # those have no option
        variable += f" (--{path.replace('_', '-')})"
    if detail["type"] == "missing":
        return f"{variable} is not set: it is required"
    message = str(detail["msg"]).removeprefix("Value error, ")
    secret = any(word in path for word in ("password", "secret", "url"))
    seen = "" if secret or detail["input"] is None else f" is {detail['input']!r}"
    return f"{variable}{seen}: {message}"
