"""``seedstream segment``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from segmentation.engines.choice import PrecisionWanted, Provider


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("segment", help=text)
    def segment(
        inputs: Annotated[
            list[Path],
            # One that may not be read is told among the others.
            typer.Argument(metavar="INPUT", help="Images and videos.", readable=False),
        ],
        model: Annotated[Path, typer.Option(help="Model artifact: a folder NAME/VERSION.")],
        out: Annotated[Path, typer.Option(help="Output folder.")] = Path("masks"),
        score: Annotated[
            float | None,
            typer.Option(
                min=0, max=1, help="Lowest instance score to report, 0..1; default: the artifact's."
            ),
        ] = None,
        provider: Annotated[Provider, typer.Option(help="What runs the network.")] = "auto",
        precision: Annotated[
            PrecisionWanted, typer.Option(help="Which file of the model runs; auto: the fastest.")
        ] = "auto",
        resize: Annotated[
            Literal["letterbox", "stretch", "tile", "auto"],
            typer.Option(
                help="How to fit the model's input: letterbox scales and pads; tile cuts what is "
                "larger into overlapping tiles at native scale, which find small objects and cost "
                "a network run each; auto tiles unless objects are huge."
            ),
        ] = "letterbox",
        black: Annotated[
            float | None,
            typer.Option(
                help="Brightness shown as black in pictures of over 8 bits; default: the file's "
                "darkest."
            ),
        ] = None,
        white: Annotated[
            float | None,
            typer.Option(
                help="Brightness shown as white in them, e.g. 4095; default: the file's brightest."
            ),
        ] = None,
        batch_size: Annotated[
            int, typer.Option(min=1, max=256, help="Video frames per network batch.")
        ] = 1,
        threads: Annotated[
            int, typer.Option(min=0, help="CPU threads for the network; 0: ONNX Runtime's choice.")
        ] = 0,
        track: Annotated[
            bool,
            typer.Option(
                "--track/--no-track",
                help="Whether objects of a video keep a number from frame to frame.",
            ),
        ] = True,
        track_appearance: Annotated[
            bool,
            typer.Option(
                "--track-appearance/--no-track-appearance",
                help="Whether tracking looks at colours.",
            ),
        ] = True,
        tracks: Annotated[
            Path | None,
            typer.Option(help="File for the tracks of the video, as MOTChallenge text."),
        ] = None,
    ) -> None:
        from contract.process import configure_logging
        from media.brightness import Levels
        from viewer.segment_files import segment

        # Tiles are a cost, which the log states.
        configure_logging("segment", "INFO" if resize in ("tile", "auto") else "WARNING", "text")
        raise typer.Exit(
            segment(
                inputs,
                model,
                out,
                score,
                provider,
                precision=precision,
                resize=resize,
                levels=Levels(black, white),
                batch_size=batch_size,
                intra_op_threads=threads,
                track=track,
                track_appearance=track_appearance,
                tracks=tracks,
            )
        )
