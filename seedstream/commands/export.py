"""``seedstream export``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from contract.errors import ConfigurationError


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) in pixels of a text like ``384x512``.

    Raises:
        ConfigurationError: The text has another form.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ConfigurationError(f"the size is {text!r}, expected HEIGHTxWIDTH, like 384x512")
    return int(height), int(width)


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("export", help=text)
    def export(
        checkpoint: Annotated[
            Path,
            typer.Argument(metavar="CHECKPOINT", help="Folder of a run, or a checkpoint file."),
        ],
        name: Annotated[str, typer.Option(help="Name of the model, like street.")],
        version: Annotated[str, typer.Option(help="Version of the model, like 1.")],
        out: Annotated[
            Path, typer.Option(help="Output folder for NAME/VERSION/model.onnx and model.json.")
        ] = Path("artifacts"),
        precision: Annotated[
            Literal["float32", "float16", "int8"],
            typer.Option(help="Precision of the weights; int8 needs --pictures."),
        ] = "float16",
        height: Annotated[
            int | None,
            typer.Option(
                help="Input height in pixels, a multiple of 8; default: the checkpoint's."
            ),
        ] = None,
        width: Annotated[
            int | None,
            typer.Option(help="Input width in pixels, a multiple of 8; default: the checkpoint's."),
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=1,
                help="Lowest instance score to report, 0..1; default: the checkpoint's.",
            ),
        ] = None,
        pictures: Annotated[
            list[Path] | None,
            typer.Option(
                help="Image, video, folder or data set used to compare the exported file with "
                "PyTorch and to calibrate int8; repeatable; default: synthetic pictures."
            ),
        ] = None,
        accuracy: Annotated[
            Path | None,
            typer.Option(help="JSON from `seedstream evaluate --out` to store in the artifact."),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option(help="Replace an existing artifact of that name and version.")
        ] = False,
    ) -> None:
        from model.evaluation.on_video import read_accuracy
        from model.export.exporter import ExportOptions, export_checkpoint

        if (height is None) != (width is None):
            raise ConfigurationError("--height and --width go together: give both or neither")
        options = ExportOptions(
            precision=precision,
            input_size=None if height is None or width is None else (height, width),
            score_threshold=score,
            pictures=pictures or (),
            accuracy=None if accuracy is None else read_accuracy(accuracy),
        )
        exported = export_checkpoint(checkpoint, out, name, version, options, overwrite=overwrite)
        print(f"wrote {exported.folder}")
        print(f"against PyTorch: {exported.comparison}")
