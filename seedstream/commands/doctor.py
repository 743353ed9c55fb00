"""``seedstream doctor``."""

from typing import Annotated

import typer

_EPILOG = (
    "It reads the environment variables of the processes. Unless --producer, --worker or "
    "--viewer is given, it examines each process of which a variable is set. It publishes no "
    "frame, stores nothing and joins no group. If a camera allows only one connection and its "
    "producer is running, use --no-cameras."
    "\n\nExit codes: 0 no fault, 1 faults, 2 invalid settings."
)


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("doctor", help=text, epilog=_EPILOG)
    def doctor(
        worker: Annotated[
            bool, typer.Option("--worker", help="Examine what a worker needs (WORKER_*).")
        ] = False,
        producer: Annotated[
            bool, typer.Option("--producer", help="Examine what a producer needs (PRODUCER_*).")
        ] = False,
        viewer: Annotated[
            bool, typer.Option("--viewer", help="Examine what `render` needs (VIEWER_*).")
        ] = False,
        only: Annotated[
            str | None,
            typer.Option(
                help="Parts, comma-separated: settings, kafka, redis, artifact, clocks, cameras, "
                "machine; default: all."
            ),
        ] = None,
        cameras: Annotated[
            bool, typer.Option(help="Open each camera of the list for a second.")
        ] = True,
        timeout: Annotated[
            float,
            typer.Option(min=1, max=3600, help="Time limit for the whole examination, in seconds."),
        ] = 60.0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        import threading

        from rich.console import Console

        from contract.process import configure_logging, log_dead_thread, silence_kafka_client
        from doctor.app import (
            PROCESSES,
            Choice,
            chosen_parts,
            chosen_processes,
            examination,
            exit_code,
        )
        from doctor.findings_report import as_json as to_json
        from doctor.findings_report import print_table

        configure_logging("doctor", "ERROR", "text")
        silence_kafka_client()
        threading.excepthook = log_dead_thread
        flags = zip(PROCESSES, (producer, worker, viewer), strict=True)
        processes = chosen_processes([name for name, wanted in flags if wanted])
        findings = examination(Choice(processes, chosen_parts(only, cameras), timeout))
        if as_json:
            print(to_json(findings))
        else:
            print_table(findings, Console(highlight=False, soft_wrap=False))
        raise typer.Exit(exit_code(findings))
