"""The work of ``seedstream release``: export, choose thresholds, place, promote."""

import tempfile
from pathlib import Path

from model.checkpoint import find_checkpoint, load_checkpoint
from model.deploy.export import ExportOptions, export_checkpoint
from model.deploy.release import default_name, release, release_artifact
from model.deploy.store import Store
from model.evaluation.on_pictures import Options
from model.evaluation.sweep import Tried
from seedstream.evaluate import on_pictures


def release_exported(folder: Path, store: Store, name: str | None, promote: bool) -> None:
    """Put an exported artifact into a store.

    Raises:
        ConfigurationError: See `model.deploy.release.release_artifact`.
    """
    place, _ = release_artifact(folder, store, name=name, promote=promote)
    _say(place, promote)


def release_run(
    run: Path,
    store: Store,
    options: ExportOptions,
    name: str | None,
    promote: bool,
    data: Path | None,
) -> None:
    """Export a run into a store, with thresholds chosen on ``data`` where it is given.

    Raises:
        ConfigurationError: See `model.deploy.release.release`, `seedstream.evaluate.on_pictures`.
        ExportError: The file failed its comparison; the store is as it was.
    """
    if data is None:
        done = release(run, store, options, name=name, promote=promote)
        print(f"against PyTorch: {done.comparison}")
        _say(done.folder, promote)
        return
    state = load_checkpoint(find_checkpoint(run))
    with tempfile.TemporaryDirectory(prefix="seedstream-release-") as scratch:
        called = name or default_name(state, run)
        exported = export_checkpoint(state, Path(scratch), called, "candidate", options)
        print(f"against PyTorch: {exported.comparison}")
        on_pictures(exported.folder, data, Options(), Tried(), None)
        place, _ = release_artifact(exported.folder, store, promote=promote)
    _say(place, promote)


def _say(place: Path, promote: bool) -> None:
    print(f"released {place}{', current from now on' if promote else ''}")
