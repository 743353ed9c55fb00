"""``seedstream produce``."""

from typing import Annotated

import typer

from contract.settings import ESSENTIAL
from producer.settings import ProducerSettings
from seedstream.options import environment_rule, with_settings


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command(
        "produce", help=text, epilog=environment_rule(ProducerSettings, besides="--camera")
    )
    @with_settings(ProducerSettings)
    def produce(
        settings: ProducerSettings,
        camera: Annotated[
            list[str] | None,
            typer.Option(
                "--camera",
                metavar="ID=URL",
                rich_help_panel=ESSENTIAL,
                help="A camera: rtsp://, rtmp://, http://, udp://, a file, /dev/videoN or test:. "
                "Repeatable; added to those in --config.",
            ),
        ] = None,
    ) -> None:
        from producer.app import run

        raise typer.Exit(run(settings, camera or []))
