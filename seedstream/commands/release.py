"""``seedstream release``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("release", help=text)
    def release(
        run: Annotated[Path, typer.Argument(help="Folder of a run, or a checkpoint.")],
        store: Annotated[Path, typer.Option(help="Folder that holds NAME/VERSION/model.onnx.")],
        name: Annotated[
            str | None, typer.Option(help="Name of the model; default: the run's.")
        ] = None,
        precision: Annotated[
            Literal["float32", "float16", "int8"],
            typer.Option(help="Precision of the weights; int8 needs --pictures."),
        ] = "float16",
        pictures: Annotated[
            list[Path] | None,
            typer.Option(help="Image, video or folder to prove the file on; may be repeated."),
        ] = None,
        accuracy: Annotated[
            Path | None, typer.Option(help="JSON of `seedstream evaluate --out`; default: run's.")
        ] = None,
        score: Annotated[
            float | None,
            typer.Option(help="Lowest instance score reported, 0..1; default: checkpoint's."),
        ] = None,
        promote: Annotated[
            bool, typer.Option(help="Whether workers that load NAME/current take it.")
        ] = True,
    ) -> None:
        from model.deploy import release as releasing
        from model.deploy.export import ExportOptions
        from model.deploy.store import Store
        from model.evaluation.on_video import read_accuracy

        options = ExportOptions(
            precision=precision,
            pictures=pictures or (),
            accuracy=None if accuracy is None else read_accuracy(accuracy),
            score_threshold=score,
        )
        done = releasing.release(run, Store(store), options, name=name, promote=promote)
        print(f"released {done.folder}{', current from now on' if promote else ''}")
        print(f"against PyTorch: {done.comparison}")
