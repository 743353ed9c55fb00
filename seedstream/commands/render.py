"""``seedstream render``."""

import typer

from seedstream.options import environment_rule, with_settings
from viewer.settings import ViewerSettings


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("render", help=text, epilog=environment_rule(ViewerSettings))
    @with_settings(ViewerSettings)
    def render(settings: ViewerSettings) -> None:
        from viewer.rendering import run

        raise typer.Exit(run(settings))
