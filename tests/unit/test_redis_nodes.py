import threading
import time

import pytest
from redis import exceptions

from servers.redis_nodes import first_that_answers

URL = "redis://user:word@first:7000?socket_keepalive=1"
NODES = [("first", 7000), *((f"node-{number}", 7000) for number in range(5)), ("::1", 7001)]


def test_a_node_that_answers_does_not_wait_for_the_silent_ones() -> None:
    release = threading.Event()

    def ask(url: str) -> Exception | None:
        if "node-3" not in url:
            release.wait(20)
        return None

    began = time.monotonic()
    found = first_that_answers(URL, NODES, 20, ask)
    release.set()
    assert found == "redis://user:word@node-3:7000?socket_keepalive=1"
    assert time.monotonic() - began < 10


def test_all_nodes_are_asked_at_once_and_each_once() -> None:
    together, asked = threading.Barrier(7), []

    def ask(url: str) -> Exception | None:
        asked.append(url)
        together.wait(20)  # one after the other they would never end
        return exceptions.TimeoutError("no answer")

    with pytest.raises(exceptions.ConnectionError, match="none of 7 nodes"):
        first_that_answers(URL, NODES, 20, ask)
    assert sorted(asked)[-1] == "redis://user:word@node-4:7000?socket_keepalive=1"
    assert "redis://user:word@[::1]:7001?socket_keepalive=1" in asked


def test_of_nodes_that_refuse_one_says_why() -> None:
    def ask(url: str) -> Exception | None:
        refusal = exceptions.NoPermissionError("no")
        return refusal if "node-2" in url else exceptions.ConnectionError("gone")

    assert "node-2" in first_that_answers(URL, NODES, 20, ask)


def test_one_node_alone_is_not_asked_twice() -> None:
    def ask(url: str) -> Exception | None:
        raise AssertionError(url)

    assert first_that_answers(URL, (), 20, ask) == URL
