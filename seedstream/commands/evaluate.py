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
_TRACKS = "On a video with true tracks"
_THRESHOLDS = "Thresholds"
"""Titles in the help."""

_OF_DATA = ("layout", "split", "classes", "metric", "limit")
_OF_VIDEO = ("first", "last", "class_name", "iou")
_OF_TRACKS = ("every", "drop", "seed", "appearance", "confirmed_only")


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
            typer.Option(
                rich_help_panel=_VIDEO,
                help="A video, instead of --data; needs --boxes or --tracks.",
            ),
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
                min=0,
                max=1,
                rich_help_panel=_VIDEO,
                help="Minimum intersection over union for matched boxes, 0..1.",
            ),
        ] = 0.5,
        tracks: Annotated[
            Path | None,
            typer.Option(
                rich_help_panel=_TRACKS,
                help="True tracks for --video, instead of --boxes: CSV lines frame,track,x,y,w,h; "
                "pixels, 1-based. Measures the tracker by TrackEval.",
            ),
        ] = None,
        every: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_TRACKS,
                help="Measure at every n-th frame, too, like 2,3.",
            ),
        ] = None,
        drop: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=1,
                rich_help_panel=_TRACKS,
                help="Measure with this share of the frames dropped at random, too, like 0.5.",
            ),
        ] = None,
        seed: Annotated[
            int, typer.Option(min=0, rich_help_panel=_TRACKS, help="Seed of --drop.")
        ] = 0,
        appearance: Annotated[
            bool,
            typer.Option(
                "--appearance/--no-appearance",
                rich_help_panel=_TRACKS,
                help="Whether the tracker looks at colours.",
            ),
        ] = True,
        confirmed_only: Annotated[
            bool,
            typer.Option(
                "--confirmed-only",
                rich_help_panel=_TRACKS,
                help="Leave out boxes of tracks that are not yet confirmed; default: each box that "
                "a result carries counts.",
            ),
        ] = False,
    ) -> None:
        from model.evaluation.evaluator import on_pictures, on_tracks, on_video
        from model.evaluation.thresholds import Tried, parse_numbers

        needless = {
            "--video": given_flags(context, *_OF_VIDEO) if data is not None else [],
            "--data": given_flags(context, *_OF_DATA) if data is None else [],
            "--tracks": given_flags(context, *_OF_TRACKS) if tracks is None else [],
            "--data or --boxes": ["--sweep"] if sweep and tracks is not None else [],
        }
        untried = not sweep and bool(seed_thresholds or min_pixels)
        _check_mode(data, video, boxes, tracks, needless, untried)
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
        if video is not None and tracks is not None:
            from model.evaluation.on_tracks import Choice
            from model.evaluation.on_tracks import Options as TrackOptions

            rates = dict.fromkeys([1, *(parse_numbers(every, int, "--every") or [])])
            if min(rates) < 1:
                raise ConfigurationError(f"--every is {every!r}, expected numbers from 1")
            dropped = [Choice(drop=drop, seed=seed)] if drop else []
            on_tracks(
                model,
                (video, tracks),
                (first, last),
                [*(Choice(rate) for rate in rates), *dropped],
                TrackOptions(
                    score, class_name, iou, provider, precision, resize, appearance, confirmed_only
                ),
                out,
            )
        elif video is not None and boxes is not None:
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
    tracks: Path | None,
    needless: dict[str, list[str]],
    untried: bool,
) -> None:
    faults = []
    if (data is None) == (video is None):
        seen = "neither" if data is None else "both"
        faults.append(f"give either --data or --video with --boxes, found {seen}")
    if (video is None) != (boxes is None and tracks is None):
        faults.append(
            "--video and --boxes go together, or --video and --tracks: give both or neither"
        )
    if boxes is not None and tracks is not None:
        faults.append("give either --boxes or --tracks, found both")
    faults += [
        f"{', '.join(flags)}: use only with {what}" for what, flags in needless.items() if flags
    ]
    if untried:
        faults.append("--seed-thresholds and --min-pixels say what --sweep tries: add --sweep")
    if faults:
        raise ConfigurationError(faults)
