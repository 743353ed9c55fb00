"""``seedstream quantize``."""

from pathlib import Path
from typing import Annotated

import typer

from contract.errors import ConfigurationError
from seedstream.options import given_flags

_DATA = "On labelled pictures"
_VIDEO = "On a video with true boxes"
"""Titles in the help."""


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("quantize", help=text)
    def quantize(
        context: typer.Context,
        model: Annotated[
            Path,
            typer.Argument(
                metavar="MODEL", help="Model artifact: a folder NAME/VERSION outside a store."
            ),
        ],
        pictures: Annotated[
            list[Path] | None,
            typer.Option(
                help="Image, video, folder or data set to calibrate on; repeatable; default: the "
                "training part of --data."
            ),
        ] = None,
        data: Annotated[
            Path | None,
            typer.Option(
                rich_help_panel=_DATA, help="Data set whose validation part measures both files."
            ),
        ] = None,
        classes: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_DATA,
                help="Map from classes of --data to classes of the model, like "
                "car=vehicle,rider=ignore; default: those with equal names.",
            ),
        ] = None,
        video: Annotated[
            Path | None,
            typer.Option(rich_help_panel=_VIDEO, help="Video that measures both files."),
        ] = None,
        boxes: Annotated[
            Path | None,
            typer.Option(rich_help_panel=_VIDEO, help="True boxes of the video, CSV."),
        ] = None,
        first: Annotated[
            int, typer.Option(rich_help_panel=_VIDEO, help="First frame, counted from 1.")
        ] = 1,
        last: Annotated[
            int | None, typer.Option(rich_help_panel=_VIDEO, help="Last frame.")
        ] = None,
        class_name: Annotated[
            str, typer.Option("--class", rich_help_panel=_VIDEO, help="Class of the boxes.")
        ] = "person",
    ) -> None:
        from model.evaluation.classes import parse_classes
        from model.export.quantizer import on_boxes, on_data, quantize_artifact

        if data is not None and video is not None:
            raise ConfigurationError("--data and --video both measure: give one of them")
        if data is None and classes is not None:
            raise ConfigurationError("--classes says what the classes of --data are: add --data")
        sources = pictures or ([data] if data is not None else [])
        if not sources:
            raise ConfigurationError("int8 is calibrated on real pictures: give --pictures")
        measure = None
        if data is not None:
            measure = on_data(data, parse_classes(classes))
        elif video is not None:
            if boxes is None or last is None:
                raise ConfigurationError("--video is measured against --boxes up to --last: add it")
            measure = on_boxes(video, boxes, (first, last), class_name)
        elif given := given_flags(context, "boxes", "first", "last", "class_name"):
            raise ConfigurationError(f"{given} say how to measure on a video: add --video")
        quantize_artifact(model, sources, measure)
