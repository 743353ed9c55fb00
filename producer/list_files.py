"""The files that a camera list is made of, as they are at one moment.

A mounted ConfigMap or Secret changes as a whole: Kubernetes swaps a link, ``..data``, to a folder
beside it, and names that begin with a dot are not read here.
"""

from dataclasses import dataclass, field
from pathlib import Path

_ENDINGS = (".yaml", ".yml")
_MOST_PASSWORD_BYTES = 64 * 1024


@dataclass(frozen=True)
class ListFiles:
    """What was read; equal if nothing has changed since.

    Attributes:
        texts: Path -> text of each file of the list, in the order of their names.
        passwords: Name -> content of each file of the folder of credentials: secrets.
        faults: What could not be read.
    """

    texts: dict[str, str] = field(default_factory=dict, repr=False)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    faults: tuple[str, ...] = ()


def read_list_files(config: Path | None, credentials: Path | None = None) -> ListFiles:
    """Read a list.

    Args:
        config: Its file, or a folder with files ``*.yaml`` or ``*.yml``; None for none.
        credentials: A folder of passwords, a file each; None for none.
    """
    faults: list[str] = []
    texts, passwords = {}, {}
    for path in [] if config is None else _list_paths(config, faults):
        text = _text(path, "the camera list", faults)
        if text is not None:
            texts[str(path)] = text
    for path in [] if credentials is None else _password_paths(credentials, faults):
        text = _text(path, "a password", faults, _MOST_PASSWORD_BYTES)
        if text is not None:
            passwords[path.name] = text.removesuffix("\n").removesuffix("\r")
    return ListFiles(texts, passwords, tuple(faults))


def _list_paths(config: Path, faults: list[str]) -> list[Path]:
    if not config.is_dir():
        return [config]
    found = _files(config, "the camera list", faults)
    paths = [path for path in found or [] if path.suffix.lower() in _ENDINGS]
    if found is not None and not paths:
        faults.append(f"{config}: no file *.yaml in this folder; expected the camera list's files")
    return paths


def _password_paths(folder: Path, faults: list[str]) -> list[Path]:
    return _files(folder, "the folder of passwords", faults) or []


def _files(folder: Path, what: str, faults: list[str]) -> list[Path] | None:
    try:
        return sorted(
            path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        faults.append(f"{folder}: cannot read {what}: {error.strerror}")
        return None


def _text(path: Path, what: str, faults: list[str], most_bytes: int | None = None) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read() if most_bytes is None else file.read(most_bytes + 1)
        if most_bytes is not None and len(raw) > most_bytes:
            faults.append(f"{path}: more than {most_bytes} bytes, expected {what}")
            return None
        return raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        faults.append(f"{path}: cannot read {what}: {reason}")
        return None
