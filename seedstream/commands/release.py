"""``seedstream release``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seedstream.options import given_flags


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("release", help=text)
    def release(
        context: typer.Context,
        source: Annotated[
            Path,
            typer.Argument(help="Folder of a run, a checkpoint, or an exported artifact."),
        ],
        store: Annotated[Path, typer.Option(help="Folder that holds NAME/VERSION/model.onnx.")],
        name: Annotated[
            str | None, typer.Option(help="Name of the model; default: the source's.")
        ] = None,
        promote: Annotated[
            bool, typer.Option(help="Whether workers that load NAME/current take it.")
        ] = True,
        data: Annotated[
            Path | None,
            typer.Option(
                help="Of a run: data set whose validation part chooses the thresholds and gives "
                "the figures that the artifact carries."
            ),
        ] = None,
        classes: Annotated[
            str | None,
            typer.Option(
                help="Of --data: which of its classes is which of the model's, like "
                "car=vehicle,rider=ignore; default: those of one name."
            ),
        ] = None,
        precision: Annotated[
            Literal["float32", "float16", "int8"],
            typer.Option(help="Of a run: precision of the weights; int8 needs --pictures."),
        ] = "float16",
        pictures: Annotated[
            list[Path] | None,
            typer.Option(
                help="Of a run: image, video or folder to prove the file on; may be repeated."
            ),
        ] = None,
        accuracy: Annotated[
            Path | None,
            typer.Option(help="Of a run: JSON of `seedstream evaluate --out`; default: its own."),
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(help="Of a run: lowest score reported, 0..1; default: checkpoint's."),
        ] = None,
    ) -> None:
        from contract.errors import ConfigurationError
        from model.evaluation.classes import parse_classes
        from model.evaluation.on_video import read_accuracy
        from model.export.exporter import ExportOptions
        from model.export.releaser import release_exported, release_run
        from model.registry.store import Store

        if (source / "model.onnx").is_file() or source.suffix == ".onnx":
            given = given_flags(
                context, "data", "classes", "precision", "pictures", "accuracy", "score"
            )
            if given:
                raise ConfigurationError(
                    f"{source}: an exported artifact, it ships as it is: leave {given} out, or "
                    "release its run"
                )
            release_exported(source, Store(store), name, promote)
            return
        if data is None and classes is not None:
            raise ConfigurationError("--classes says what the classes of --data are: give it, too")
        given = given_flags(context, "accuracy", "score")
        if data is not None and given:
            raise ConfigurationError(
                f"--data chooses the thresholds and measures: leave {given} out, or --data"
            )
        options = ExportOptions(
            precision=precision,
            pictures=pictures or (),
            accuracy=None if accuracy is None else read_accuracy(accuracy),
            score_threshold=score,
        )
        measured = None if data is None else (data, parse_classes(classes))
        release_run(source, Store(store), options, name, promote, measured)
