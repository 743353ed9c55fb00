"""From a run to a released version of a store: export, proof, place, promotion."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from contract import artifact as contract
from contract.errors import ConfigurationError
from model.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from model.deploy.export import Exported, ExportOptions, export_checkpoint
from model.deploy.onnx_file import stamp
from model.deploy.store import Store

_PENDING = "pending"
"""Version of the artifact until the store has given it one."""


class _Recipe(msgspec.Struct):
    name: str = ""


class _Run(msgspec.Struct):
    recipe: _Recipe = msgspec.field(default_factory=_Recipe)


def release(
    run: Path,
    store: Store,
    options: ExportOptions,
    *,
    name: str | None = None,
    promote: bool = True,
) -> Exported:
    """Export a run's checkpoint and put it into a store as its next version.

    Args:
        run: Folder of a run, or a checkpoint.
        store: The store.
        options: As of an export.
        name: Name of the model; None takes the checkpoint's, else that of the run's recipe.
        promote: Whether workers are to load it from now on.

    Returns:
        The artifact where it lies now.

    Raises:
        ConfigurationError: The run, an option or the store does not fit.
        ExportError: The file failed its comparison; the store is as it was.
    """
    file = find_checkpoint(run)
    state = load_checkpoint(file)
    name = name or default_name(state, run)
    with store.stage(name) as stage:
        done = export_checkpoint(state, stage.folder, name, _PENDING, options)
        for part in done.folder.iterdir():
            part.rename(stage.folder / part.name)
        done.folder.rmdir()
        done.folder.parent.rmdir()
        version = stage.publish(_marker(stage.folder, done))
    if promote:
        store.promote(name, version)
    artifact = msgspec.structs.replace(done.artifact, version=version)
    return Exported(store.root / name / version, artifact, done.comparison)


def _marker(folder: Path, done: Exported) -> Callable[[str], None]:
    def mark(version: str) -> None:
        artifact = msgspec.structs.replace(done.artifact, version=version)
        stamp(folder / contract.MODEL_FILE, artifact)

    return mark


def default_name(state: Checkpoint, run: Path) -> str:
    """Return the name that the checkpoint, or else the run's recipe, gives the model.

    Raises:
        ConfigurationError: Neither does.
    """
    if state.name:
        return state.name
    file = run / "run.json"
    try:
        name = msgspec.json.decode(file.read_bytes(), type=_Run).recipe.name
    except (OSError, msgspec.MsgspecError):
        name = ""
    if not name:
        raise ConfigurationError(f"{run}: neither its checkpoint nor {file} names it: give --name")
    return name
