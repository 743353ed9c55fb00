"""``seedstream view``."""

import importlib.util

import typer

from contract.errors import ConfigurationError
from seedstream.options import environment_rule, with_settings
from viewer.web.settings import ViewSettings

_PACKAGES = ("starlette", "uvicorn", "websockets")


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("view", help=text, epilog=environment_rule(ViewSettings))
    @with_settings(ViewSettings)
    def view(settings: ViewSettings) -> None:
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigurationError(
                f"the live page needs {', '.join(missing)}: install them with "
                "`pip install 'seedstream[view]'`"
            )
        from viewer.web.app import run

        raise typer.Exit(run(settings))
