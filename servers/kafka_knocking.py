"""Knocking at Kafka's servers, all at once: whether one lets us in, and if not, why."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from contract.errors import ConfigurationError
from servers.kafka_connection import KafkaConnection
from servers.kafka_visit import Visit, visit
from servers.refusals import PASSING_SECONDS, About, Refusal
from servers.side_by_side import as_they_come

_MOST_BROKERS = 5
"""Brokers that are visited besides the servers of the settings."""

_ROUND_SECONDS = 10.0
"""How long one round of visits may take; one to a server that accepts connections and says nothing
takes about 8 s."""

_THOROUGH_SECONDS = 12.0
"""How long all rounds may take of a loop that must show life."""

_CHECK = {
    About.CA: "check {prefix}SSL_CAFILE",
    About.CERTIFICATE: "renew the broker's certificate, or set this machine's clock",
    About.CLIENT_CERTIFICATE: "check {prefix}SSL_CERTFILE and {prefix}SSL_KEYFILE",
    About.CREDENTIALS: "check {prefix}SASL_USERNAME, {prefix}SASL_PASSWORD and "
    "{prefix}SASL_MECHANISM",
    About.HOST_NAME: "check {prefix}BOOTSTRAP_SERVERS, the brokers' advertised.listeners and the "
    "names in their certificates",
    About.MECHANISM: "check {prefix}SASL_MECHANISM",
    About.PROTOCOL: "check {prefix}SECURITY_PROTOCOL and the port in {prefix}BOOTSTRAP_SERVERS",
    About.RIGHTS: "grant this user the right",
}


def what_to_check(refusal: Refusal | None, connection: KafkaConnection) -> str:
    """Return what a person should do about a refusal, None standing for one of unknown reason."""
    text = _CHECK.get(refusal.about if refusal else About.SETTINGS, "check the settings")
    return text.format(prefix=connection.prefix)


def refused(server: str, refusal: Refusal, connection: KafkaConnection) -> ConfigurationError:
    """Return our error for a server that does not let us in."""
    return ConfigurationError(
        f"Kafka at {server} ({connection.security_protocol}) does not let us in: {refusal}; "
        f"{what_to_check(refusal, connection)}"
    )


def knock(
    connection: KafkaConnection,
    *,
    thorough: bool = False,
    visit: Callable[[KafkaConnection, str], Visit] = visit,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> list[Visit]:
    """Visit the servers, and the brokers that they name, until one lets us in.

    A refusal that may pass counts if the server repeats it after 2 s.

    Args:
        connection: Where and how.
        thorough: Whether one that lets us in does not make up for another that does not.
        visit: Visits one of them.
        clock: Monotonic clock, in seconds.
        sleep: Waits.

    Returns:
        The visits in the order in which they ended; unless ``thorough``, the last one says whether
        we are let in.

    Raises:
        ConfigurationError: A server does not let us in, or a TLS file cannot be used.
    """
    connection.client_options()  # raises here what it would in every thread
    visitor = _Visitor(partial(visit, connection), thorough, clock)
    visits = visitor.visit(connection.servers)
    # What a load balancer leads to is not where the client will go.
    visited = {each.server for each in visits}
    admitted = [each for each in visits if each.outcome == "admitted"]
    if thorough or (admitted and admitted[-1].server not in admitted[-1].brokers):
        named = list(dict.fromkeys(broker for each in admitted for broker in each.brokers))
        visits += visitor.visit([each for each in named if each not in visited][:_MOST_BROKERS])
    refusing = _refusing(visits, thorough)
    if refusing and all(each.refusal and each.refusal.may_pass for each in refusing):
        sleep(PASSING_SECONDS)
        again = {each.server for each in refusing}
        visits = [each for each in visits if each.server not in again]
        visits += visitor.visit(list(again))
        refusing = _refusing(visits, thorough)
    for each in refusing:
        if each.refusal is not None:
            raise refused(each.server, each.refusal, connection)
    return visits


class _Visitor:
    """Visits servers at once, within a bound.

    Args:
        visit: Visits one of them.
        thorough: Whether to go on after the first that lets us in.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, visit: Callable[[str], Visit], thorough: bool, clock: Callable[[], float]
    ) -> None:
        self._visit = visit
        self._thorough = thorough
        self._clock = clock
        self._end = clock() + (_THOROUGH_SECONDS if thorough else math.inf)

    def visit(self, servers: Sequence[str]) -> list[Visit]:
        """Return the visits in the order in which they ended, up to the first that is enough."""
        visits: list[Visit] = []
        seconds = max(0.0, min(_ROUND_SECONDS, self._end - self._clock()))
        for each in as_they_come(self._visit, servers, seconds, self._clock):
            visits.append(each)
            if each.outcome == "admitted" and not self._thorough:
                return visits
        ended = {each.server for each in visits}
        late = f"no answer within {seconds:g} s"
        return [Visit(each, "silent", late) for each in servers if each not in ended] + visits


def _refusing(visits: Sequence[Visit], thorough: bool) -> list[Visit]:
    if not thorough and visits[-1].outcome == "admitted":
        return []
    return [each for each in visits if each.refusal is not None]
