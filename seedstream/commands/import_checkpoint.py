"""``seedstream import-checkpoint``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seedstream.commands.export import parse_size


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("import-checkpoint", help=text)
    def import_checkpoint(
        file: Annotated[
            Path,
            typer.Argument(metavar="FILE", help="File with the weights of a published network."),
        ],
        classes: Annotated[str, typer.Option(help="Comma-separated class names, in order.")],
        name: Annotated[
            str | None, typer.Option(help="Name of the model; default: the file's.")
        ] = None,
        version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
        out: Annotated[Path, typer.Option(help="Output folder for NAME/VERSION.")] = Path(
            "artifacts"
        ),
        input_size: Annotated[
            str, typer.Option(help="Input size HEIGHTxWIDTH in pixels, multiples of 8.")
        ] = "1024x2048",
        seed_threshold: Annotated[
            float,
            typer.Option(min=0, max=1, help="Lowest seed score that starts an instance, 0..1."),
        ] = 0.9,
        score: Annotated[
            float,
            typer.Option(min=0, max=1, help="Lowest instance score to report by default, 0..1."),
        ] = 0.5,
        min_pixels: Annotated[
            int, typer.Option(min=1, help="Smallest instance, in pixels of the input.")
        ] = 128,
        training_data: Annotated[
            str, typer.Option(help="Origin, data and licences, for the artifact's card.")
        ] = "",
        precision: Annotated[
            Literal["float32", "float16", "int8"],
            typer.Option(help="Precision of the weights; int8 needs --pictures."),
        ] = "float16",
        pictures: Annotated[
            list[Path] | None,
            typer.Option(help="Image, video or folder to verify the file on; repeatable."),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option(help="Replace an existing artifact of that name and version.")
        ] = False,
    ) -> None:
        from model.export.exporter import ExportOptions, export_checkpoint
        from model.net.published import as_checkpoint

        names = [each.strip() for each in classes.split(",")]
        height, width = parse_size(input_size)
        state = as_checkpoint(
            file,
            names,
            input_size=[height, width],
            seed_threshold=seed_threshold,
            score_threshold=score,
            min_pixels=min_pixels,
            training_data=training_data or f"imported from {file.name}, origin not stated",
        )
        options = ExportOptions(precision=precision, pictures=pictures or ())
        done = export_checkpoint(
            state, out, name or file.stem, version, options, overwrite=overwrite
        )
        print(f"wrote {done.folder}: heads {[2 + state.n_sigma, len(names)]}, {precision}")
        print(f"against PyTorch: {done.comparison}")
        print(
            f"The licence of {file.name} applies to this artifact too "
            "(weights that come with the published code are CC BY-NC: not for commercial use)."
        )
