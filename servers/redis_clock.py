"""What time it is on a server of Redis: other clocks may differ from it.

Library: redis-py.
"""

from typing import Any

from redis.cluster import RedisCluster

from servers.redis import Client


def server_time(client: Client, key: str) -> float:
    """Return the time by the clock of the server that has a key, in seconds since 1970.

    Raises:
        ERRORS: It does not answer.
    """
    if isinstance(client, RedisCluster):
        node: Any = client.get_node_from_key(key)  # type: ignore[no-untyped-call]
        told: Any = client.time(target_nodes=node)
        told = told[node.name] if isinstance(told, dict) else told
    else:
        told = client.time()
    seconds, microseconds = told
    return float(seconds) + float(microseconds) / 1e6
