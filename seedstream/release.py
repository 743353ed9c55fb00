"""The work of ``seedstream release``: export, choose thresholds, place, promote."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from contract.errors import ConfigurationError
from model.evaluation.evaluator import on_pictures
from model.evaluation.on_pictures import Options
from model.evaluation.sweep import Tried
from model.export.exporter import ExportOptions, export_checkpoint
from model.export.releaser import default_name, release, release_artifact
from model.net.checkpoint import find_checkpoint, load_checkpoint
from model.registry.store import Store


def release_exported(folder: Path, store: Store, name: str | None, promote: bool) -> None:
    """Put an exported artifact into a store.

    Raises:
        ConfigurationError: See `model.export.releaser.release_artifact`.
    """
    place, _ = release_artifact(folder, store, name=name, promote=promote)
    _say(place, promote)


def release_run(
    run: Path,
    store: Store,
    options: ExportOptions,
    name: str | None,
    promote: bool,
    measured: tuple[Path, Mapping[str, str]] | None,
) -> None:
    """Export a run into a store.

    Args:
        run: Folder of a run, or a checkpoint.
        store: The store.
        options: Of the export.
        name: Name of the model; None takes the run's.
        promote: Whether workers are to load it from now on.
        measured: Data whose validation part chooses the thresholds, and class of the model by
            class of the data; None keeps the run's thresholds.

    Raises:
        ConfigurationError: See `model.export.releaser.release` and
            `model.evaluation.evaluator.on_pictures`; or a picture could not be read. The store
            is as it was.
        ExportError: The file failed its comparison; the store is as it was.
    """
    if measured is None:
        done = release(run, store, options, name=name, promote=promote)
        print(f"against PyTorch: {done.comparison}")
        _say(done.folder, promote)
        return
    state = load_checkpoint(find_checkpoint(run))
    with tempfile.TemporaryDirectory(prefix="seedstream-release-") as scratch:
        called = name or default_name(state, run)
        exported = export_checkpoint(state, Path(scratch), called, "candidate", options)
        print(f"against PyTorch: {exported.comparison}")
        data, classes = measured
        if on_pictures(exported.folder, data, Options(classes=classes), Tried(), None):
            raise ConfigurationError(
                f"{data}: not released: pictures named above could not be read; mend them or leave "
                "them out (`seedstream dataset check` names all)"
            )
        place, _ = release_artifact(exported.folder, store, promote=promote)
    _say(place, promote)


def _say(place: Path, promote: bool) -> None:
    print(f"released {place}{', current from now on' if promote else ''}")
