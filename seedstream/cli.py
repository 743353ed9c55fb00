"""The console command. Subcommands import their package only when they are called."""

import importlib
import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from contract.errors import ConfigurationError, SeedstreamError
from contract.process import EXIT_CONFIGURATION, EXIT_FAILED
from contract.redaction import redact
from seedstream.help_pages import App

COMMANDS = {
    "demo": "Run the whole path on this machine: servers, producer, worker, live table, overlay.",
    "produce": "Decode cameras into the Kafka topic of frames.",
    "probe": "Show what one camera gives: streams, size, rate, rotation, a picture.",
    "work": "Segment frames from Kafka and store the results in Redis.",
    "top": "Show what producers and workers do: fps, latency, drops, lag, the bottleneck stage.",
    "doctor": "Say what is wrong with Kafka, Redis, model, clocks, cameras, and what to do.",
    "plan": "Count partitions, brokers, workers, Redis and producers for a number of cameras.",
    "dead": "List, show and send again the records that workers could not use.",
    "results": "Print what workers found at a camera, as it comes or the newest.",
    "segment": "Segment images or a video offline, with the worker's own engine.",
    "view": "Serve the live page: every camera with its masks, in a browser.",
    "render": "Read frames and results back and write an overlay video and a picture.",
    "stack": "Start and stop a Kafka broker and a Redis-compatible server on this machine.",
    "dataset": "Check a data set: count it, draw it, and name every broken file.",
    "label-from-motion": "Make a data set from fixed-camera videos, without manual labelling.",
    "train": "Train a model from a recipe.",
    "export": "Export a trained checkpoint as a model artifact.",
    "import-checkpoint": "Export a checkpoint in the published layout as a model artifact.",
    "evaluate": "Measure an exported artifact, with the clustering that workers use.",
    "quantize": "Add an int8 file to a model artifact: faster on CPUs with VNNI.",
    "release": "Put a trained model into a store that workers load from.",
    "models": "List, show, compare, promote and roll back models.",
}
"""Subcommand -> one line of help; module ``seedstream.commands.NAME`` (``_`` for ``-``)."""


def build(arguments: list[str]) -> typer.Typer:
    """Return the command-line application for these arguments.

    Only the requested subcommand is imported; the others need no more than their help line, except
    during shell completion.
    """
    app = App(name="seedstream", add_completion=True, pretty_exceptions_enable=False)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    completing = "_SEEDSTREAM_COMPLETE" in os.environ
    for name, text in COMMANDS.items():
        if name == asked or completing:
            module = f"seedstream.commands.{name.replace('-', '_')}"
            importlib.import_module(module).register(app, text)
        else:
            app.command(name, help=text)(_not_called)
    app.callback()(_version)
    return app


def _not_called() -> None:
    raise AssertionError("only the help of this command is registered")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("seedstream"))
        raise typer.Exit


def _version(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Camera streams in, per-pixel object instances out."""


def main() -> None:
    """Run the console command; wrong settings exit with 2, other known failures with 1."""
    arguments = sys.argv[1:]
    app = build(arguments)
    try:
        sys.exit(_run(app, arguments))
    except ConfigurationError as error:
        for fault in error.faults:
            print(redact(f"seedstream: {fault}"), file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)
    except SeedstreamError as error:
        print(redact(f"seedstream: {error}"), file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _run(app: typer.Typer, arguments: list[str]) -> int | None:
    """Run the command; return its exit code, that of Typer for arguments which it refuses."""
    try:
        code: int | None = app(arguments, prog_name="seedstream", standalone_mode=False)
    except typer.Abort:
        print("Aborted!", file=sys.stderr)
        return EXIT_FAILED
    except TyperException as error:
        # It quotes the arguments, and with them the address of a camera in the wrong place.
        refused: Any = error
        refused.message = redact(refused.message)
        refused.show()
        return int(refused.exit_code)
    return code
