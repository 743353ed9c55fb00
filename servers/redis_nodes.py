"""Which node of a Redis Cluster answers, when some of those that are known may be gone.

Library: redis-py, which asks them one after the other: silent ones add up.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis import exceptions

from servers.redis_visit import read_refusal
from servers.side_by_side import as_they_come

Node = tuple[str, int]

Ask = Callable[[str], Exception | None]
"""Asks the node of a URL; returns what is wrong with it."""


def first_that_answers(url: str, nodes: Sequence[Node], seconds: float, ask: Ask) -> str:
    """Return a cluster's URL with the first node in it that answers; all are asked at once.

    Args:
        url: Of one node.
        nodes: Others, which are asked too.
        seconds: How long to wait for all of them.
        ask: Asks one; called in threads.

    Raises:
        ConnectionError: redis-py's; none of them answers.
    """
    urls = list(dict.fromkeys([url, *(_with_node(url, node) for node in nodes)]))
    if len(urls) == 1:
        return url
    answered: str | None = None
    for each, error in as_they_come(lambda asked: (asked, ask(asked)), urls, seconds):
        if error is None:
            return each
        if read_refusal(error) is not None or isinstance(error, exceptions.ResponseError):
            answered = answered or each
    if answered is not None:
        return answered  # what is wrong with it, it says again
    raise exceptions.ConnectionError(f"none of {len(urls)} nodes of the cluster answers")


def ask_for_slots(options: dict[str, Any]) -> Ask:
    """Return what asks a node which one serves which slot.

    Args:
        options: Those of ``redis.Redis``.
    """

    def ask(url: str) -> Exception | None:
        with redis.Redis.from_url(url, **options) as client:
            try:
                client.execute_command("CLUSTER SLOTS")
            except (exceptions.RedisError, OSError, UnicodeError) as error:
                return error
        return None

    return ask


def _with_node(url: str, node: Node) -> str:
    parts, (host, port) = urlsplit(url), node
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(
        netloc=f"{user}{at}{f'[{host}]' if ':' in host else host}:{port}"
    ).geturl()
