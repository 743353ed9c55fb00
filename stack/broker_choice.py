"""Which Kafka broker to start: Apache Kafka where it can run, the embedded one elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from contract.errors import UnavailableError
from stack.broker import Broker
from stack.embedded import start_embedded
from stack.jars import KAFKA_VERSION, fetch_jars, jars_present, missing_programs
from stack.kafka_server import start_kafka

BrokerKind = Literal["auto", "kafka", "embedded"]
"""``kafka``: Apache Kafka or an error; ``embedded``: Tansu; ``auto``: the first that can run."""

BROKER_KINDS: tuple[BrokerKind, ...] = ("auto", "kafka", "embedded")


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
