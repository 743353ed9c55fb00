"""The live page's server: how late pictures are, how many, and what it costs.

A process of its own writes results and previews as workers do; pages in another one acknowledge
each picture after they have "drawn" it. Told for each load, with the clock of this machine:

- *late*: from the stored result to the page's socket, and from the server's sending to it;
- pictures a second, and the slowest tile's share of the fastest one's;
- the share of a core that the server took;
- the same with pages beside it that never acknowledge, and what further pages cost in memory.

The page's own decoding and drawing is measured in a browser (tests/browser). Run:
``python -m benchmarks.bench_view``; it prints a table and writes ``results/view.json``.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import redis
import simplejpeg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.environment import RESULTS, describe, result_file
from contract.frame import new_session
from contract.preview import encode_preview
from contract.result import ModelReference, Result, encode_result
from contract.result_keys import ResultKeys
from segmentation.instances import ArrayMask, Instances
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess, start_seedstream

WIDTH, HEIGHT = 384, 216
FRAME = (720, 1280)
OBJECTS = 10
WARM_SECONDS = 3.0

_STORE = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)
redis.call('ZADD', ARGV[2], redis.call('TIME')[1], ARGV[3])
if redis.call('GET', KEYS[2]) then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
"""


@dataclass(frozen=True)
class Load:
    """What is shown.

    Attributes:
        cameras: Tiles of the page.
        fps: Results of each camera a second.
        stuck: Pages beside it that never acknowledge.
    """

    cameras: int
    fps: float
    stuck: int = 0

    @property
    def names(self) -> list[str]:
        """Ids of the cameras."""
        return [f"camera-{number:03}" for number in range(self.cameras)]


@dataclass
class Seen:
    """What a page saw, in seconds since 1970."""

    stored_to_page: list[float] = field(default_factory=list)
    sent_to_page: list[float] = field(default_factory=list)
    tiles: Counter[str] = field(default_factory=Counter)


def write_previews(url: str, load: Load) -> None:
    """Write results until the process is ended, each camera in its own rhythm."""
    randomness = np.random.default_rng(1)
    grain = randomness.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    picture = np.kron(grain, np.ones((4, 4, 1), np.uint8)) // 3 + 80
    jpeg = bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), 60, "RGB"))
    client = redis.Redis.from_url(url)
    store = client.register_script(_STORE)
    sessions = {name: new_session() for name in load.names}
    instances = _objects()
    number, began = 0, time.monotonic()
    while True:
        for index, name in enumerate(load.names):
            due = began + (number + index / load.cameras) / load.fps
            time.sleep(max(0.0, due - time.monotonic()))
            now = datetime.now(UTC)
            document = encode_result(
                Result(
                    camera=name,
                    session=sessions[name],
                    sequence=number,
                    captured_at=now,
                    processed_at=now,
                    width=FRAME[1],
                    height=FRAME[0],
                    model=ModelReference("made", "1", "0" * 64),
                    latency_seconds=0.0,
                    instances=instances.documents(),
                )
            )
            store(
                [ResultKeys().preview(name), ResultKeys().watch(name)],
                [
                    encode_preview(document, jpeg),
                    ResultKeys().cameras,
                    name,
                    ResultKeys().previews_channel(name),
                    f"{sessions[name]}/{number}",
                ],
            )
        number += 1


def _objects() -> Instances:
    rows, columns = np.mgrid[-60:60, -30:30]
    shape = (rows / 60) ** 2 + (columns / 30) ** 2 <= 1
    masks = [ArrayMask(shape, (40 + 110 * k, 200, 60, 120), FRAME) for k in range(OBJECTS)]
    zeros = [0] * OBJECTS
    centers = [(70.0 + 110 * k, 260.0) for k in range(OBJECTS)]
    area = int(shape.sum())
    return Instances.of(
        FRAME, ("person",), zeros, [0.9] * OBJECTS, centers, [area] * OBJECTS, masks
    )


async def _page(address: str, load: Load, stack: AsyncExitStack) -> ClientConnection:
    socket = await stack.enter_async_context(connect(address, proxy=None, max_size=2**24))
    tiles = [{"camera": name, "width": WIDTH} for name in load.names]
    await socket.send(json.dumps({"type": "watch", "tiles": tiles}))
    return socket


async def _look(socket: ClientConnection, seconds: float, draw_seconds: float) -> Seen:
    """Take pictures for a time; each is acknowledged once it and those before it are drawn."""
    seen, loop = Seen(), asyncio.get_running_loop()
    numbers: asyncio.Queue[int] = asyncio.Queue()
    drawing = asyncio.create_task(_draw(socket, numbers, draw_seconds))
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        try:
            message = await asyncio.wait_for(socket.recv(), left)
        except TimeoutError:
            break
        if isinstance(message, str):
            continue
        now = time.time()
        length = int.from_bytes(message[:4], "big")
        header = json.loads(message[4 : 4 + length])
        stored = datetime.fromisoformat(header["result"]["processed_at"]).timestamp()
        seen.stored_to_page.append(now - stored)
        seen.sent_to_page.append(now - header["sent"])
        seen.tiles[header["camera"]] += 1
        numbers.put_nowait(header["id"])
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    while not numbers.empty():  # what is drawn later makes room for the next look
        await socket.send(json.dumps({"type": "ack", "id": numbers.get_nowait()}))
    return seen


async def _draw(
    socket: ClientConnection, numbers: "asyncio.Queue[int]", draw_seconds: float
) -> None:
    while True:
        number = await numbers.get()
        try:
            await asyncio.sleep(draw_seconds)
        finally:
            await socket.send(json.dumps({"type": "ack", "id": number}))


async def _measure(
    address: str, server: SeedstreamProcess, *, load: Load, seconds: float, draw_seconds: float
) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        for _ in range(load.stuck):
            await _page(address, load, stack)  # nobody reads what comes
        socket = await _page(address, load, stack)
        await _look(socket, WARM_SECONDS, draw_seconds)
        cpu, began = _cpu_seconds(server.pid), time.monotonic()
        seen = await _look(socket, seconds, draw_seconds)
        took = time.monotonic() - began
        cores = (_cpu_seconds(server.pid) - cpu) / took
    counts = [seen.tiles[name] for name in load.names]
    return {
        "cameras": load.cameras,
        "fps": load.fps,
        "stuck": load.stuck,
        "stored_to_page_ms": _percentiles(seen.stored_to_page),
        "sent_to_page_ms": _percentiles(seen.sent_to_page),
        "pictures_per_second": round(sum(counts) / took, 1),
        "slowest_to_fastest": round(min(counts) / max(1, max(counts)), 3),
        "server_cores": round(cores, 3),
    }


async def _memory(
    address: str, server: SeedstreamProcess, *, load: Load, pages: int, stuck: bool
) -> float:
    """Return what each further page costs the server, in MB."""
    async with AsyncExitStack() as stack:
        first = await _page(address, load, stack)
        await _look(first, 3, 0.005)
        before = _resident_bytes(server.pid)
        others = [await _page(address, load, stack) for _ in range(pages)]
        looks = [_look(first, 10, 0.005)]
        looks += [] if stuck else [_look(socket, 10, 0.005) for socket in others]
        await asyncio.gather(*looks)
        return round((_resident_bytes(server.pid) - before) / pages / 1e6, 3)


def _percentiles(seconds: list[float]) -> dict[str, float]:
    found = np.percentile(seconds or [float("nan")], [50, 95])
    return {"p50": round(1000 * float(found[0]), 1), "p95": round(1000 * float(found[1]), 1)}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _with_server(store: RedisServer, folder: Path, load: Load, run: Any) -> Any:
    """Start writer and server, call ``run(address, server)`` in an event loop, and end both."""
    writer = multiprocessing.get_context("spawn").Process(
        target=write_previews, args=(store.url, load), daemon=True
    )
    writer.start()
    settings = {"redis_url": store.url, "port": 0, "http_port": 0, "http_host": "127.0.0.1"}
    try:
        with start_seedstream("view", log_path=folder / "view.log", settings=settings) as server:
            server.wait_until_ready()
            port = server.text().partition("http://127.0.0.1:")[2].partition('"')[0]
            return asyncio.run(run(f"ws://127.0.0.1:{port}/ws", server))
    finally:
        writer.terminate()
        writer.join(10)


def main() -> None:
    """Measure every load and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--draw-ms", type=float, default=5.0, help="how long a page draws")
    parser.add_argument("--out", type=result_file, default=RESULTS / "view.json")
    options = parser.parse_args()
    draw_seconds = options.draw_ms / 1000
    loads = [Load(20, 5), Load(20, 5, stuck=10), Load(20, 10), Load(64, 3)]
    rows, about = [], describe()
    with start_redis() as store, tempfile.TemporaryDirectory() as folder:
        for load in loads:
            row = _with_server(
                store,
                Path(folder),
                load,
                partial(_measure, load=load, seconds=options.seconds, draw_seconds=draw_seconds),
            )
            rows.append(row)
            print(json.dumps(row), flush=True)
        memory = {
            name: _with_server(
                store,
                Path(folder),
                Load(20, 5),
                partial(_memory, load=Load(20, 5), pages=20, stuck=stuck),
            )
            for name, stuck in (("drawing", False), ("never_acknowledging", True))
        }
        print(json.dumps({"megabytes_per_further_page": memory}))
    document = {**about, "loads": rows, "megabytes_per_further_page": memory}
    options.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
