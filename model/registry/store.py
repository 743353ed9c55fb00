"""A store of released models: ``STORE/NAME/VERSION/``, and ``NAME/current`` that workers load.

Versions are whole numbers and never change. ``current`` is a relative link, replaced by one rename;
``release.json`` keeps when each version came and which ones were promoted. Runs on operators'
machines too: nothing here imports torch or onnx.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contract import artifact_files
from contract.artifact_agreement import check_agreement
from contract.artifact_files import CURRENT, Card
from contract.errors import ConfigurationError
from contract.plain_files import check_self_contained
from model.registry.store_files import (
    HISTORY_FILE,
    is_folder_name,
    leads_to_sibling,
    lock,
    read_history,
    require_no_link,
    require_sibling,
    sync,
    write_history,
    writing,
)
from model.registry.stored_model import Model, is_release

_LOCK_FILE = ".lock"
_STAGE = ".release-"


class Store:
    """The models below one folder.

    Args:
        root: The folder; it is made by the first release.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[Model]:
        """Return all models by name.

        Raises:
            ConfigurationError: The folder is no store.
        """
        if not self.root.is_dir():
            seen = "a file" if self.root.exists() else "nothing"
            raise ConfigurationError(f"{self.root}: not a store: expected a folder, found {seen}")
        if (self.root / HISTORY_FILE).exists() or (self.root / artifact_files.MODEL_FILE).exists():
            raise ConfigurationError(
                f"{self.root}: not a store but a model in one: give the folder above its NAME"
            )
        names = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())
        inside = [name for name in names if not (self.root / name).is_symlink()]
        models = [self._read(name) for name in inside if not name.startswith(".")]
        models = [model for model in models if model.folders or model.lost]
        if names and not models:
            raise ConfigurationError(
                f"{self.root}: not a store: expected NAME/VERSION/{artifact_files.MODEL_FILE}, "
                f"found {names}"
            )
        return models

    def model(self, name: str) -> Model:
        """Return one model.

        Raises:
            ConfigurationError: There is none of that name, or it is a link.
        """
        if name:
            require_no_link(self.root / name)
        models = {model.name: model for model in self.models()}
        if name not in models:
            raise ConfigurationError(
                f"{self.root}: no model {name!r}, expected one of {list(models)}"
            )
        return models[name]

    def card(self, name: str, version: str | None = None) -> Card:
        """Return a version's card after checking its files; None takes the current version.

        Raises:
            ConfigurationError: No such version, broken files, or those of another version.
        """
        model = self.model(name)
        if version is None:
            require_sibling(self.root / name / CURRENT)
        version = version or model.current
        if version is None:
            advice = f"promote one of {list(model.versions)}"
            if not model.versions:
                others = [*model.foreign, *model.broken]
                advice = f"name one of {others}, or put one there with `seedstream release`"
            raise ConfigurationError(f"{self.root / name}: has no current version; {advice}")
        if is_folder_name(version):
            require_no_link(self.root / name / version)
        if version not in model.folders:
            led = (
                f"{CURRENT} leads to {version!r}, which is not there"
                if version == model.lost
                else ""
            )
            raise ConfigurationError(
                f"{self.root / name}: {led or f'no version {version!r}'}, expected one of "
                f"{[*model.versions, *model.foreign]}"
            )
        card = artifact_files.check_file(self.root / name / version)
        for file in (artifact_files.MODEL_FILE, *(each.file for each in card.further)):
            check_self_contained(self.root / name / version / file)
        if version in model.versions and (card.name, card.version) != (name, version):
            raise ConfigurationError(
                f"{self.root / name / version}: its card says {card.name}/{card.version}, expected "
                f"{name}/{version}: a copy of another release; release it as a version of its own"
            )
        check_agreement(self.root / name / version)
        return card

    def released_at(self, name: str, version: str) -> str | None:
        """Return when a version came (RFC 3339, UTC); None of one that came without a history.

        The time of its file is that of the copy or the checkout, and so says nothing.
        """
        return read_history(self.root / name).released.get(version)

    def promote(self, name: str, version: str) -> None:
        """Make a version the current one, after checking its files.

        Raises:
            ConfigurationError: No such version, broken files, or a store that cannot be written.
        """
        if not is_release(version):
            raise ConfigurationError(
                f"{name}/{version}: expected the whole number of a release; put a model into the "
                "store with `seedstream release`"
            )
        self.card(name, version)
        with self._locked(name):
            self._link(name, version)
            # After the link: stopped in between, a rollback still finds the version before.
            history = read_history(self.root / name)
            history.promoted.append(version)
            write_history(self.root / name, history)

    def rollback(self, name: str) -> str:
        """Make the version current that was so before, and return it.

        Raises:
            ConfigurationError: There is none before, its files are broken, or the store cannot be
                written.
        """
        current = self.model(name).current
        with self._locked(name):
            history = read_history(self.root / name)
            while history.promoted and history.promoted[-1] == current:
                history.promoted.pop()
            if not history.promoted:
                raise ConfigurationError(
                    f"{self.root / name}: no version was current before {current}; promote one of "
                    f"{list(self.model(name).versions)}"
                )
            version = history.promoted[-1]
            self.card(name, version)
            # Before the link: stopped in between, the next rollback does the same again.
            write_history(self.root / name, history)
            self._link(name, version)
        return version

    @contextmanager
    def stage(self, name: str) -> Iterator["Stage"]:
        """Make a hidden folder for a new version; it is removed where it was not published.

        Raises:
            ConfigurationError: The name is no folder's name, or the store cannot be written.
        """
        if not is_folder_name(name):
            raise ConfigurationError(
                f"the name is {name!a}, expected the name of one folder, all of it to be seen, "
                'which begins neither with "." nor with "-"'
            )
        require_no_link(self.root / name)
        with writing(self.root / name):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        with self._locked(name):
            self._sweep(name)
            folder = Path(tempfile.mkdtemp(prefix=_STAGE, dir=self.root / name))
            alive = lock(_alive_file(folder), wait=True)
        try:
            yield Stage(self, name, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _alive_file(folder).unlink(missing_ok=True)
            if alive is not None:
                os.close(alive)

    def publish(self, stage: "Stage", mark: Callable[[str], None]) -> str:
        """Give a staged folder the next version and its place; see `Stage.publish`."""
        home = self.root / stage.name
        with self._locked(stage.name):
            history = read_history(home)
            taken = [entry.name for entry in home.iterdir() if is_release(entry.name)]
            version = str(max(map(int, [*taken, *history.released, "0"])) + 1)
            mark(version)
            artifact_files.check_file(stage.folder)
            check_agreement(stage.folder)
            for file in stage.folder.iterdir():
                file.chmod(0o444)
                sync(file)
            stage.folder.chmod(0o555)
            sync(stage.folder)
            stage.folder.rename(home / version)
            sync(home)
            history.released[version] = _time(datetime.now(UTC))
            write_history(home, history)
        return version

    def _read(self, name: str) -> Model:
        home = self.root / name
        folders = [
            entry
            for entry in home.iterdir()
            if not entry.name.startswith(".")
            and entry.name != CURRENT
            and not entry.is_symlink()
            and entry.is_dir()
        ]
        held = [each.name for each in folders if (each / artifact_files.MODEL_FILE).is_file()]
        others = [each for each in folders if each.name not in held]
        released = read_history(home).released if others else {}
        broken = [
            each.name
            for each in others
            if each.name in released or (each / artifact_files.CARD_FILE).is_file()
        ]
        link = home / CURRENT
        return Model(
            name,
            tuple(sorted((each for each in held if is_release(each)), key=int)),
            str(link.readlink()) if link.is_symlink() and leads_to_sibling(link) else None,
            tuple(sorted(each for each in held if not is_release(each))),
            tuple(sorted(broken)),
        )

    def _link(self, name: str, version: str) -> None:
        link = self.root / name / CURRENT
        if link.is_dir() and not link.is_symlink():
            raise ConfigurationError(f"{link}: is a folder, expected a link; move it away")
        fresh = link.with_name(f".{CURRENT}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(version)
        fresh.replace(link)
        sync(link.parent)

    def _sweep(self, name: str) -> None:
        """Remove what killed releases left: folders whose lock nobody holds any more."""
        left = {path.with_suffix("") for path in (self.root / name).glob(f"{_STAGE}*")}
        for folder in left:
            alive = lock(_alive_file(folder), wait=False)
            if alive is not None:
                if folder.is_symlink():
                    folder.unlink()
                elif folder.is_dir():
                    folder.chmod(0o755)
                    shutil.rmtree(folder)
                _alive_file(folder).unlink()
                os.close(alive)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold the model's lock, so that one process at a time changes it."""
        with writing(self.root / name):
            descriptor = lock(self.root / name / _LOCK_FILE, wait=True)
            try:
                yield
            finally:
                if descriptor is not None:
                    os.close(descriptor)


@dataclass(frozen=True)
class Stage:
    """A new version on its way.

    Attributes:
        store: Where it goes.
        name: Name of the model.
        folder: Hidden folder that is to hold ``model.json`` and the files that it lists, nothing
            else.
    """

    store: Store
    name: str
    folder: Path

    def publish(self, mark: Callable[[str], None]) -> str:
        """Make the folder the next version, for good, and return that version.

        Args:
            mark: Called with the version before the files are closed, to write it into them.

        Raises:
            ConfigurationError: The files are broken, or the store cannot be written.
        """
        return self.store.publish(self, mark)


def _alive_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.alive")


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
