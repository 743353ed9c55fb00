"""``seedstream work``."""

import typer

from seedstream.options import environment_rule, with_settings
from workers.settings import WorkerSettings


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("work", help=text, epilog=environment_rule(WorkerSettings))
    @with_settings(WorkerSettings)
    def work(settings: WorkerSettings) -> None:
        from workers.app import run

        raise typer.Exit(run(settings))
