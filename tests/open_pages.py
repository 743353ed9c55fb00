"""A live page's server under test, and clients that behave, or misbehave, as pages do."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.fakes import wait_until

_PAGE_PORT = re.compile(r"live page is at http://[^\s\"]*:(\d+)")


@dataclass
class LiveServer:
    """A running ``seedstream view``."""

    process: SeedstreamProcess
    port: int

    @property
    def address(self) -> str:
        """Host and port of the page."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> "Answer":
        """Ask for a path."""
        return fetch(f"http://{self.address}{path}", headers)

    def post(self, path: str, form: str, **headers: str) -> "Answer":
        """Send a form."""
        return fetch(f"http://{self.address}{path}", headers, form.encode())


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def fetch(url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    """Ask for a URL without following where it leads; header names have _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(request, timeout=10) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


@contextmanager
def live_server(
    folder: Path, redis_url: str, *, cameras: Sequence[str] = (), **settings: object
) -> Iterator[LiveServer]:
    """Start the server on free ports and wait until it serves, and knows the cameras.

    Args:
        folder: Where its log goes.
        redis_url: Where Redis is.
        cameras: Cameras that it must have seen; only without authentication.
        settings: Others.
    """
    chosen = {"redis_url": redis_url, "port": 0, "http_port": 0, "http_host": "127.0.0.1"}
    process = start_seedstream(
        "view", log_path=folder / "view.log", settings={**chosen, **settings}
    )
    with process:
        process.wait_until_ready()
        found = _PAGE_PORT.search(process.text())
        assert found is not None
        server = LiveServer(process, int(found[1]))
        wait_until(lambda: set(cameras) <= known(server), seconds=10)
        yield server


def known(server: LiveServer) -> set[str]:
    """Return the cameras that the server tells of."""
    answer = server.get("/api/cameras")
    return {each["id"] for each in answer.json["cameras"]} if answer.status == 200 else set()


@dataclass
class Picture:
    """A picture as a page got it."""

    header: dict[str, Any]
    jpeg: bytes


@dataclass
class OpenPage:
    """A page: what it was told and shown.

    Attributes:
        pictures: All pictures, in order.
        told: All messages of text, in order.
    """

    socket: ClientConnection
    pictures: list[Picture] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    async def watch(self, cameras: Sequence[str], width: int = 384) -> None:
        """Say what is shown."""
        tiles = [{"camera": camera, "width": width} for camera in cameras]
        await self.socket.send(json.dumps({"type": "watch", "tiles": tiles}))

    async def look(self, seconds: float, *, acknowledge: bool = True) -> list[Picture]:
        """Take what comes for a time, and acknowledge it; return the pictures."""
        first = len(self.pictures)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                message = await asyncio.wait_for(self.socket.recv(), left)
            except TimeoutError:
                break
            if isinstance(message, str):
                self.told.append(json.loads(message))
                continue
            picture = split(message)
            self.pictures.append(picture)
            if acknowledge:
                await self.acknowledge(picture)
        return self.pictures[first:]

    async def acknowledge(self, picture: Picture) -> None:
        """Say that a picture was drawn."""
        await self.socket.send(json.dumps({"type": "ack", "id": picture.header["id"]}))

    def state_of(self, camera: str) -> str | None:
        """Return what it was told last of a camera."""
        for message in reversed(self.told):
            for each in message.get("cameras", ()):
                if each["id"] == camera:
                    return str(each["state"])
        return None


def split(message: bytes) -> Picture:
    """Take the message of a picture apart."""
    length = int.from_bytes(message[:4], "big")
    return Picture(json.loads(message[4 : 4 + length]), message[4 + length :])


def open_page(address: str, path: str = "/ws", **options: Any) -> connect:
    """Return the connection of a page, an asynchronous context manager."""
    return connect(f"ws://{address}{path}", proxy=None, max_size=2**24, **options)
