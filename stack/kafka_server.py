"""A real Apache Kafka broker on this machine: one node, KRaft mode, no Docker."""

import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract.errors import UnavailableError
from contract.topics import MAX_RECORD_BYTES
from stack.broker import START_SECONDS, Broker, wait_until_answering
from stack.child_process import StartError, log_tail
from stack.class_archive import java_options, make_class_archive
from stack.jars import KAFKA_VERSION, fetch_jars, jars_present, missing_java
from stack.launch import LOCALHOST, free_ports, launch

HEAP_MEGABYTES = 512
FORMAT_SECONDS = 60.0
_CLUSTER_ID = urlsafe_b64encode(b"seedstream-local").decode().rstrip("=")
"""Always the same, so that a broker can be started again on the data of the one before."""

_NAME = f"Apache Kafka {KAFKA_VERSION}"

# C1 and the serial collector: a broker for one machine starts in a third of the time.
_JAVA_OPTIONS = (
    f"-Xmx{HEAP_MEGABYTES}m",
    "-Xms128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners={listeners},CONTROLLER://{host}:{controller_port}
advertised.listeners={listeners}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={max_bytes}
replica.fetch.max.bytes={max_bytes}
socket.request.max.bytes=134217728
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.check.interval.ms=10000
log.segment.delete.delay.ms=1000
num.network.threads=2
num.io.threads=4
"""


@dataclass(frozen=True)
class Listener:
    """Where a broker answers.

    Attributes:
        name: Its name, in capitals.
        host: Host name that clients are told.
        port: Its port.
        protocol: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
        properties: Its own settings, without the prefix ``listener.name.NAME.``.
    """

    name: str
    host: str
    port: int
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)


def start_kafka(
    port: int | None = None,
    *,
    listeners: Sequence[Listener] = (),
    properties: Mapping[str, str] | None = None,
    folder: Path | None = None,
    detached: bool = False,
    timeout_seconds: float = START_SECONDS,
) -> Broker:
    """Start a broker and wait until it answers.

    Args:
        port: Port for clients on 127.0.0.1; None takes a free one.
        listeners: Where it answers besides that plaintext port.
        properties: Further settings of the broker.
        folder: Where its data and log go; None makes a temporary one, removed after the stop.
        detached: Whether it may outlive this process.
        timeout_seconds: How long it may take to answer.

    Returns:
        The running broker, a context manager.

    Raises:
        ConfigurationError: ``port`` is taken.
        UnavailableError: Java or Maven is missing, or the broker did not come up; the message
            carries the end of its log.
    """
    java = missing_java()
    if java is not None:
        raise UnavailableError(f"missing {java}: install it, or use the embedded broker")
    fetched_before = jars_present()
    jars = fetch_jars()
    # Who starts a broker for the first time is not kept waiting for what later starts gain.
    if fetched_before:
        make_class_archive(
            jars,
            lambda home, options: _launch(jars, None, home, options=options),
        )
    return _launch(
        jars,
        port,
        folder,
        listeners=listeners,
        properties=properties,
        detached=detached,
        timeout_seconds=timeout_seconds,
    )


def _launch(
    jars: Path,
    port: int | None,
    folder: Path | None,
    *,
    options: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
    properties: Mapping[str, str] | None = None,
    detached: bool = False,
    timeout_seconds: float = START_SECONDS,
) -> Broker:
    def start(client_port: int, home: Path) -> Broker:
        plaintext = Listener("PLAINTEXT", LOCALHOST, client_port, "PLAINTEXT")
        path = format_data(jars, home, [plaintext, *listeners], properties or {})
        return Broker.spawn(
            _NAME,
            [*java_command(jars, "kafka.Kafka", options), str(path)],
            log_path=home / "kafka.log",
            address=f"{LOCALHOST}:{client_port}",
            detached=detached,
            kind="kafka",
        )

    return launch(
        _NAME, port, folder, start, lambda broker: wait_until_answering(broker, timeout_seconds)
    )


def format_data(
    jars: Path, home: Path, listeners: Sequence[Listener], properties: Mapping[str, str]
) -> Path:
    """Write the broker's configuration and format its data folder; return the configuration."""
    data = home / "data"
    path = home / "server.properties"
    home.mkdir(parents=True, exist_ok=True)
    text = _PROPERTIES.format(
        host=LOCALHOST,
        listeners=",".join(f"{each.name}://{each.host}:{each.port}" for each in listeners),
        protocols=",".join(f"{each.name}:{each.protocol}" for each in listeners),
        controller_port=free_ports(1)[0],
        data=data,
        max_bytes=MAX_RECORD_BYTES,
    )
    own = {
        f"listener.name.{each.name.lower()}.{name}": value
        for each in listeners
        for name, value in each.properties.items()
    }
    more = "".join(f"{name}={value}\n" for name, value in (own | dict(properties)).items())
    path.write_text(text + more)
    command = java_command(jars, "kafka.tools.StorageTool")
    command += ["format", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(path)]
    log_path = home / "format.log"
    with log_path.open("wb") as log:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=FORMAT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StartError(
                f"formatting Kafka's data folder took over {FORMAT_SECONDS} s"
            ) from error
    if done.returncode != 0:
        raise StartError(f"cannot format Kafka's data folder {data}:\n{log_tail(log_path)}")
    return path


def java_command(jars: Path, main: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a main class of Kafka's."""
    logging = Path(__file__).with_name("log4j2.properties")
    own = [*_JAVA_OPTIONS, f"-Dlog4j2.configurationFile={logging}", *java_options(jars), *options]
    return ["java", *own, "-cp", f"{jars}/*", main]
