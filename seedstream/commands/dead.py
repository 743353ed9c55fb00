"""``seedstream dead list | show | replay``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from contract.settings import YEAR_SECONDS
from seedstream.help_pages import App
from seedstream.options import environment_rule, with_settings
from viewer.settings import DeadSettings

_Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
_Camera = Annotated[str | None, typer.Option(help="Only those whose key is this camera.")]
_LastSeconds = Annotated[
    float | None,
    typer.Option(min=0, max=YEAR_SECONDS, help="Only those written within this many seconds."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_REPLAYED = """\
A record is sent with its original key and headers, and the header seedstream_replay_of, which names
the dead letter. Replaying it twice sends it twice.

Workers treat it like any other frame: in `live` mode it is usually too old, and one older than its
camera's latest result in Redis is skipped as out_of_order.

"""


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    group = App(help=text)
    app.add_typer(group, name="dead")

    @group.command(
        "list",
        help="List dead letters, each once: reason, camera, original position.",
        epilog=environment_rule(
            DeadSettings, besides="--reason, --camera, --last-seconds, --limit and --json"
        ),
    )
    @with_settings(DeadSettings)
    def list_letters(
        settings: DeadSettings,
        reason: _Reason = None,
        camera: _Camera = None,
        last_seconds: _LastSeconds = None,
        limit: Annotated[
            int, typer.Option(min=1, max=100_000, help="List at most this many, the newest ones.")
        ] = 50,
        as_json: _Json = False,
    ) -> None:
        from viewer.dead_commands import list_letters
        from viewer.dead_topic import Choice

        choice = Choice(reason=reason, camera=camera, since=_since(last_seconds))
        _quiet(settings)
        raise typer.Exit(list_letters(settings, choice, limit, typer.echo, json_wanted=as_json))

    @group.command(
        "show",
        help="Show one dead letter in full; with --picture, save its picture.",
        epilog=environment_rule(DeadSettings, besides="--picture and --json"),
    )
    @with_settings(DeadSettings)
    def show(
        settings: DeadSettings,
        letter: Annotated[
            str, typer.Argument(metavar="ID", help="PARTITION:POSITION, as the list shows it.")
        ],
        picture: Annotated[
            Path | None, typer.Option(help="PNG or JPEG file to write the picture to.")
        ] = None,
        as_json: _Json = False,
    ) -> None:
        from viewer.dead_commands import show_letter

        _quiet(settings)
        raise typer.Exit(show_letter(settings, letter, picture, typer.echo, json_wanted=as_json))

    @group.command(
        "replay",
        help="Send records to their original topic again; the dead letters remain.",
        epilog=_REPLAYED
        + environment_rule(
            DeadSettings,
            besides="--all, --reason, --camera, --last-seconds, --limit, --dry-run and --yes",
        ),
    )
    @with_settings(DeadSettings)
    def replay(
        settings: DeadSettings,
        ids: Annotated[
            list[str] | None, typer.Argument(metavar="ID", help="Ids, as the list shows them.")
        ] = None,
        everything: Annotated[
            bool, typer.Option("--all", help="All dead letters in the topic.")
        ] = False,
        reason: _Reason = None,
        camera: _Camera = None,
        last_seconds: _LastSeconds = None,
        limit: Annotated[
            int,
            typer.Option(min=1, max=100_000, help="Send nothing if there are more than this many."),
        ] = 100,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only show what would be sent.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    ) -> None:
        from contract.errors import ConfigurationError
        from viewer.dead_commands import replay_letters
        from viewer.dead_topic import Choice

        chosen = Choice(
            ids=frozenset(ids or ()), reason=reason, camera=camera, since=_since(last_seconds)
        )
        if everything == (chosen != Choice()):
            raise ConfigurationError(
                "which dead letters? Give ids, or any of --reason, --camera and --last-seconds, or "
                "--all alone"
            )
        _quiet(settings)
        code = replay_letters(
            settings,
            chosen,
            limit,
            typer.echo,
            dry_run=dry_run,
            confirmed=lambda question: yes or typer.confirm(question),
        )
        raise typer.Exit(code)


def _quiet(settings: DeadSettings) -> None:
    """Leave the log of Kafka's client out, unless everything is to be logged."""
    from contract.process import silence_kafka_client

    if settings.log_level != "DEBUG":
        silence_kafka_client()


def _since(last_seconds: float | None) -> datetime | None:
    return None if last_seconds is None else datetime.now(UTC) - timedelta(seconds=last_seconds)
