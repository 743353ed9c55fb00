"""Command-line options made from a settings class, so that help, environment and pages agree."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from contract.settings import load_settings, settings_by_section


def given_flags(context: typer.Context, *names: str) -> list[str]:
    """Return the flags of those parameters that the command line itself gives."""
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    sources = {name: context.get_parameter_source(name) for name in names}
    return [flags[n] for n, source in sources.items() if source and source.name == "COMMANDLINE"]


def with_settings(
    kind: type[BaseSettings], *, positional: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a Typer command one option for each setting.

    The decorated function takes the validated settings as its first argument; its other parameters
    stay Typer's. An option that is not given leaves the setting to the environment. Passwords have
    no option: a command line is visible to every user of the machine.

    Args:
        kind: The settings class; each field's docstring is its option's help.
        positional: Name of the one setting that is given without a flag.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        optional = dict(_optional_fields(kind))

        @functools.wraps(command)
        def run(**given: Any) -> None:
            own_values = {name: given.pop(name) for name in optional}
            settings = load_settings(kind, positional=positional, **own_values)
            command(settings, **given)

        own = list(inspect.signature(command).parameters.values())[1:]
        options = [
            _parameter(name, title, kind.model_fields[name], flag=name != positional)
            for name, title in optional.items()
        ]
        keyword_only = [
            parameter
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            else parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in own
        ]
        run.__signature__ = inspect.Signature(keyword_only + options)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in keyword_only + options}
        return run

    return decorate


def variable(kind: type[BaseSettings], name: str) -> str:
    """Return the environment variable of a setting."""
    return _prefix(kind) + name.upper()


def default_text(field: FieldInfo) -> str:
    """Return a setting's default as help and reference show it."""
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def environment_rule(
    kind: type[BaseSettings], *, besides: str = "", positional: str | None = None
) -> str:
    """Return the paragraphs below a command's options: how the environment sets the same.

    Args:
        kind: The settings class of the command.
        besides: The command's options that are no settings.
        positional: Name of the one setting that is given without a flag.
    """
    secret = [variable(kind, name) for name in kind.model_fields if _is_password(name)]
    example = next(n for n, _ in _optional_fields(kind) if not kind.model_fields[n].is_required())
    options = f"Each option except {besides}" if besides else "Each option"
    if positional:
        options += f", and {positional.upper()},"
    text = (
        f"{options} is also an environment variable, {_prefix(kind)} and its name in capitals: "
        f"{variable(kind, example)} for {_flag(example)}. An option takes precedence."
    )
    if secret:
        what = "passwords and secrets" if secret[-1].endswith("_SECRET") else "passwords"
        text += f"\n\nOnly the environment sets {what}: {', '.join(secret)}."
    return text


def _prefix(kind: type[BaseSettings]) -> str:
    return str(kind.model_config.get("env_prefix", "")).upper()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _is_password(name: str) -> bool:
    return "password" in name or name.endswith("_secret")


def _optional_fields(kind: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    """Yield the settings that have an option, with their section, in the order of the help."""
    for title, names in settings_by_section(kind).items():
        yield from ((name, title) for name in names if not _is_password(name))


def _parameter(name: str, title: str, field: FieldInfo, *, flag: bool) -> inspect.Parameter:
    option_name = _flag(name)
    help_text = " ".join((field.description or "").split())
    shown_default = default_text(field)
    if shown_default == "required":
        help_text += " [required]"
    elif shown_default != "none":
        help_text += f" [default: {shown_default}]"
    shown: Any = {"help": help_text, "show_default": False, "rich_help_panel": title}
    if field.annotation is bool:
        annotation: Any = Annotated[
            bool | None, typer.Option(f"{option_name}/--no-{option_name[2:]}", **shown)
        ]
    else:
        # Text: the settings class parses it, so that all faults are found and said together.
        metavar = _metavar(field.annotation)
        option = (
            typer.Option(option_name, metavar=metavar, **shown)
            if flag
            else typer.Argument(metavar=name.upper(), **shown)
        )
        annotation = Annotated[str | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"<{'|'.join(str(choice) for choice in get_args(annotation))}>"
    members = [member for member in get_args(annotation) if member is not type(None)]
    if members:
        return _metavar(members[0])
    name = getattr(annotation, "__name__", "")
    return {"int": "<int>", "float": "<float>", "Path": "<path>"}.get(name, "<text>")
