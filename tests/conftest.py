"""Fixtures that several kinds of tests share; servers start when the first test asks for one."""

import itertools
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from stack.broker import Broker
from stack.child_process import log_tail
from stack.jars import missing_programs
from stack.kafka_server import start_kafka
from stack.redis_server import RedisServer, start_redis
from tests.certificates import Certificates, make_certificates
from tests.fork_server import close_fork_server, forking, note_environment
from tests.redis_cluster import RedisCluster, running_cluster
from tests.secured_kafka import SecuredKafka, running_secured_kafka
from tests.secured_redis import SecuredRedis, running_secured_redis

REQUIRE_ALL = "SEEDSTREAM_REQUIRE_ALL"
"""Set in CI, where everything is there: a skipped test then counts as a failed one."""

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no skipped test pass for a green one where nothing should be missing.

    A failed one shows what its processes logged.
    """
    report = yield
    if report.failed and isinstance(item, pytest.Function) and "tmp_path" in item.funcargs:
        for path in sorted(item.funcargs["tmp_path"].rglob("*.log")):
            report.sections.append((f"the end of {path}", log_tail(path, 100)))
    if report.skipped and os.environ.get(REQUIRE_ALL):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and {REQUIRE_ALL} is set: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that is skipped while it is read."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} is skipped, and {REQUIRE_ALL} is set"
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note how the run ended, for `.ci/run`: 1 if it came to its end and some tests failed."""
    cache = session.config.cache
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("seedstream/exit_status", int(exitstatus))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that ran in this process did to the root logger.

    Its handler would write into the captured, by then closed standard error of its test.
    """
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = [*root.handlers], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook


@pytest.fixture(scope="session", autouse=True)
def no_fork_server_stays() -> Iterator[None]:
    """End the one that starts our processes, if a test needed it."""
    note_environment()
    yield
    close_fork_server()


@pytest.fixture(scope="module", autouse=True)
def quick_starts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fork our processes, except for a file with ``STARTS_ANEW`` and for all of `make chaos`."""
    if getattr(request.module, "STARTS_ANEW", False) or "SEEDSTREAM_CHAOS" in os.environ:
        yield
    else:
        with forking():
            yield


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A real Apache Kafka: ``.bootstrap_servers``, ``.create_topic(name, partitions)``."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"no Apache Kafka on this machine: missing {', '.join(missing)}")
    with start_kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis-compatible server: ``.url``."""
    with start_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A real Redis Cluster of three nodes: ``.url``."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority of our own, and faulty ones."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secured_kafka(certificates: Certificates) -> Iterator[SecuredKafka]:
    """A real Kafka with TLS, SCRAM and ACLs: ``.at[LISTENER]``, ``.add_user``, ``.allow``."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"no Apache Kafka on this machine: missing {', '.join(missing)}")
    with running_secured_kafka(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def secured_redis(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredRedis]:
    """A real Redis with TLS and ACL users: ``.url``, ``.allow``."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine: the wheel's has no TLS")
    with running_secured_redis(certificates, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Return names for topics, groups and cameras that no other test or run uses."""
    run, counter = uuid.uuid4().hex[:8], itertools.count(1)
    return lambda prefix: f"{prefix}-{run}-{next(counter)}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ``../shared/data`` of the project's workplace."""
    folder = Path(os.environ.get("SHARED", REPOSITORY.parent / "shared")).resolve() / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the data that is not part of the repository is not here")
    return folder


@pytest.fixture(scope="session")
def street_model() -> Path:
    """The model artifact that ships in the repository."""
    return REPOSITORY / "artifacts" / "street" / "1"
