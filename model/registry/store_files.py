"""Files of a store that more than one process touches: locks, the history of releases."""

import fcntl
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from contract.plain_files import check_plain

HISTORY_FILE = "release.json"
_MOST_HISTORY_BYTES = 16 * 1024 * 1024
_LONGEST_NAME = 128


def is_folder_name(name: str) -> bool:
    """Whether a name is one folder's, and shows what it is: no blanks around it, nothing unseen.

    One that begins with "-" would be an option to every command that it is given to.
    """
    return (
        0 < len(name) <= _LONGEST_NAME
        and Path(name).name == name
        and not name.startswith((".", "-"))
        and name.isprintable()  # no zero-width, bidirectional or control characters
        and name == name.strip()
        and unicodedata.is_normalized("NFC", name)
    )


def require_no_link(path: Path) -> None:
    """Refuse what is a link, wherever it leads: the store's folders are folders.

    Raises:
        ConfigurationError: It is one.
    """
    if path.is_symlink():
        raise ConfigurationError(
            f"{path}: a link to {path.readlink()}, expected a folder of the store; release the "
            "model into the store instead"
        )


def leads_to_sibling(link: Path) -> bool:
    """Whether a link names an entry beside it, and so cannot lead out of its folder."""
    target = link.readlink()
    return len(target.parts) == 1 and not target.is_absolute() and target.name not in ("", "..")


def require_sibling(link: Path) -> None:
    """Refuse a link that may lead out of its folder.

    Raises:
        ConfigurationError: It is one.
    """
    if link.is_symlink() and not leads_to_sibling(link):
        raise ConfigurationError(
            f"{link}: leads to {link.readlink()}, expected a version beside it; promote one"
        )


class History(msgspec.Struct):
    """What ``release.json`` holds.

    Attributes:
        released: Time of each release by version (RFC 3339, UTC).
        promoted: Versions that were current, the last one last.
    """

    released: dict[str, str] = {}
    promoted: list[str] = []


_histories = msgspec.json.Decoder(History)


def read_history(home: Path) -> History:
    """Read a model's history; one that never was is empty.

    Raises:
        ConfigurationError: The file is no history.
    """
    path = home / HISTORY_FILE
    if path.is_symlink() or path.exists():
        check_plain(path, home, _MOST_HISTORY_BYTES)
    try:
        return _histories.decode(without_mark(path.read_bytes()))
    except FileNotFoundError:
        return History()
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: not a history of releases: {error}; remove it to start a new one"
        ) from error


def write_history(home: Path, history: History) -> None:
    """Replace a model's history by one rename."""
    path = home / HISTORY_FILE
    partial = path.with_name(f".{HISTORY_FILE}.partial")
    partial.unlink(missing_ok=True)  # may be a link
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n")
    sync(partial)
    partial.replace(path)
    sync(path.parent)


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a `ConfigurationError`."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{home}: cannot write to the store: {error.strerror}: {error.filename}; release and "
            "promote where the store is writable"
        ) from error


def lock(path: Path, *, wait: bool) -> int | None:
    """Return a descriptor that holds the file's lock, or None where another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def sync(path: Path) -> None:
    """Bring a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
