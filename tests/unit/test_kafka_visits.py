"""Which servers and brokers are visited to learn why Kafka does not let us in, and for how long."""

import threading
import time
from functools import partial

import pytest

from contract.errors import ConfigurationError
from servers.kafka_connection import KafkaConnection
from servers.kafka_knocking import knock
from servers.kafka_visit import Visit
from servers.refusals import About, Refusal

REFUSAL = Refusal(About.CREDENTIALS, "unknown user")


def connection(*servers: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=",".join(servers))


def test_a_broker_that_differs_is_found_where_the_settings_name_it_after_a_good_one() -> None:
    brokers = ("a:9092", "b:9092", "c:9092")

    def visit(_: KafkaConnection, server: str) -> Visit:
        if server == "c:9092":
            return Visit(server, "refused", "no", REFUSAL)
        return Visit(server, "admitted", brokers=brokers)

    ask = partial(knock, connection(*brokers), visit=visit, sleep=lambda _: None)
    with pytest.raises(ConfigurationError, match="c:9092"):
        ask(thorough=True)
    assert ask()[-1].outcome == "admitted"


def test_many_silent_servers_do_not_hold_up_a_loop_that_must_show_life() -> None:
    together = threading.Barrier(20)

    def visit(_: KafkaConnection, server: str) -> Visit:
        together.wait(10)  # one after the other they would never end
        return Visit(server, "silent", "no answer")

    servers = connection(*(f"broker-{number}:9092" for number in range(20)))
    assert len(knock(servers, thorough=True, visit=visit)) == 20


def test_a_living_server_does_not_wait_for_the_silent_ones() -> None:
    release = threading.Event()

    def visit(_: KafkaConnection, server: str) -> Visit:
        if server == "good:9092":
            return Visit(server, "admitted", brokers=(server,))
        release.wait(60)
        return Visit(server, "silent", "no answer")

    silent = [f"silent-{number}:9092" for number in range(5)]
    began = time.monotonic()
    visits = knock(connection(*silent, "good:9092"), visit=visit)
    release.set()
    assert visits[-1].server == "good:9092"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("about", list(About))
def test_a_refusal_of_a_kind_that_may_pass_is_heard_twice_before_it_counts(about: About) -> None:
    refusal, asked, waited = Refusal(about, "no"), 0, 0.0

    def visit(_: KafkaConnection, server: str) -> Visit:
        nonlocal asked
        asked += 1
        if asked == 1:
            return Visit(server, "refused", "no", refusal)
        return Visit(server, "admitted", brokers=(server,))

    def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds

    ask = partial(knock, connection("a:9092"), visit=visit, sleep=sleep)
    if about in (About.CREDENTIALS, About.RIGHTS):
        assert ask()[-1].outcome == "admitted"
        assert waited >= 1
    else:
        with pytest.raises(ConfigurationError, match=f"{about.value}: no"):
            ask()
        assert not waited


def test_what_raises_within_a_visit_is_raised_to_the_caller() -> None:
    def visit(_: KafkaConnection, server: str) -> Visit:
        raise ConfigurationError(f"{server}: no such file")

    with pytest.raises(ConfigurationError, match="no such file"):
        knock(connection("a:9092", "b:9092"), visit=visit)
