"""``seedstream train``."""

import os
from collections.abc import Mapping
from typing import ClassVar

import typer

from model.training.settings import TrainSettings
from seedstream.help_pages import Command
from seedstream.options import environment_rule, with_settings


class _Train(Command):
    once: ClassVar[Mapping[str, str]] = {
        "data": "to learn from several data sets, give the folder that contains them, and name "
        "each as one of the recipe's [[sources]]"
    }


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command(
        "train",
        help=text,
        epilog=environment_rule(TrainSettings, positional="recipe"),
        cls=_Train,
    )
    @with_settings(TrainSettings, positional="recipe")
    def train(settings: TrainSettings) -> None:
        from contract.process import configure_logging
        from contract.settings import warn_of_unknown_variables
        from model.export.artifact_weights import read_weights
        from model.training.trainer import train

        configure_logging("train", style="text")
        warn_of_unknown_variables(type(settings))
        best = train(settings, read_weights)
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            print(f"wrote {best}")
