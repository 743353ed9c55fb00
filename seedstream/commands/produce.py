"""``seedstream produce``."""

from typing import Annotated

import typer

from producer.settings import ProducerSettings
from seedstream.options import with_settings


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("produce", help=text)
    @with_settings(ProducerSettings)
    def produce(
        settings: ProducerSettings,
        camera: Annotated[
            list[str] | None,
            typer.Option(
                "--camera",
                metavar="ID=URL",
                help="A camera: rtsp://, http://, udp://, a file, /dev/videoN or test:. "
                "Repeatable; added to those in --config.",
            ),
        ] = None,
    ) -> None:
        from producer.app import run

        raise typer.Exit(run(settings, camera or []))
