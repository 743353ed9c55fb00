"""``seedstream dataset``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from model.data.layouts import Layout
from seedstream.help_pages import App


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    dataset = App(help=text)
    app.add_typer(dataset, name="dataset")

    @dataset.callback()
    def _keep_the_subcommand() -> None:
        """Check a data set: count it, draw it, and name every broken file."""

    @dataset.command("check")
    def check(
        path: Annotated[
            Path,
            typer.Argument(
                metavar="DATA", help="Folder of the data set, COCO JSON file, or YOLO data.yaml."
            ),
        ],
        layout: Annotated[
            Layout,
            typer.Option(help="Layout of the data set; auto detects it from the files."),
        ] = "auto",
        split: Annotated[
            Literal["train", "validation", "all"], typer.Option(help="Part to read.")
        ] = "all",
        classes: Annotated[
            str,
            typer.Option(
                help="Comma-separated names: the classes to keep, the others become background; "
                "for label maps without names of their own, the meaning of the numbers."
            ),
        ] = "",
        sheet: Annotated[
            Path | None,
            typer.Option(metavar="OUT.jpg", help="Draw a contact sheet of 24 pictures."),
        ] = None,
        limit: Annotated[
            int | None,
            typer.Option(min=1, help="Maximum pictures to read, evenly spread."),
        ] = None,
        json_out: Annotated[
            Path | None,
            typer.Option("--json", metavar="OUT", help="Write all figures to this JSON file."),
        ] = None,
        recipe: Annotated[
            str | None,
            typer.Option(metavar="RECIPE", help="Also count objects at this recipe's input size."),
        ] = None,
    ) -> None:
        """Read every picture; print what was found, what is broken and what is doubtful.

        Exits with 1 if any file is broken, or if there is no object at all. Pictures that are good
        are still counted.
        """
        from contract.process import configure_logging
        from model.data.check_report import run_check

        configure_logging("dataset", "ERROR", "text")
        names = [name.strip() for name in classes.split(",") if name.strip()]
        raise typer.Exit(
            run_check(path, layout, split, names or None, sheet, limit, json_out, recipe)
        )
