"""The live page's server with a real Redis, a real process and real WebSockets."""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from websockets.exceptions import ConnectionClosed

from stack.redis_server import RedisServer, start_redis
from tests.chaos.restartable_redis import RestartableRedis
from tests.default_keys import KEYS
from tests.fakes import wait_until
from tests.made_previews import MadeCameras, brightness_of
from tests.open_pages import LiveServer, OpenPage, known, live_server, open_page
from tests.redis_cluster import RedisCluster
from tests.secured_redis import VIEW_RULES
from tests.waits import PATIENCE

CAMERAS = ["gate", "yard", "roof"]
Look = Callable[[OpenPage], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture(scope="module")
def made(own_redis: RedisServer) -> Iterator[MadeCameras]:
    with MadeCameras(own_redis.url, CAMERAS) as made:
        yield made


@pytest.fixture(scope="module")
def server(
    own_redis: RedisServer, made: MadeCameras, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("view")
    with live_server(folder, own_redis.url, cameras=CAMERAS) as server:
        yield server


def with_page(address: str, look: Look) -> OpenPage:
    """Open a page, run what it does, and return it."""

    async def run() -> OpenPage:
        async with open_page(address) as socket:
            page = OpenPage(socket)
            await look(page)
            return page

    return asyncio.run(run())


async def watch_until(page: OpenPage, cameras: Sequence[str], pictures: float) -> None:
    """Watch until each camera has shown so many; a busy machine shows fewer in a time."""
    await page.watch(cameras)
    for _ in range(5):
        await page.look(4)
        shown = Counter(picture.header["camera"] for picture in page.pictures)
        if min(shown[camera] for camera in cameras) >= pictures:
            return


def test_each_picture_is_the_very_frame_of_its_result(server: LiveServer) -> None:
    async def look(page: OpenPage) -> None:
        await watch_until(page, CAMERAS, 0.8 * 4 * 10)

    page = with_page(server.address, look)
    assert page.told[0]["type"] == "hello"
    counts = Counter(picture.header["camera"] for picture in page.pictures)
    assert set(counts) == set(CAMERAS)
    assert min(counts.values()) >= 0.8 * 4 * 10
    for picture in page.pictures:
        result = picture.header["result"]
        assert result["camera"] == picture.header["camera"]
        assert abs(brightness_of(picture.jpeg) - result["sequence"] % 256) <= 1
    for camera in CAMERAS:
        shown = [
            p.header["result"]["sequence"] for p in page.pictures if p.header["camera"] == camera
        ]
        assert shown == sorted(set(shown))


def test_a_page_that_never_acknowledges_gets_four_pictures_and_the_truth(
    server: LiveServer,
) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(CAMERAS)
        await page.look(4, acknowledge=False)

    page = with_page(server.address, look)
    assert len(page.pictures) == 4
    assert sum(message["type"] == "cameras" for message in page.told) >= 3


def test_a_page_that_never_acknowledges_slows_no_other(server: LiveServer) -> None:
    async def run() -> tuple[OpenPage, OpenPage]:
        async with open_page(server.address) as one, open_page(server.address) as other:
            stuck, well = OpenPage(one), OpenPage(other)
            await stuck.watch(CAMERAS)
            await well.watch(CAMERAS)
            await asyncio.gather(stuck.look(4, acknowledge=False), well.look(4))
            return stuck, well

    stuck, well = asyncio.run(run())
    assert len(stuck.pictures) == 4
    assert len(well.pictures) >= 0.8 * 4 * 10 * len(CAMERAS)


def test_what_is_hidden_is_not_sent_and_a_hidden_page_is_sent_nothing(server: LiveServer) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(CAMERAS)
        await page.look(1)
        await page.watch(["yard"])
        await page.look(0.3)
        assert {p.header["camera"] for p in await page.look(1)} == {"yard"}
        await page.watch([])
        await page.look(0.3)
        assert await page.look(1) == []

    with_page(server.address, look)


def test_watches_last_while_somebody_looks_and_the_widest_counts(
    server: LiveServer, made: MadeCameras, own_redis: RedisServer
) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(["gate"], width=200)
        await page.look(2.2)
        assert made.widths["gate"][-1] == 200
        async with open_page(server.address) as socket:
            wide = OpenPage(socket)
            await wide.watch(["gate"], width=5000)
            await wide.look(0.7)
            assert made.widths["gate"][-1] == 1920
        await page.look(4.5)
        assert made.widths["gate"][-1] == 200  # without a gap

    with_page(server.address, look)
    with redis.Redis.from_url(own_redis.url) as client:
        wait_until(lambda: not client.exists(KEYS.watch("gate")), seconds=8)


def test_another_viewers_wider_watch_is_left_alone(
    server: LiveServer, own_redis: RedisServer
) -> None:
    with redis.Redis.from_url(own_redis.url) as client:

        async def look(page: OpenPage) -> None:
            client.set(KEYS.watch("gate"), 800, px=60_000)
            await page.watch(["gate"], width=300)
            await page.look(1.5)
            assert client.get(KEYS.watch("gate")) == b"800"
            client.pexpire(KEYS.watch("gate"), 2400)
            await page.look(1.5)
            assert client.get(KEYS.watch("gate")) == b"300"

        with_page(server.address, look)


def test_cameras_are_told_again_and_again_and_one_that_stops(
    server: LiveServer, made: MadeCameras
) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(CAMERAS)
        await page.look(3)
        assert {page.state_of(camera) for camera in CAMERAS} == {"live"}
        [gate] = [c for c in page.told[-1]["cameras"] if c["id"] == "gate"]
        assert gate["fps"] == pytest.approx(10, rel=0.2)
        assert abs(page.told[-1]["at"] - time.time()) < 1.5 * PATIENCE
        stopped = made.stop("gate")
        while page.state_of("gate") != "offline":
            await page.look(0.05)
            assert time.monotonic() - stopped < 8 * PATIENCE
        assert page.state_of("yard") == "live"
        made.go_on("gate")
        while page.state_of("gate") != "live":
            await page.look(0.05)
            assert time.monotonic() - stopped < 30 * PATIENCE

    with_page(server.address, look)


def test_a_wall_opens_at_once_with_the_last_picture_also_of_a_camera_that_is_offline(
    own_redis: RedisServer, server: LiveServer
) -> None:
    with MadeCameras(own_redis.url, ["brief"]):
        wait_until(lambda: "brief" in known(server), seconds=5)
    time.sleep(3.5)

    async def look(page: OpenPage) -> None:
        await page.watch(["brief"])
        [picture] = await page.look(1)
        assert picture.header["camera"] == "brief"
        await page.watch([])
        await page.look(0.2)
        await page.watch(["brief"])
        assert len(await page.look(1)) == 1

    page = with_page(server.address, look)
    assert page.state_of("brief") == "offline"


def test_unknown_cameras_are_ignored_and_not_watched(
    server: LiveServer, own_redis: RedisServer
) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(["nobody", "gate"])
        assert {p.header["camera"] for p in await page.look(1)} == {"gate"}

    with_page(server.address, look)
    with redis.Redis.from_url(own_redis.url) as client:
        assert not client.exists(KEYS.watch("nobody"))


def test_a_broken_preview_is_passed_over(server: LiveServer, own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client, MadeCameras(own_redis.url, ["odd"]) as odd:
        wait_until(lambda: "odd" in known(server), seconds=5)

        async def look(page: OpenPage) -> None:
            await page.watch(["odd", "gate"])
            await page.look(1)
            odd.stop("odd")
            await page.look(0.3)
            client.set(KEYS.preview("odd"), b"\0\0\0\2{}no picture")
            assert {p.header["camera"] for p in await page.look(2.5)} == {"gate"}
            odd.go_on("odd")
            assert "odd" in {p.header["camera"] for p in await page.look(1)}

        with_page(server.address, look)


@pytest.mark.parametrize("said", ["no JSON", '{"type":"ack","id":"x"}', "x" * 300_000, b"bytes"])
def test_what_is_no_message_closes_the_page(server: LiveServer, said: str | bytes) -> None:
    async def look(page: OpenPage) -> None:
        await page.socket.send(said)
        with pytest.raises(ConnectionClosed):
            await page.look(3)
        assert page.socket.close_code in (4408, 1009)

    with_page(server.address, look)


def test_a_flood_of_messages_closes_the_page(server: LiveServer) -> None:
    async def look(page: OpenPage) -> None:
        async def flood() -> None:
            for number in range(20_000):
                await page.socket.send(json.dumps({"type": "ack", "id": number}))
            await page.look(5)

        with pytest.raises(ConnectionClosed):
            await flood()
        assert page.socket.close_code == 4408

    with_page(server.address, look)


def test_who_reads_nothing_costs_little_and_is_let_go(
    server: LiveServer, own_redis: RedisServer
) -> None:
    """Open connections to which the server can send no more: all buffers are full."""
    cameras = [f"more-{number}" for number in range(10)]
    with MadeCameras(own_redis.url, cameras, fps=5, padding_bytes=100_000):
        wait_until(lambda: set(cameras) <= known(server), seconds=5)
        with contextlib.ExitStack() as stack:
            before = _resident_bytes(server)
            sent_before = server.process.metric("seedstream_view_pictures_sent_total")
            sockets = [stack.enter_context(_deaf_page(server, cameras)) for _ in range(10)]
            wait_until(lambda: server.process.metric("seedstream_view_pages") == 10, seconds=5)
            for first in range(1, 401, 4):  # they say that they have drawn what they never read
                time.sleep(0.05)
                for connection, number in itertools.product(sockets, range(first, first + 4)):
                    with contextlib.suppress(ConnectionError):  # a slow machine: it is gone already
                        connection.sendall(_frame({"type": "ack", "id": number}))
            sent = server.process.metric("seedstream_view_pictures_sent_total") - sent_before
            assert 10 * len(sockets) < sent < 300 * len(sockets)
            assert (_resident_bytes(server) - before) / len(sockets) < 1e6
            wait_until(lambda: server.process.metric("seedstream_view_pages") == 0, seconds=30)
    assert "Traceback" not in server.process.text()


def _deaf_page(server: LiveServer, cameras: list[str]) -> socket.socket:
    """Open a page by hand that reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
    )
    tiles = [{"camera": camera, "width": 384} for camera in cameras]
    connection.recv(16)
    connection.sendall(_frame({"type": "watch", "tiles": tiles}))
    return connection


def _frame(message: object) -> bytes:
    """Return a text frame as a client sends it, masked with zeros."""
    payload = json.dumps(message).encode().ljust(126)
    return b"\x81" + bytes([0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def _resident_bytes(server: LiveServer) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def test_pages_that_leave_leave_nothing_behind(server: LiveServer) -> None:
    async def look(page: OpenPage) -> None:
        await page.watch(CAMERAS)
        await page.look(0.5)

    for _ in range(5):
        with_page(server.address, look)
    wait_until(lambda: server.process.metric("seedstream_view_pages") == 0, seconds=5)
    assert server.process.metric("seedstream_view_cameras_watched") == 0
    assert server.process.metric("seedstream_view_pictures_sent_total") > 0


def test_redis_that_is_killed_is_told_and_comes_back_by_itself(tmp_path: Path) -> None:
    store = RestartableRedis(tmp_path, "127.0.0.1")
    try:
        with (
            MadeCameras(store.url, CAMERAS),
            live_server(tmp_path, store.url, cameras=CAMERAS) as server,
        ):

            async def look(page: OpenPage) -> None:
                await page.watch(CAMERAS)
                assert await page.look(1)
                store.process.kill()
                killed = time.monotonic()
                while page.told[-1].get("redis") != "away":
                    await page.look(0.05)
                    assert time.monotonic() - killed < 15 * PATIENCE
                assert page.told[-1]["redis_reason"] == "Redis does not answer"
                assert server.get("/api/cameras/gate/results").status == 503
                assert server.process.ready()
                store.start_again()
                back = time.monotonic()
                first = len(page.pictures)
                while page.told[-1]["redis"] != "ok" or len(page.pictures) == first:
                    await page.look(0.05)
                    assert time.monotonic() - back < 15 * PATIENCE
                assert {p.header["camera"] for p in await page.look(2)} == set(CAMERAS)

            with_page(server.address, look)
    finally:
        store.close()


def test_a_viewer_waits_for_a_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    store = RestartableRedis(tmp_path, "127.0.0.1")
    store.process.kill()
    try:
        with live_server(tmp_path, store.url) as server:
            assert server.get("/api/cameras").json["redis"] == "away"
            store.start_again()
            with MadeCameras(store.url, CAMERAS):
                wait_until(lambda: known(server) == set(CAMERAS), seconds=10)
    finally:
        store.close()


def test_a_redis_cluster_serves_as_well(redis_cluster: RedisCluster, tmp_path: Path) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    with (
        MadeCameras(redis_cluster.url, cameras, cluster=True),
        live_server(tmp_path, redis_cluster.url, cameras=cameras, redis_cluster=True) as server,
    ):

        async def look(page: OpenPage) -> None:
            await watch_until(page, cameras, 0.7 * 3 * 10)

        page = with_page(server.address, look)
        counts = Counter(picture.header["camera"] for picture in page.pictures)
        assert set(counts) == set(cameras)
        assert min(counts.values()) >= 0.7 * 3 * 10
        for picture in page.pictures:
            number = picture.header["result"]["sequence"]
            assert abs(brightness_of(picture.jpeg) - number % 256) <= 1
        assert len(server.get(f"/api/cameras/{cameras[1]}/results").json["results"]) > 10


def test_the_documented_rights_are_enough_and_each_command_is_used(
    tmp_path: Path,
) -> None:
    commands = {rule for rule in VIEW_RULES if rule.startswith("+")}
    with (
        start_redis() as store,
        MadeCameras(store.url, CAMERAS),
        redis.Redis.from_url(store.url) as client,
    ):
        client.execute_command("ACL", "SETUSER", "view", "on", ">view-Pw1", *VIEW_RULES)
        url = f"redis://view:view-Pw1@{store.address}/0"
        with live_server(tmp_path, url, cameras=CAMERAS) as server:

            async def look(page: OpenPage) -> None:
                client.set(KEYS.watch("gate"), 1000, px=60_000)  # another viewer
                await page.watch(CAMERAS)
                await page.look(2.5)
                assert server.get("/api/cameras/gate/results").status == 200
                assert server.get("/api/cameras/gate/history").status == 200
                assert server.get("/cameras/gate/still.jpg").status == 200

            page = with_page(server.address, look)
            assert page.told[-1]["redis"] == "ok"
            assert len(page.pictures) > 0.7 * 2.5 * 10 * len(CAMERAS)
        denied = {entry[b"object"] for entry in client.execute_command("ACL", "LOG")}
        assert denied <= {b"client|setinfo"}  # the library tells its name where it may
        statistics = client.info("commandstats")
    for rule in sorted(commands - {"+ping", "+unsubscribe"}):
        assert f"cmdstat_{rule[1:]}" in statistics, rule


def test_sigterm_ends_pages_and_process(own_redis: RedisServer, tmp_path: Path) -> None:
    with live_server(tmp_path, own_redis.url) as server:

        async def look(page: OpenPage) -> None:
            await page.look(0.5)
            server.process.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                await page.look(5)
            assert page.socket.close_code == 1012

        with_page(server.address, look)
        assert server.process.wait(10) == 0
