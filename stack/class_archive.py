"""What Java has read and checked of the broker's classes, kept: a start takes half the time."""

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from contract.errors import UnavailableError
from stack.child_process import ChildProcess

DUMP_SECONDS = 60.0
"""How long a broker that writes the archive may take to end: 3 s on an idle machine."""

_ENDED_BY_SIGTERM = 143
"""Java's exit status after an end in order; only then the archive is whole."""


def class_archive(jars: Path) -> Path:
    """Return where the archive of these jars and this Java is, or would be (about 50 MB)."""
    java = Path(shutil.which("java") or "java").resolve()
    state = java.stat() if java.exists() else None
    made_for = f"{java} {state and (state.st_size, state.st_mtime_ns)} {jars.resolve()}"
    name = hashlib.sha256(made_for.encode()).hexdigest()[:12]
    return jars.parent / f"{jars.name}-{name}.jsa"


def java_options(jars: Path) -> list[str]:
    """Return Java's options for the archive; none where it is not there."""
    path = class_archive(jars)
    # One of another Java or of other jars is left aside by Java itself (-Xshare:auto, its default).
    return [f"-XX:SharedArchiveFile={path}"] if _usable(path) else []


def make_class_archive(jars: Path, start: Callable[[Path, list[str]], ChildProcess]) -> None:
    """Make the archive where it is missing, by starting and stopping a broker.

    It is a help and never a condition: where it cannot be made, that is remembered by an empty
    file, and brokers start without. Of several processes one makes it, the others do not wait.

    Args:
        jars: Folder of the jars.
        start: Starts a broker in a folder, with further options of Java, and waits for its answer.
    """
    target = class_archive(jars)
    if target.exists():
        return
    # Another is at it, or the folder takes nothing (read-only, full).
    with contextlib.suppress(OSError), target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not target.exists():
            _make(target, start)


def _make(target: Path, start: Callable[[Path, list[str]], ChildProcess]) -> None:
    with tempfile.TemporaryDirectory(prefix="classes-", dir=target.parent) as folder:
        made = Path(folder) / "classes.jsa"
        try:
            broker = start(Path(folder) / "home", [f"-XX:ArchiveClassesAtExit={made}"])
            code = broker.stop(DUMP_SECONDS)
        except UnavailableError:
            code = None
        if code != _ENDED_BY_SIGTERM or not _usable(made):
            made.unlink(missing_ok=True)
            made.touch()
        for old in target.parent.glob(target.name.rpartition("-")[0] + "-*.jsa"):
            old.unlink(missing_ok=True)  # of another Java; a broker that uses it keeps it mapped
        made.replace(target)


def _usable(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
