"""A cluster for the tests, and a table of what was seen at the end."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster import proof
from tests.cluster.installation import Stack
from tests.cluster.machine import DIR, Cluster, missing, script

REPORT = Path(os.environ.get("CLUSTER_REPORT", "/tmp/seedstream-cluster-report"))
KEEP = "CLUSTER_KEEP"
"""Set to leave the cluster up after the tests, and to use one that is up already."""

_ROWS: list[tuple[str, str]] = []


_HASH = proof.hash_of_what_is_read()
"""Of what these very tests read, before anyone can change it."""

IMAGES = ("kafka", "redis", "producer", "viewer", "worker", "trainer")
"""Those that do not wait for a program that is compiled here, as Prometheus' does."""

_IMAGES = ("seedstream/", "apache/", "valkey/", "prom/")

_ORDER = ("install", "delivery", "scaling", "watching", "training", "wrong_settings")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the installation into an empty cluster, and give each test the time it takes."""
    for item in items:
        # The first one waits for everything to be built.
        item.add_marker(pytest.mark.timeout(3600))
    items.sort(key=lambda item: _ORDER.index(item.path.stem.removeprefix("test_")))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Kubernetes of one node, with KEDA, and with our images in it."""
    why = missing()
    if why:
        pytest.skip(f"no Kubernetes on this machine: {why}")
    kept = os.environ.get(KEEP) and (DIR / "run").exists()
    try:
        if not kept:
            timed("packages")
            # Go's compiler keeps the cores busy, images the network and the disk.
            with ThreadPoolExecutor() as both:
                list(both.map(timed, ("build", "images"), ((), IMAGES)))
            timed("down")
            timed("up")
            # Before any test: the 2 GB of the trainer's, brought in beside the tests, slowed the
            # disk so far that workers no longer kept up with their cameras.
            timed("images", ("prometheus", *IMAGES))
            timed("keda")
        yield Cluster()
    finally:
        if not os.environ.get(KEEP):
            script("down")


def timed(name: str, arguments: tuple[str, ...] = ()) -> None:
    """Run a script; what it took is a line of the table, and of each image what it took."""
    began = time.monotonic()
    said = script(name, *arguments)
    _ROWS.append((" ".join((f"{name}.sh", *arguments)), f"{time.monotonic() - began:.0f} s"))
    if name == "images":
        _ROWS.extend(("", line) for line in said.splitlines() if line.startswith(_IMAGES))


@pytest.fixture(scope="session")
def stack(cluster: Cluster) -> Stack:
    """The installation; nothing is applied yet."""
    volumes = DIR / "volumes"
    if not cluster.kubectl("get", "namespace", "seedstream", "--ignore-not-found"):
        shutil.rmtree(volumes, ignore_errors=True)
    for claim, user in {
        "data-kafka-0": 1000,
        "data-redis-0": 999,
        "models": 10001,
        "training-data": 10001,
    }.items():
        cluster.volume(claim, "seedstream", claim, volumes / claim, user)
    return Stack(cluster, _ROWS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Write down what the cluster looked like when a test failed."""
    report = yield
    if report.failed and (DIR / "run").exists():
        folder = REPORT / item.name
        Cluster().dump(folder)
        report.sections.append(("cluster", f"pods, events and logs are in {folder}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _ROWS:
        terminalreporter.section("what the cluster showed")
        width = max(len(what) for what, _ in _ROWS)
        for what, seen in _ROWS:
            terminalreporter.write_line(f"{what:<{width}}  {seen}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note that everything passed, unless some was left out, or was changed meanwhile."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    files = {item.path.stem for item in session.items}
    whole = (
        len(reporter.stats.get("passed", ())) == session.testscollected
        and not reporter.stats.get("deselected")
        and files == {f"test_{each}" for each in _ORDER}
    )
    if exitstatus or not whole or os.environ.get(KEEP):
        return
    if _HASH and proof.hash_of_what_is_read() == _HASH:
        proof.record(_HASH, f"on {datetime.now(UTC):%F %H:%M} UTC, {session.testscollected} passed")
