"""Apache Kafka's jars: fetched once with Maven into the user's cache."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import UnavailableError
from stack.child_process import ChildProcess, log_tail

KAFKA_VERSION = "4.1.0"
FETCH_SECONDS = 600.0
"""How long Maven may take: 43 MB, about 10 s on a usual line."""

JAVA_MAJOR = 17
"""Oldest Java that runs a broker of Kafka 4 (Kafka 4.0 upgrade notes)."""

JAVA_SECONDS = 20.0
"""How long Java may take to say its version: 0.1 s on an idle machine."""

_MAIN_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"


def cache_folder() -> Path:
    """Return the project's folder in the user's cache (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "seedstream"


def missing_programs() -> list[str]:
    """Return what is missing on this machine to run Apache Kafka, for people."""
    java = missing_java()
    if java is not None:
        return [java]
    if jars_present():
        return []
    return [] if shutil.which("mvn") else ["Maven (`mvn`)"]


def missing_java() -> str | None:
    """Return what Java is missing and what is here instead, None where it can run Kafka."""
    wanted = f"Java {JAVA_MAJOR} or newer (`java`)"
    path = shutil.which("java")
    if path is None:
        return wanted
    try:
        done = subprocess.run(
            [path, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=JAVA_SECONDS,
            check=False,
        )
    except OSError as error:
        return f"{wanted}; {path} cannot be run: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{wanted}; {path} did not say its version within {JAVA_SECONDS:.0f} s"
    # "17.0.15", "21", "22-ea"; up to Java 8 the major version came second: "1.8.0_392".
    found = re.search(r'version "((?:1\.)?(\d+)[^"]*)"', done.stdout)
    if done.returncode != 0 or found is None:
        said = done.stdout.strip()[-200:] or "nothing"
        return f"{wanted}; {path} -version said {said!r} and exited with {done.returncode}"
    return None if int(found[2]) >= JAVA_MAJOR else f"{wanted}; {path} is {found[1]}"


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
            raise UnavailableError(f"Maven succeeded but did not fetch {_MAIN_JAR}")
        shutil.rmtree(target, ignore_errors=True)  # what an interrupted removal may have left
        jars.rename(target)


def _run_maven(folder: Path, jars: Path) -> None:
    # A copy: Maven must be able to work beside the file, which may be installed read-only.
    pom = shutil.copy(Path(__file__).with_name("pom.xml"), folder / "pom.xml")
    if shutil.which("mvn") is None:
        raise UnavailableError("Maven (`mvn`) is missing: install it")
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={jars}"]
    with ChildProcess.spawn("Maven", command, log_path=folder / "maven.log") as maven:
        code = maven.wait(FETCH_SECONDS)
    if code is None:
        raise UnavailableError(
            f"Maven did not fetch Kafka's jars within {FETCH_SECONDS:.0f} s: is the network up?"
        )
    if code != 0:
        end = log_tail(maven.log_path, lines=10)
        raise UnavailableError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{end}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed with the file, also when the process dies
        yield
