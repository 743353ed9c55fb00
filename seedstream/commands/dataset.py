"""``seedstream dataset``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    dataset = typer.Typer(help=text, no_args_is_help=True)
    app.add_typer(dataset, name="dataset")

    @dataset.callback()
    def _keep_the_subcommand() -> None:
        """Check a data set: count, draw, and name every broken file."""

    @dataset.command("check")
    def check(
        path: Annotated[Path, typer.Argument(help="Its folder, or COCO's JSON file.")],
        layout: Annotated[
            Literal["auto", "cityscapes", "coco", "label-maps", "yolo"],
            typer.Option(help="What to take it for; auto looks at the files."),
        ] = "auto",
        split: Annotated[
            Literal["train", "validation", "all"], typer.Option(help="Which part to read.")
        ] = "all",
        classes: Annotated[
            str,
            typer.Option(
                help="Names, separated by commas: which classes, the others become background; "
                "for label maps without names of their own, what the numbers mean."
            ),
        ] = "",
        sheet: Annotated[
            Path | None,
            typer.Option(metavar="OUT.jpg", help="Draw a contact sheet of 24 pictures."),
        ] = None,
        limit: Annotated[
            int | None,
            typer.Option(min=1, help="Read only so many pictures, evenly spread."),
        ] = None,
        json_out: Annotated[
            Path | None, typer.Option("--json", metavar="OUT", help="Write all numbers as JSON.")
        ] = None,
    ) -> None:
        """Read every picture; print what there is and every broken file.

        Exits with 1 if any file is broken. The others are counted all the same.
        """
        from contract.process import configure_logging
        from model.data.check_report import run_check

        configure_logging("dataset", "ERROR", "text")
        names = [name.strip() for name in classes.split(",") if name.strip()]
        raise typer.Exit(run_check(path, layout, split, names or None, sheet, limit, json_out))
