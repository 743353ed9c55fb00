"""From a run, or from an artifact, to a released version of a store: the work of the command."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from contract import artifact_files
from contract.artifact import Artifact
from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from model.evaluation.evaluator import on_pictures
from model.evaluation.figures import quality
from model.evaluation.on_pictures import Options, evaluate_pictures
from model.evaluation.thresholds import Tried
from model.export.calibration import read_pictures
from model.export.exporter import Exported, ExportError, ExportOptions, export_checkpoint
from model.export.int8_file import Measure, add_int8, read_calibration
from model.export.stamps import Stamps, read_stamp, read_stamps, write_stamps
from model.net.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from model.registry.store import Store

_PENDING = "pending"
"""Version of the artifact until the store has given it one."""


class _Recipe(msgspec.Struct):
    name: str = ""


class _Run(msgspec.Struct):
    recipe: _Recipe = msgspec.field(default_factory=_Recipe)


_runs = msgspec.json.Decoder(_Run)


def release_exported(
    folder: Path, store: Store, name: str | None, promote: bool, force: bool = False
) -> None:
    """Put an exported artifact into a store.

    Raises:
        ConfigurationError: See `release_artifact`.
    """
    place, _ = release_artifact(folder, store, name=name, promote=promote, force=force)
    _say(place, promote)


def release_run(
    run: Path,
    store: Store,
    options: ExportOptions,
    name: str | None,
    promote: bool,
    measured: tuple[Path, Mapping[str, str]] | None,
    force: bool = False,
    int8: bool = False,
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
        force: Whether a model that finds nothing, or that nobody measured, may be released.
        int8: Whether to add an int8 file, where there are pictures to calibrate it on (those of
            the options, else those of the data to learn from) and it is good enough.

    Raises:
        ConfigurationError: See `release` and
            `model.evaluation.evaluator.on_pictures`; or a picture could not be read. The store
            is as it was.
        ExportError: The file failed its comparison; the store is as it was.
    """
    if measured is None:
        done = release(run, store, options, name=name, promote=promote, force=force, int8=int8)
        print(f"against PyTorch: {done.comparison}")
        _say(done.folder, promote)
        return
    state = load_checkpoint(find_checkpoint(run))
    with tempfile.TemporaryDirectory(prefix="seedstream-release-") as scratch:
        called = name or default_name(state, run)
        data, classes = measured
        if not options.pictures and _can_prove(data, state):
            options = replace(options, pictures=[data])
        exported = export_checkpoint(state, Path(scratch), called, "candidate", options)
        print(f"against PyTorch: {exported.comparison}")
        if on_pictures(exported.folder, data, Options(classes=classes), Tried(), None):
            raise ConfigurationError(
                f"{data}: not released: pictures named above could not be read; repair or remove "
                "them (`seedstream dataset check` names all)"
            )
        accuracy = artifact_files.read_card(exported.folder).accuracy
        check_worth(accuracy, run, force)
        if int8:
            _try_int8(
                exported.folder,
                options.pictures or [data],
                lambda file: evaluate_pictures(file, data, Options(classes=classes)).accuracy(),
                accuracy,
            )
        place, _ = release_artifact(exported.folder, store, promote=promote, force=True)
    _say(place, promote)


def _can_prove(data: Path, state: Checkpoint) -> bool:
    """Return whether pictures of the data can be read: those that are made up prove little.

    Where some cannot, nothing is said yet: measuring names all of them.
    """
    try:
        read_pictures([data], *state.input_size)
    except ConfigurationError:
        return False
    return True


def _try_int8(
    folder: Path,
    pictures: Sequence[Path],
    measure: Measure | None = None,
    known: Mapping[str, float] | None = None,
) -> None:
    """Add an int8 file, or say in a line why there is none: the release does without it."""
    artifact = read_stamp(folder / artifact_files.MODEL_FILE)
    if artifact.precision == "int8":
        return
    if measure is None:
        print("without an int8 file: nothing would measure it; give --data")
        return
    try:
        calibration = read_calibration(pictures, artifact)
        print(f"int8 against PyTorch: {add_int8(folder, calibration, measure, known)}")
    except (ConfigurationError, ExportError) as error:
        print(f"without an int8 file: {error}".replace(f"{folder}/", ""))  # of a folder that ends


def check_worth(accuracy: Mapping[str, float], where: Path, force: bool) -> None:
    """Refuse a model whose figures are all 0, or that has none.

    Args:
        accuracy: Its figures, as an artifact carries them.
        where: What is to be released, for messages.
        force: Whether it may be released all the same.

    Raises:
        ConfigurationError: It may not.
    """
    figures = quality(accuracy)
    if force or any(figures.values()):
        return
    if figures:
        raise ConfigurationError(
            f"{where}: not released: its figures ({', '.join(list(figures)[:2])}, ...) are all 0: "
            "it finds none of the labelled objects; look at its pictures (`seedstream evaluate "
            "--out`), train longer, check the labels (`seedstream dataset check`), or give --force"
        )
    # Weights between two validations, and those that were only exported, carry nothing at all.
    reason = "nothing was there to validate it on" if accuracy else "it was never validated"
    raise ConfigurationError(
        f"{where}: not released: it carries no figure: {reason}; measure a run with "
        "`release --data`, an artifact with `seedstream evaluate --sweep`, or give --force"
    )


def _say(place: Path, promote: bool) -> None:
    print(f"released {place}{', current from now on' if promote else ''}")


def release(
    run: Path,
    store: Store,
    options: ExportOptions,
    *,
    name: str | None = None,
    promote: bool = True,
    force: bool = False,
    int8: bool = False,
) -> Exported:
    """Export a run's checkpoint and put it into a store as its next version.

    Args:
        run: Folder of a run, or a checkpoint.
        store: The store.
        options: As of an export.
        name: Name of the model; None takes the checkpoint's, else that of the run's recipe.
        promote: Whether workers are to load it from now on.
        force: See `check_worth`.
        int8: Whether to add an int8 file, see `release_run`.

    Returns:
        The artifact where it lies now.

    Raises:
        ConfigurationError: The run, an option or the store does not fit; or see `check_worth`.
        ExportError: The file failed its comparison; the store is as it was.
    """
    file = find_checkpoint(run)
    state = load_checkpoint(file)
    name = name or default_name(state, run)
    check_worth(state.accuracy if options.accuracy is None else options.accuracy, run, force)
    with store.stage(name) as stage:
        done = export_checkpoint(state, stage.folder, name, _PENDING, options)
        for part in done.folder.iterdir():
            part.rename(stage.folder / part.name)
        done.folder.rmdir()
        done.folder.parent.rmdir()
        if int8:
            _try_int8(stage.folder, options.pictures)
        version = stage.publish(_marker(stage.folder, read_stamps(stage.folder), name))
    if promote:
        store.promote(name, version)
    artifact = msgspec.structs.replace(done.artifact, version=version)
    return Exported(store.root / name / version, artifact, done.comparison)


def release_artifact(
    folder: Path,
    store: Store,
    *,
    name: str | None = None,
    promote: bool = True,
    force: bool = False,
) -> tuple[Path, Artifact]:
    """Put an exported artifact into a store as its next version; its weights stay as they are.

    What was measured, and whose thresholds a sweep has chosen, is then what ships.

    Args:
        folder: Folder ``NAME/VERSION`` of an export.
        store: The store.
        name: Name of the model; None takes the artifact's.
        promote: Whether workers are to load it from now on.
        force: See `check_worth`.

    Returns:
        Where it lies now, and what it says about itself.

    Raises:
        ConfigurationError: It is no artifact, its files are broken, or the store does not fit; or
            see `check_worth`.
    """
    files = list(artifact_files.find_files(folder).values())
    # A file that was named alone has any name.
    names = [artifact_files.MODEL_FILE, *(file.name for file in files[1:])]
    stamps = {name: read_stamp(file) for name, file in zip(names, files, strict=True)}
    main = stamps[artifact_files.MODEL_FILE]
    # A sweep of the int8 file drops the figures that model.onnx had at other thresholds.
    measured = (each.accuracy for each in stamps.values() if each.accuracy)
    check_worth(next(measured, {}), folder, force)
    name = name or main.name
    with store.stage(name) as stage:
        for source, file in zip(files, stamps, strict=True):
            shutil.copyfile(source, stage.folder / file)
        version = stage.publish(_marker(stage.folder, stamps, name))
    if promote:
        store.promote(name, version)
    place = store.root / name / version
    return place, msgspec.structs.replace(main, name=name, version=version)


def _marker(folder: Path, stamps: Stamps, name: str) -> Callable[[str], None]:
    """Return what names all files of a staged artifact once its version is known."""

    def mark(version: str) -> None:
        named = {
            file: msgspec.structs.replace(artifact, name=name, version=version)
            for file, artifact in stamps.items()
        }
        write_stamps(folder, named)

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
        name = _runs.decode(without_mark(file.read_bytes())).recipe.name
    except (OSError, *JSON_ERRORS):
        name = ""
    if not name:
        raise ConfigurationError(f"{run}: neither its checkpoint nor {file} names it: give --name")
    return name
