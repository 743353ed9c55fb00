"""``seedstream results``."""

from typing import Annotated

import typer

from seedstream.options import environment_rule, with_settings
from seedstream.results.results_settings import ResultsSettings

_EPILOG = (
    "Exit codes: 0 results were printed, also when Ctrl-C ends --follow; 1 the camera has none, or "
    "Redis stays away; 2 invalid settings or refused access.\n\n"
)


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command(
        "results",
        help=text,
        epilog=_EPILOG
        + environment_rule(ResultsSettings, besides="--follow, --since, --count and --json"),
    )
    @with_settings(ResultsSettings)
    def results(
        settings: ResultsSettings,
        camera: Annotated[str, typer.Argument(metavar="CAMERA", help="Camera id.")],
        follow: Annotated[
            bool, typer.Option("--follow", help="Go on with the results that come, until Ctrl-C.")
        ] = False,
        since: Annotated[
            str | None,
            typer.Option(
                help="Begin with results captured then: 90s, 5m, 2h or 1d ago, or a time "
                "(ISO 8601, UTC without a zone)."
            ),
        ] = None,
        count: Annotated[
            int, typer.Option(min=1, max=100_000, help="Show at most so many, the newest.")
        ] = 20,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON document a line.")
        ] = False,
    ) -> None:
        from contract.process import EXIT_OK
        from seedstream.results.results_report import run_results

        try:
            code = run_results(
                settings, camera, follow=follow, since=since, count=count, as_json=as_json
            )
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_OK) from None
        raise typer.Exit(code)
