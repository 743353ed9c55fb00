"""A broker that the network calls unreachable, as Kubernetes does of a Service without a pod."""

import errno
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from kafka.errors import KafkaConnectionError
from kafka.net.selector import NetworkSelector

from servers.kafka_network import Connector, Manager
from tests.namespaces import Network, missing, own_network


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    why = missing()
    if why:
        pytest.skip(why)
    # In a thread that ends: the one that makes the namespaces lives in one of them.
    with ThreadPoolExecutor(1) as near:
        made = own_network()
        yield near.submit(made.__enter__).result()
        near.submit(made.__exit__, None, None, None).result()


@pytest.fixture
def far(network: Network) -> Iterator[Executor]:
    """A thread at the far end."""
    with ThreadPoolExecutor(1, initializer=network.enter) as thread:
        yield thread


@pytest.fixture
def port(network: Network) -> Iterator[int]:
    """One that takes connections, once the network lets them through."""
    with ThreadPoolExecutor(1, initializer=network.enter_near) as near:
        listening = near.submit(socket.create_server, (network.host, 0)).result()
    with listening:
        number = listening.getsockname()[1]
        network.refuse(number)
        yield number
        network.clear()


def test_an_unreachable_broker_is_refused_at_once_and_nothing_spins(
    network: Network, far: Executor, port: int
) -> None:
    def attempt() -> tuple[BaseException, int]:
        net, rounds = NetworkSelector(), 0
        manager = Manager(net, bootstrap_servers=[f"{network.host}:{port}"])
        poll = net._poll_once

        def counted(*arguments: object, **options: object) -> None:
            nonlocal rounds
            rounds += 1
            poll(*arguments, **options)

        net._poll_once = counted

        async def connect() -> None:
            await manager.get_connection("bootstrap-0", refresh_metadata_on_err=False)

        try:
            with pytest.raises(KafkaConnectionError) as refused:
                manager.run(connect)
        finally:
            manager.close()
            net.close()
        return refused.value, rounds

    error, rounds = far.submit(attempt).result()
    assert "ECONNREFUSED" in str(error)
    assert rounds < 50  # one packet's second of waiting was 10,000


def test_what_the_network_said_before_is_forgotten_once_connected(
    network: Network, far: Executor, port: int
) -> None:
    address = (network.host, port)

    def connected_late() -> tuple[int, list[int], int, list[int]]:
        with socket.socket() as sock:
            sock.setblocking(False)
            first = sock.connect_ex(address)
            network.admit(port)  # before the packet is sent again, a second later
            poll = select.poll()
            poll.register(sock, select.POLLIN | select.POLLOUT)
            give_up_at = time.monotonic() + 20
            while not poll.poll(1000)[0][1] & select.POLLOUT and time.monotonic() < give_up_at:
                time.sleep(0.05)
            poll.modify(sock, select.POLLIN)
            before = [event for _, event in poll.poll(0)]
            last = Connector().connect_ex(sock, address)
            return first, before, last, [event for _, event in poll.poll(0)]

    first, before, last, after = far.submit(connected_late).result()
    assert first == errno.EINPROGRESS
    assert before == [select.POLLERR]  # it would be without an end, although nothing is there
    assert last in (0, errno.EISCONN)
    assert after == []
