"""``seedstream view``."""

import importlib.util
import sys
from typing import Annotated

import typer

from contract.errors import ConfigurationError
from seedstream.options import environment_rule, with_settings
from viewer.web.settings import ViewSettings

_PACKAGES = ("starlette", "uvicorn", "websockets")
_EPILOG = environment_rule(ViewSettings, besides="--hash-password and --new-token")


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("view", help=text, epilog=_EPILOG)
    @with_settings(ViewSettings)
    def view(
        settings: ViewSettings,
        hash_password: Annotated[
            bool,
            typer.Option(
                "--hash-password",
                help="Ask for a password, or read it from standard input, and print what the users "
                "file keeps of it; serve nothing.",
            ),
        ] = False,
        new_token: Annotated[
            bool,
            typer.Option(
                "--new-token",
                help="Print a new token and what the tokens file keeps of it; serve nothing.",
            ),
        ] = False,
    ) -> None:
        if hash_password:
            _print_hash()
            return
        if new_token:
            _print_token()
            return
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigurationError(
                f"the live page needs {', '.join(missing)}: install with "
                "`pip install 'seedstream[view]'`"
            )
        from viewer.web.app import run

        raise typer.Exit(run(settings))


def _print_hash() -> None:
    from viewer.web.passwords import MAX_CHARACTERS, MIN_CHARACTERS, hash_password

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise ConfigurationError(
            f"the password has {len(password)} characters: expected {MIN_CHARACTERS} to "
            f"{MAX_CHARACTERS}"
        )
    print(hash_password(password))


def _print_token() -> None:
    from viewer.web.passwords import hash_token, new_token

    token = new_token()
    print(f"token, for the program: {token}\nfor the tokens file:    {hash_token(token)}")
