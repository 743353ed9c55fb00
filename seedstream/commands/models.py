"""``seedstream models``: runs without torch, for instance inside a worker's image."""

from pathlib import Path
from typing import Annotated

import typer

from seedstream.help_pages import App

_Store = Annotated[Path, typer.Option(help="Folder that holds NAME/VERSION/model.onnx.")]
_DEFAULT_STORE = Path("artifacts")
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommands."""
    models = App(help=text)
    app.add_typer(models, name="models")

    @models.command("list")
    def list_models(store: _Store = _DEFAULT_STORE) -> None:
        """List all versions; a star marks the one that workers load."""
        from model.registry.listing import table
        from model.registry.store import Store

        print(table(Store(store)))

    @models.command("show")
    def show(
        model: Annotated[str, typer.Argument(help="NAME or NAME/VERSION.", metavar="MODEL")],
        store: _Store = _DEFAULT_STORE,
    ) -> None:
        """Check a version's files and print its card; without VERSION, the current one's."""
        from model.registry.listing import describe
        from model.registry.store import Store

        name, _, version = model.partition("/")
        print(describe(Store(store).card(name, version or None)))

    @models.command("promote")
    def promote(
        name: _Name,
        version: Annotated[str, typer.Argument(metavar="VERSION", help="Version to promote.")],
        store: _Store = _DEFAULT_STORE,
    ) -> None:
        """Check a version's files and make it the one that workers load."""
        from model.registry.store import Store

        Store(store).promote(name, version)
        print(f"{name}: current is {version}")

    @models.command("rollback")
    def rollback(name: _Name, store: _Store = _DEFAULT_STORE) -> None:
        """Make the previously current version current again."""
        from model.registry.store import Store

        print(f"{name}: current is {Store(store).rollback(name)}")
