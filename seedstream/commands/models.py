"""``seedstream models``: runs without torch, for instance inside a worker's image."""

from pathlib import Path
from typing import Annotated

import typer

from contract.errors import ConfigurationError
from contract.result_keys import check_prefix
from seedstream.help_pages import App
from seedstream.options import environment_rule, with_settings
from seedstream.results.results_settings import ResultsSettings

_Store = Annotated[Path, typer.Option(help="Folder that holds NAME/VERSION/model.onnx.")]
_DEFAULT_STORE = Path("artifacts")
_EPILOG = (
    "Exit codes: 0 they were compared, whatever was found; 1 a lane has no results, or none of the "
    "same frames, or Redis stays away; 2 invalid settings or refused access.\n\n"
)
_OWN = "--camera, --since, --count, --iou, --worst and --json"
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    models = App(help=text)
    app.add_typer(models, name="models")

    @models.command("list")
    def list_models(store: _Store = _DEFAULT_STORE) -> None:
        """List all versions; a star marks the one that workers load."""
        from model.registry.listing import table
        from model.registry.store import Store

        print(table(Store(store)))

    @models.command("show")
    def show(
        model: Annotated[str, typer.Argument(help="NAME or NAME/VERSION.", metavar="MODEL")],
        store: _Store = _DEFAULT_STORE,
    ) -> None:
        """Check a version's files and print its card; without VERSION, the current one's."""
        from model.registry.listing import describe
        from model.registry.store import Store

        name, _, version = model.partition("/")
        print(describe(Store(store).card(name, version or None)))

    @models.command("promote")
    def promote(
        name: _Name,
        version: Annotated[str, typer.Argument(metavar="VERSION", help="Version to promote.")],
        store: _Store = _DEFAULT_STORE,
    ) -> None:
        """Check a version's files and make it the one that workers load."""
        from model.registry.store import Store

        Store(store).promote(name, version)
        print(f"{name}: current is {version}")

    @models.command("rollback")
    def rollback(name: _Name, store: _Store = _DEFAULT_STORE) -> None:
        """Make the previously current version current again."""
        from model.registry.store import Store

        print(f"{name}: current is {Store(store).rollback(name)}")

    @models.command("compare", epilog=_EPILOG + environment_rule(ResultsSettings, besides=_OWN))
    @with_settings(ResultsSettings)
    def compare(
        settings: ResultsSettings,
        other: Annotated[
            str,
            typer.Argument(
                metavar="PREFIX",
                help="WORKER_RESULT_PREFIX of the second lane; that of the first: --result-prefix.",
            ),
        ],
        camera: Annotated[
            list[str] | None,
            typer.Option(help="Compare this camera alone; may be given several times."),
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(
                help="Only frames captured then or later: 90s, 5m, 2h or 1d ago, or a time (ISO "
                "8601, UTC without a zone)."
            ),
        ] = None,
        count: Annotated[
            int, typer.Option(min=1, max=100_000, help="At most so many of a camera's newest.")
        ] = 1000,
        iou: Annotated[
            float, typer.Option(min=0.05, max=1, help="Least overlap of two masks of one object.")
        ] = 0.5,
        worst: Annotated[
            int, typer.Option(min=0, max=1000, help="Name so many frames that differ most.")
        ] = 10,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Hold a second lane's results against the first's, frame by frame, before a promotion."""
        from seedstream.lanes.compare_command import run_compare
        from seedstream.lanes.lane_comparison import Question
        from seedstream.results.results_report import moment_of

        try:
            check_prefix(other)
        except ValueError as error:
            raise ConfigurationError(f"PREFIX is {other!r}: {error}") from None
        moment = None if since is None else moment_of(since)
        question = Question(settings, other, tuple(camera or ()), moment, count, iou, worst)
        raise typer.Exit(run_compare(settings, question, as_json=as_json))
