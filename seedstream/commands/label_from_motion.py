"""``seedstream label-from-motion``."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from model.motion.make import Summary
    from model.motion.motion_options import Options
    from model.motion.stored_frames import Progress

_FRAMES = "Frames"
_OBJECTS = "What counts as one object"
"""Titles in the help."""

HELP = (
    "\n\nWhat moves in front of a fixed camera is cut out of its background and becomes a data set "
    "of label maps for `seedstream train`. What moves but is not clearly one object (pairs, parts) "
    "is marked as ignored. Look at sheet.jpg and cutouts.jpg of each scene before you train: "
    "only you can tell whether the masks are right."
    "\n\nIt cannot handle moving cameras, crowds that never reveal the background, objects that "
    "stand still most of the time (outline them as `parked`, or name an empty stretch with "
    "--background), or two kinds of moving things in one video (all get the same class, unless "
    "the other kind is outside the limits)."
    "\n\nAll options, with polygons of posts and parked things, are explained in "
    "docs/train/labels-from-a-camera.md."
)


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("label-from-motion", help=text + HELP)
    def label_from_motion(
        videos: Annotated[
            list[Path], typer.Argument(metavar="VIDEO", help="Videos of fixed cameras.")
        ],
        out: Annotated[Path, typer.Option(help="Output folder for the data set.")],
        class_name: Annotated[
            str | None, typer.Option("--class", help="Class of the moving objects, like person.")
        ] = None,
        options: Annotated[
            Path | None,
            typer.Option(help="TOML file with options; the command line takes precedence."),
        ] = None,
        preset: Annotated[
            Literal["person", "vehicle", "any"] | None,
            typer.Option(
                rich_help_panel=_OBJECTS, help="Shape of the moving objects; default: from --class."
            ),
        ] = None,
        first: Annotated[
            int | None,
            typer.Option(rich_help_panel=_FRAMES, min=1, help="First frame, counted from 1."),
        ] = None,
        last: Annotated[
            int | None, typer.Option(rich_help_panel=_FRAMES, min=1, help="Last frame, inclusive.")
        ] = None,
        step: Annotated[
            int | None,
            typer.Option(
                rich_help_panel=_FRAMES,
                min=1,
                help="Use every Nth frame; default: chosen to fit --max-frames.",
            ),
        ] = None,
        max_frames: Annotated[
            int | None,
            typer.Option(
                rich_help_panel=_FRAMES, min=20, help="Maximum frames per video; default: 1000."
            ),
        ] = None,
        background: Annotated[
            str | None,
            typer.Option(
                rich_help_panel=_FRAMES,
                metavar="FIRST-LAST",
                help="Frames in which no object stands still.",
            ),
        ] = None,
        validation: Annotated[
            float | None,
            typer.Option(
                rich_help_panel=_FRAMES,
                min=0,
                max=0.5,
                help="Share of the labelled objects kept for validation, in several stretches.",
            ),
        ] = None,
        threshold: Annotated[
            float | None,
            typer.Option(
                rich_help_panel=_OBJECTS, help="Minimum difference from the background, 0..255."
            ),
        ] = None,
        min_pixels: Annotated[
            float | None,
            typer.Option(
                rich_help_panel=_OBJECTS, help="Smallest object: pixels, or share of the picture."
            ),
        ] = None,
        max_pixels: Annotated[
            float | None,
            typer.Option(
                rich_help_panel=_OBJECTS, help="Largest object: pixels, or share of the picture."
            ),
        ] = None,
        height_tolerance: Annotated[
            float | None,
            typer.Option(
                rich_help_panel=_OBJECTS,
                help="Accepted deviation from the expected height; 0: any height.",
            ),
        ] = None,
        upside_down: Annotated[
            bool | None,
            typer.Option(
                "--upside-down", help="The camera looks straight down: flip in any direction."
            ),
        ] = None,
        add: Annotated[bool, typer.Option("--add", help="Add to an existing data set.")] = False,
        force: Annotated[
            bool,
            typer.Option(
                "--force",
                help="Keep labels that are hardly believable; the data set warns of them.",
            ),
        ] = False,
        compose: Annotated[
            int, typer.Option(min=0, help="Also compose N crowded pictures in OUT-composed.")
        ] = 0,
        seed: Annotated[int, typer.Option(min=0, help="Random seed of the composed pictures.")] = 0,
    ) -> None:
        from model.motion.composed import composed_folder
        from model.motion.options_file import load_options, parse_range
        from stack.interrupts import interruptible

        chosen = load_options(
            options,
            **{"class": class_name},
            preset=preset,
            first=first,
            last=last,
            step=step,
            max_frames=max_frames,
            background=None if background is None else parse_range(background),
            validation=validation,
            upside_down=upside_down,
            motion={
                "threshold": threshold,
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "height_tolerance": height_tolerance,
            },
        )
        command = shlex.join(["seedstream", *sys.argv[1:]])
        composed = composed_folder(out) if compose else None
        # What is not finished yet is removed before the command ends.
        with interruptible(once=True):
            _make(dict.fromkeys(videos, chosen), out, command, add=add, force=force)
            if composed:
                _compose(out, composed, compose, seed)


def _make(
    videos: "dict[Path, Options]", out: Path, command: str, *, add: bool, force: bool
) -> None:
    from model.motion.make import label_from_motion
    from model.motion.sheets import write_sheets

    with _progress() as progress:
        summaries = label_from_motion(
            videos, out, add=add, force=force, command=command, progress=progress
        )
    for one in summaries:
        print(_describe(one))
        print(f"  look at            {', '.join(str(path) for path in write_sheets(out, one))}")
    print(f"wrote {out}")


def _compose(out: Path, composed: Path, count: int, seed: int) -> None:
    from model.motion.composed import write_composed

    with _progress() as progress:
        write_composed(out, composed, count, seed, progress)
    print(f"wrote {composed}: {count} composed pictures")


@contextlib.contextmanager
def _progress() -> "Iterator[Progress]":
    """Yield what moves a bar on the screen; on a pipe nothing is shown."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("")

        def update(text: str, done: int, whole: int) -> None:
            bars.update(task, description=text, completed=done, total=whole)

        yield update


def _describe(one: "Summary") -> str:
    height, width = one.size
    lines = [
        f"{one.name}: {one.frames} frames of {width}x{height}, {one.validation} of them validate",
        f"  labelled objects   {one.objects} ({one.objects / max(one.frames, 1):.1f} a frame)",
        f"  cut-outs           {one.cut_outs}",
        f"  ignored            {one.ignored:.1%} of the pixels, {sum(one.unclear.values())} pieces",
        *(f"    {count:>7} {reason}" for reason, count in one.unclear.items()),
    ]
    if one.perspective is not None:
        slope, intercept = one.perspective
        lines.append(f"  perspective        height = {slope:.3f} x row {intercept:+.1f} pixels")
    seen = one.evidence
    lines.append(f"  objects            {one.pixels[0]:.0f} to {one.pixels[1]:.0f} pixels")
    lines.append(f"  explained          {seen.explained:.0%} of what moves")
    if seen.tracks is not None:
        length = f", {seen.seconds:.0f} seconds" if seen.seconds else ""
        lines.append(f"  seen               {seen.tracks} different objects{length}")
    if one.changed:
        lines.append(f"  left out           {one.changed} frames in which the light changed")
    lines += [f"  warning            {text}" for text in one.warnings]
    return "\n".join(lines)
