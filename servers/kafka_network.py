"""The network below kafka-python's clients, without what makes them hang, spin or misread a broker.

Library: kafka-python 3.0.12. What it does otherwise, each held by a test:

- An answer that comes together with the end of the connection is thrown away. So ends every refused
  login: the client sees "socket disconnected", and tries again for ever.
- A TLS handshake with a server that says nothing is waited for without a bound.
- A server that does not answer connections is waited for up to 30 s, although its name may lead
  elsewhere by then: names are resolved for each attempt.
- Of several servers it asks any one for the brokers, dead ones too, for seconds each.
- A network's word that nobody is there (ICMP; a Kubernetes Service without a ready pod sends it) is
  not taken as one. Linux keeps it with the socket, which from then on is never without an event:
  the client's loop spins on a whole core while it connects, and for as long as it is connected if a
  later packet gets through. See tcp(7) and ip(7), `IP_RECVERR`.
"""

import errno
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from kafka import errors
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from servers import host_names

CONNECT_SECONDS = 4.0
"""How long one attempt to connect may take, and then its TLS handshake."""

ASK_SECONDS = 4.0
"""After so long without a word from any broker, a watched client asks for one. A member of a group
hears one more often, at its heartbeats."""

SILENT_SECONDS = 10.0
"""Brokers that are connected and have said nothing for so long count as away."""


class Manager(KafkaConnectionManager):  # type: ignore[misc]  # no types there
    """kafka-python's manager of connections, with bounded attempts and transports that listen."""

    DEFAULT_CONFIG = KafkaConnectionManager.DEFAULT_CONFIG | {
        "socket_connection_setup_timeout_ms": CONNECT_SECONDS * 1000,
        "socket_connection_setup_timeout_max_ms": CONNECT_SECONDS * 1000,
    }

    def __init__(self, net: Any, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._heard_at = time.monotonic()
        self._watched = False

    @property
    def answered(self) -> bool:
        """Whether a broker is connected, and one has said something of late."""
        connected = any(each.connected for each in list(self._conns.values()))
        return connected and time.monotonic() - self._heard_at < SILENT_SECONDS

    def watch(self) -> None:
        """Ask for a word from now on when no broker has said one for a while; from any thread."""
        if not self._watched:
            self._watched = True
            self._net.call_soon_threadsafe(self._ask_when_silent)

    def _ask_when_silent(self) -> None:
        if self.closed:
            return
        if time.monotonic() - self._heard_at >= ASK_SECONDS:
            # Asks for the brokers, and tries to connect again until one answers.
            self.cluster.request_update()
        self._net.call_later(ASK_SECONDS / 4, self._ask_when_silent)

    def prefer(self, server: str) -> None:
        """Ask this server for the brokers for as long as that works."""
        chosen = self.cluster.bootstrap_brokers

        def bootstrap_brokers() -> list[Any]:
            found = chosen()
            for each in found:
                host = f"[{each.host}]" if ":" in each.host else each.host
                if f"{host}:{each.port}" == server and not self.connection_delay(each.node_id):
                    return [each]
            return list(found)

        self.cluster.bootstrap_brokers = bootstrap_brokers

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await self._connected(node, timeout_at)
        if self.ssl_enabled:
            tls = {key: value for key, value in self.config.items() if key.startswith("ssl_")}
            transport = KafkaSSLTransport(self._net, sock, host=node.host, **tls)
        else:
            transport = KafkaTCPTransport(self._net, sock, host=node.host)
        try:
            await self._shaken(transport)
        except (OSError, ValueError, errors.KafkaError) as error:
            transport.close()
            raise errors.KafkaConnectionError(f"Handshake failed: {error}") from error
        receive = transport._sock_recv

        def receive_all() -> tuple[bytes, Exception | None]:
            data, end = receive()
            if data:
                self._heard_at = time.monotonic()
            # The next call tells of the end again.
            return data, None if data else end

        transport._sock_recv = receive_all
        return transport

    async def _connected(self, node: Any, timeout_at: float | None) -> socket.socket:
        """Return a connection to the first address of a broker that takes one."""
        connector = Connector()
        failure = errors.KafkaConnectionError(f"no address is known of {node.host}")
        for address in connector.dns_lookup(node.host, node.port):
            try:
                connected: socket.socket = await connector.connect(
                    self._net, address, self.config["socket_options"], timeout_at=timeout_at
                )
            except (OSError, errors.KafkaError) as error:
                failure = errors.KafkaConnectionError(f"{address[4][0]}: {error}")
            else:
                return connected
        raise failure

    async def _shaken(self, transport: Any) -> None:
        """Wait for the TLS handshake, within a bound.

        Raises:
            KafkaTimeoutError: There was none in time.
        """
        outcome = Future()

        async def shake() -> None:
            try:
                await transport.handshake()
            except (OSError, ValueError, errors.KafkaError) as error:
                outcome.failure(error)
            else:
                outcome.success(None)

        task = self._net.call_soon(shake)
        try:
            await self.wait_for(outcome, CONNECT_SECONDS * 1000)
        except errors.KafkaTimeoutError as error:
            self._net.cancel(task)
            raise errors.KafkaTimeoutError(f"no answer within {CONNECT_SECONDS:g} s") from error


class Connector(KafkaNetSocket):  # type: ignore[misc]  # no types there
    """Makes connections, and believes the network when it says that nobody is there."""

    SCHEMES = ()

    def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> list[Any]:
        """Return the addresses of a host.

        Raises:
            KafkaConnectionError: Its name is none; with ``raise_error`` also if it has no address.
        """
        try:
            found: list[Any] = super().dns_lookup(host, port, raise_error)
        except UnicodeError as error:
            said = f"{host!r} is no host name: {host_names.WHY}"
            raise errors.KafkaConnectionError(said) from error
        return found

    async def sock_connect(
        self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
    ) -> socket.socket:
        """Return the socket, connected; otherwise close it.

        Raises:
            KafkaConnectionError: Nobody takes connections there.
            KafkaTimeoutError: There was no answer in time.
        """
        try:
            connected: socket.socket = await super().sock_connect(net, sock, sockaddr, timeout_at)
        except BaseException:
            sock.close()
            raise
        return connected

    def connect_ex(self, sock: socket.socket, sockaddr: Any) -> int:
        """Go on connecting, without waiting; return 0, or the error's number."""
        result: int = super().connect_ex(sock, sockaddr)
        if result in (errno.EINPROGRESS, errno.EALREADY):
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or result
        if result in (0, errno.EISCONN):
            forget_errors(sock)
        return result


def forget_errors(sock: socket.socket) -> None:
    """Drop what the network said of earlier packets of a connection that has come about since."""
    if sys.platform != "linux":
        return
    try:
        while True:
            sock.recvmsg(1, 0, socket.MSG_ERRQUEUE)
    except OSError:
        return  # there is nothing more


def watch_brokers(client: Any) -> Callable[[], bool]:
    """Return what tells whether brokers answer a client, also while it has nothing to ask them.

    A connection that has ended is noticed at once, a network that has gone silent within
    `SILENT_SECONDS`.

    Args:
        client: A ``KafkaProducer`` or ``KafkaConsumer`` that was opened with `network_client`.
    """
    network = getattr(client, "_client", None) or client._sender._client
    manager: Manager = network._manager
    manager.watch()
    return lambda: manager.answered


def network_client(*, first: str | None = None, **configs: Any) -> KafkaNetClient:
    """Return what kafka-python's clients take as their ``kafka_client``.

    Args:
        first: The server, HOST:PORT, that is asked first for the brokers.
        configs: The client's options.
    """
    net = NetworkSelector(**configs)
    manager = Manager(net, **configs)
    if first is not None:
        manager.prefer(first)
    return KafkaNetClient(net=net, manager=manager, **configs)
