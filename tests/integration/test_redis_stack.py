import time
from pathlib import Path

import pytest
import redis

from contract.errors import ConfigurationError, UnavailableError
from stack import redis_server as server_module
from stack.redis_server import RedisServer, start_redis


def test_streams_scripts_and_expiry_work(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.xadd("stack-test", {"a": "1"}, id="5-1")
        with pytest.raises(redis.ResponseError, match="smaller"):
            client.xadd("stack-test", {"a": "1"}, id="5-1")
        assert client.eval("return redis.call('XLEN', KEYS[1])", 1, "stack-test") == 1
        client.expire("stack-test", 60)
        assert 0 < client.ttl("stack-test") <= 60


def fill(client: "redis.Redis", megabytes: int) -> None:
    for number in range(megabytes):
        client.set(f"fill-{number}", bytes(1_000_000))


def test_it_refuses_writes_at_its_memory_bound_rather_than_forget() -> None:
    with start_redis(max_memory_megabytes=4) as server, redis.Redis.from_url(server.url) as client:
        client.set("first", "kept")
        with pytest.raises(redis.OutOfMemoryError):
            fill(client, 100)
        assert client.get("first") == b"kept"


def test_stopping_leaves_no_process_and_no_folder() -> None:
    with start_redis() as server:
        assert server.alive()
    assert not Path(f"/proc/{server.pid}").exists()
    assert server.folder is not None
    assert not server.folder.exists()


def test_nothing_is_kept_on_disk(tmp_path: Path) -> None:
    with start_redis(folder=tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "b")
    assert [each.name for each in tmp_path.iterdir()] == ["redis.log"]


def test_a_taken_port_is_refused(redis_server: RedisServer) -> None:
    port = int(redis_server.address.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=rf"port {port} .* is taken"):
        start_redis(port)


def test_a_port_that_is_taken_in_between_is_replaced_by_another(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(redis_server.address.rpartition(":")[2])
    choices = iter([[taken], [taken]])
    from stack import launch

    free = launch.free_ports
    monkeypatch.setattr(launch, "free_ports", lambda count: next(choices, None) or free(count))
    with start_redis() as server:
        assert server.address != redis_server.address
    assert next(choices, None) is None  # both bad choices were tried


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "_options", lambda *_: ["--no-such-option", "1"])
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="no-such-option"):
        start_redis()
    assert time.monotonic() - began < server_module.START_SECONDS  # its death is noticed
