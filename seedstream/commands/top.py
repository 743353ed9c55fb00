"""``seedstream top``."""

from typing import Annotated

import typer

_EPILOG = (
    "It reads the /metrics pages of producers and workers; a worker's bottleneck is the stage that "
    "works most of the time while the others wait for it."
    "\n\nExit codes: 0 all answered, 1 a process did not (with --once), 2 invalid arguments."
)


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("top", help=text, epilog=_EPILOG)
    def top(
        addresses: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="ADDRESS",
                help="HOST:PORT, PORT or URL of a process's metrics; default: 127.0.0.1:8080.",
                show_default=False,
            ),
        ] = None,
        interval: Annotated[
            float,
            typer.Option(min=0.1, max=3600, help="Seconds between two looks; rates are over them."),
        ] = 2.0,
        once: Annotated[bool, typer.Option("--once", help="Print one report and end.")] = False,
    ) -> None:
        from contract.process import EXIT_FAILED, EXIT_OK
        from viewer.top_screen import run_top

        try:
            answered = run_top(addresses or ["127.0.0.1:8080"], interval, once=once)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_OK) from None
        raise typer.Exit(EXIT_OK if answered else EXIT_FAILED)
