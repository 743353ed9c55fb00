"""``seedstream demo``."""

from pathlib import Path
from typing import Annotated

import typer

from contract.settings import DAY_SECONDS
from stack.broker_choice import BrokerKind
from stack.demo.settings import DemoOptions

_DEFAULTS = DemoOptions()

_SHIPPED = "the shipped one"
"""In the help instead of where this installation has it."""


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("demo", help=text)
    def demo(
        seconds: Annotated[
            float,
            typer.Option(
                min=0, max=DAY_SECONDS, help="How long to run, in seconds; 0: until Ctrl-C."
            ),
        ] = _DEFAULTS.seconds,
        broker: Annotated[
            BrokerKind,
            typer.Option(
                help="Apache Kafka, the embedded broker, or auto: Kafka if Java is installed."
            ),
        ] = _DEFAULTS.broker,
        bootstrap_servers: Annotated[
            str | None,
            typer.Option(help="Use this running Kafka (HOST:PORT) instead of starting one."),
        ] = None,
        redis_url: Annotated[
            str | None,
            typer.Option(help="Use this running Redis (redis://...) instead of starting one."),
        ] = None,
        out: Annotated[
            Path,
            typer.Option(help="Output folder for the overlay videos, the pictures and the logs."),
        ] = _DEFAULTS.out,
        model: Annotated[
            Path,
            typer.Option(help="Model artifact: a folder NAME/VERSION.", show_default=_SHIPPED),
        ] = _DEFAULTS.model,
        video: Annotated[
            Path,
            typer.Option(help="Video to loop as the camera `street`.", show_default=_SHIPPED),
        ] = _DEFAULTS.video,
        fps: Annotated[
            float, typer.Option(min=0.1, help="Frames per second of each camera.")
        ] = _DEFAULTS.fps,
    ) -> None:
        from stack.demo.app import run_demo

        options = DemoOptions(
            seconds=seconds,
            broker=broker,
            bootstrap_servers=bootstrap_servers,
            redis_url=redis_url,
            out=out,
            model=model,
            video=video,
            fps=fps,
        )
        raise typer.Exit(run_demo(options))
