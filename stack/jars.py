"""Apache Kafka's jars: fetched once with Maven into the user's cache."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import UnavailableError

KAFKA_VERSION = "4.1.0"
FETCH_SECONDS = 600.0
"""How long Maven may take: 43 MB, about 10 s on a usual line."""

_MAIN_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"


def cache_folder() -> Path:
    """Return the project's folder in the user's cache (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "seedstream"


def missing_programs() -> list[str]:
    """Return what is missing on this machine to run Apache Kafka, for people."""
    if shutil.which("java") is None:
        return ["Java 17 or newer (`java`)"]
    if jars_present():
        return []
    return [] if shutil.which("mvn") else ["Maven (`mvn`)"]


def jars_folder() -> Path:
    """Return the folder where the jars are, or will be."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def jars_present() -> bool:
    """Return whether the jars have been fetched."""
    return (jars_folder() / _MAIN_JAR).is_file()


def fetch_jars() -> Path:
    """Return the folder with the broker's jars, after fetching them where they are missing.

    Several processes may call it at once: one fetches, the others wait. The folder appears whole
    or not at all.

    Raises:
        UnavailableError: Maven is missing, failed or took longer than ``FETCH_SECONDS``.
    """
    target = jars_folder()
    if jars_present():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.with_suffix(".lock")):
        if not jars_present():
            _fetch_into(target)
    return target


def _fetch_into(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=target.parent) as folder:
        jars = Path(folder) / "jars"
        _run_maven(Path(folder), jars)
        if not (jars / _MAIN_JAR).is_file():
            raise UnavailableError(f"Maven ended well but did not bring {_MAIN_JAR}")
        shutil.rmtree(target, ignore_errors=True)  # what an interrupted removal may have left
        jars.rename(target)


def _run_maven(folder: Path, jars: Path) -> None:
    # A copy: Maven must be able to work beside the file, which may be installed read-only.
    pom = shutil.copy(Path(__file__).with_name("pom.xml"), folder / "pom.xml")
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={jars}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise UnavailableError("Maven (`mvn`) is missing: install it") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"Maven did not fetch Kafka's jars within {FETCH_SECONDS:.0f} s: is the network up?"
        ) from error
    if done.returncode != 0:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise UnavailableError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{end}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed with the file, also when the process dies
        yield
