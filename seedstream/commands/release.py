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
            typer.Argument(
                metavar="SOURCE", help="Folder of a run, a checkpoint, or an exported artifact."
            ),
        ],
        store: Annotated[
            Path, typer.Option(help="Store: the folder that holds NAME/VERSION/model.onnx.")
        ],
        name: Annotated[
            str | None, typer.Option(help="Name of the model; default: the source's.")
        ] = None,
        promote: Annotated[
            bool, typer.Option(help="Make it NAME/current, which workers load.")
        ] = True,
        force: Annotated[
            bool,
            typer.Option(
                "--force", help="Release a model whose figures are all 0, or that has none."
            ),
        ] = False,
        data: Annotated[
            Path | None,
            typer.Option(
                help="Runs only: data set whose validation part sets the thresholds and yields the "
                "figures stored in the artifact."
            ),
        ] = None,
        classes: Annotated[
            str | None,
            typer.Option(
                help="Map from classes of --data to classes of the model, like "
                "car=vehicle,rider=ignore; default: those with equal names."
            ),
        ] = None,
        precision: Annotated[
            Literal["float32", "float16", "int8"],
            typer.Option(help="Runs only: precision of the weights; int8 needs --pictures."),
        ] = "float16",
        int8: Annotated[
            bool,
            typer.Option(
                help="Runs only: add model.int8.onnx, the same network for CPUs with VNNI, where "
                "--data measures it and its figures are at most 0.005 lower; calibrated on "
                "--pictures, else on the training part of --data."
            ),
        ] = True,
        pictures: Annotated[
            list[Path] | None,
            typer.Option(
                help="Runs only: image, video, folder or data set to verify the files on and to "
                "calibrate int8; repeatable."
            ),
        ] = None,
        accuracy: Annotated[
            Path | None,
            typer.Option(
                help="Runs only: JSON from `seedstream evaluate --out`; default: the run's own."
            ),
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=1,
                help="Runs only: lowest score to report, 0..1; default: the checkpoint's.",
            ),
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
                *(context, "data", "classes", "precision", "int8", "pictures", "accuracy", "score")
            )
            if given:
                raise ConfigurationError(
                    f"{source}: an exported artifact is released unchanged: leave {given} out, or "
                    "release its run"
                )
            release_exported(source, Store(store), name, promote, force)
            return
        if data is None and classes is not None:
            raise ConfigurationError("--classes says what the classes of --data are: add --data")
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
        release_run(source, Store(store), options, name, promote, measured, force, int8)
