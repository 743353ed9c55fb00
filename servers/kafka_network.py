"""The network below kafka-python's clients, without what makes them lose a broker's last word.

Library: kafka-python 3.0.12. What it does otherwise, each held by a test:

- An answer that comes together with the end of the connection is thrown away. So ends every refused
  login: the client sees "socket disconnected", and tries again for ever.
- A TLS handshake with a server that says nothing is waited for without a bound.
- A server that does not answer connections is waited for up to 30 s, although its name may lead
  elsewhere by then: names are resolved for each attempt.
"""

from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

CONNECT_SECONDS = 4.0
"""How long one attempt to connect, with its TLS handshake, may take."""


class Manager(KafkaConnectionManager):  # type: ignore[misc]  # no types there
    """kafka-python's manager of connections, with bounded attempts and transports that listen."""

    DEFAULT_CONFIG = KafkaConnectionManager.DEFAULT_CONFIG | {
        "socket_connection_setup_timeout_ms": CONNECT_SECONDS * 1000,
        "socket_connection_setup_timeout_max_ms": CONNECT_SECONDS * 1000,
    }

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        # The library's own only bounds the connection itself, not the handshake after it.
        building = self.call_soon(super()._build_transport, node, timeout_at)
        try:
            transport = await self.wait_for(building, CONNECT_SECONDS * 1000)
        except errors.KafkaTimeoutError as error:
            raise errors.KafkaConnectionError(
                f"no TLS handshake within {CONNECT_SECONDS:g} s"
            ) from error
        receive = transport._sock_recv

        def receive_all() -> tuple[bytes, Exception | None]:
            data, end = receive()
            # The next call tells of the end again.
            return data, None if data else end

        transport._sock_recv = receive_all
        return transport


def network_client(**configs: Any) -> KafkaNetClient:
    """Return what kafka-python's clients take as their ``kafka_client``."""
    net = NetworkSelector(**configs)
    return KafkaNetClient(net=net, manager=Manager(net, **configs), **configs)
