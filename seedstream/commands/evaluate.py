"""``seedstream evaluate``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from contract.errors import ConfigurationError
from model.data.layouts import Layout
from seedstream.options import given_flags
from segmentation.engines.choice import PrecisionWanted, Provider

_DATA = "On labelled pictures"
_VIDEO = "On a video with true boxes"
_THRESHOLDS = "Thresholds"
"""Titles in the help."""

_OF_DATA = ("layout", "split", "classes", "metric", "limit")
_OF_VIDEO = ("first", "last", "class_name", "iou")


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("evaluate", help=text)
    def evaluate(
        context: typer.Context,
        model: Annotated[Path, typer.Option(help="Model artifact: a folder NAME/VERSION.")],
        data: Annotated[
            Path | None,
            typer.Option(
                rich_help_panel=_DATA, help="Data set: a folder, or a COCO annotation file."
            ),
        ] = None,
        layout: Annotated[
            Layout,
            typer.Option(
                rich_help_panel=_DATA,
                help="Layout of the data set; auto detects it from the files.",
            ),
        ] = "auto",
        split: Annotated[
            Literal["validation", "all", "train"],
            typer.Option(rich_help_panel=_DATA, help="Part of the data set to use."),
        ] = "validation",
        classes: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_DATA,
                help="Map from classes of the data to classes of the model, like "
                "car=vehicle,person=person,rider=ignore; default: those with equal names.",
            ),
        ] = None,
        metric: Annotated[
            Literal["auto", "average-precision", "cityscapes", "coco"],
            typer.Option(
                rich_help_panel=_DATA,
                help="What to measure; auto: cityscapes on Cityscapes, coco on COCO and YOLO, "
                "average-precision (2018 Data Science Bowl, StarDist) on label maps.",
            ),
        ] = "auto",
        limit: Annotated[
            int | None,
            typer.Option(
                min=1, rich_help_panel=_DATA, help="Maximum pictures, spread over the data."
            ),
        ] = None,
        sweep: Annotated[
            bool,
            typer.Option(
                "--sweep",
                rich_help_panel=_THRESHOLDS,
                help="Try seed thresholds and minimum sizes; store the best, with its figures, in "
                "the artifact.",
            ),
        ] = False,
        seed_thresholds: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_THRESHOLDS,
                help="Seed thresholds to try, 0.5..1, like 0.5,0.7,0.9.",
            ),
        ] = None,
        min_pixels: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_THRESHOLDS,
                help="Minimum sizes to try, in pixels of the model's input, like 32,64; default: "
                "several that suit the input size.",
            ),
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=1,
                rich_help_panel=_THRESHOLDS,
                help="Lowest instance score to count; default: the artifact's.",
            ),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                help="Folder for report.json, report.md and pages of pictures; a name ending in "
                ".json receives only the figures."
            ),
        ] = None,
        provider: Annotated[Provider, typer.Option(help="What runs the network.")] = "auto",
        precision: Annotated[
            PrecisionWanted, typer.Option(help="Which file of the model runs; auto: the fastest.")
        ] = "auto",
        resize: Annotated[
            Literal["letterbox", "stretch", "tile", "auto"],
            typer.Option(help="How to fit the model's input, as in `seedstream segment`."),
        ] = "letterbox",
        video: Annotated[
            Path | None,
            typer.Option(rich_help_panel=_VIDEO, help="A video, instead of --data; needs --boxes."),
        ] = None,
        boxes: Annotated[
            Path | None,
            typer.Option(
                rich_help_panel=_VIDEO,
                help="True boxes for --video: CSV lines frame,track,x,y,w,h; pixels, 1-based.",
            ),
        ] = None,
        first: Annotated[
            int, typer.Option(rich_help_panel=_VIDEO, help="First frame, counted from 1.")
        ] = 301,
        last: Annotated[
            int, typer.Option(rich_help_panel=_VIDEO, help="Last frame, inclusive.")
        ] = 400,
        class_name: Annotated[
            str, typer.Option("--class", rich_help_panel=_VIDEO, help="Class of the boxes.")
        ] = "person",
        iou: Annotated[
            float,
            typer.Option(
                rich_help_panel=_VIDEO,
                help="Minimum intersection over union for matched boxes, 0..1.",
            ),
        ] = 0.5,
    ) -> None:
        from model.evaluation.evaluator import on_pictures, on_video
        from model.evaluation.thresholds import Tried, parse_numbers

        needless = given_flags(context, *(_OF_VIDEO if data is not None else _OF_DATA))
        _check_mode(data, video, boxes, sweep, seed_thresholds, min_pixels, needless)
        tried = Tried(
            parse_numbers(seed_thresholds, float, "--seed-thresholds"),
            parse_numbers(min_pixels, int, "--min-pixels"),
        )
        if data is not None:
            from model.evaluation.classes import parse_classes
            from model.evaluation.on_pictures import Options

            options = Options(
                layout,
                split,
                parse_classes(classes),
                metric,
                score,
                limit,
                provider,
                resize,
                precision,
            )
            raise typer.Exit(on_pictures(model, data, options, tried if sweep else None, out))
        if video is not None and boxes is not None:
            on_video(
                model,
                (video, boxes),
                (first, last),
                out,
                score=score,
                class_name=class_name,
                iou=iou,
                provider=provider,
                precision=precision,
                resize=resize,
                tried=tried if sweep else None,
            )


def _check_mode(
    data: Path | None,
    video: Path | None,
    boxes: Path | None,
    sweep: bool,
    seed_thresholds: str | None,
    min_pixels: str | None,
    needless: list[str],
) -> None:
    faults = []
    if (data is None) == (video is None):
        seen = "neither" if data is None else "both"
        faults.append(f"give either --data or --video with --boxes, found {seen}")
    if (video is None) != (boxes is None):
        faults.append("--video and --boxes go together: give both or neither")
    if needless:
        what = "--video" if data else "--data"
        faults.append(f"{', '.join(needless)}: use only with {what}")
    if not sweep and (seed_thresholds or min_pixels):
        faults.append("--seed-thresholds and --min-pixels say what --sweep tries: add --sweep")
    if faults:
        raise ConfigurationError(faults)
