"""``seedstream export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("export", help=text)
    def export(
        checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of `seedstream train`.")],
        name: Annotated[str, typer.Option(help="Name of the model, for instance street.")],
        version: Annotated[str, typer.Option(help="Version of the weights under that name.")],
        out: Annotated[
            Path, typer.Option(help="Folder that receives NAME/VERSION/model.onnx and model.json.")
        ] = Path("models"),
        precision: Annotated[
            Literal["float32", "float16"], typer.Option(help="Precision of the stored weights.")
        ] = "float16",
        height: Annotated[
            int | None,
            typer.Option(help="Input height in pixels, a multiple of 8; default: checkpoint's."),
        ] = None,
        width: Annotated[
            int | None,
            typer.Option(help="Input width in pixels, a multiple of 8; default: checkpoint's."),
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(help="Lowest instance score reported, 0..1; default: checkpoint's."),
        ] = None,
        pictures: Annotated[
            Path | None,
            typer.Option(help="Image or video to compare file and PyTorch on; default: made up."),
        ] = None,
        accuracy: Annotated[
            Path | None,
            typer.Option(help="JSON of `seedstream evaluate --out`, to store in the artifact."),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option(help="Replace an artifact of that name and version.")
        ] = False,
    ) -> None:
        from contract.errors import ConfigurationError
        from model.deploy.export import export_checkpoint
        from model.evaluation.on_video import read_accuracy

        if (height is None) != (width is None):
            raise ConfigurationError("--height and --width go together: give both or neither")
        figures = None if accuracy is None else read_accuracy(accuracy)
        size = None if height is None or width is None else (height, width)
        exported = export_checkpoint(
            checkpoint,
            out,
            name,
            version,
            precision,
            input_size=size,
            score_threshold=score,
            pictures=pictures,
            accuracy=figures,
            overwrite=overwrite,
        )
        print(f"wrote {exported.folder}")
        print(f"against PyTorch: {exported.comparison}")
