"""One page that somebody has open: what it shows, what it was sent, and its socket."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from contract.errors import InvalidMessageError
from viewer.web.metrics import ViewMetrics
from viewer.web.page_messages import (
    Acknowledge,
    Watch,
    picture_message,
    read_message,
    wanted_widths,
)
from viewer.web.people import Visitor
from viewer.web.picture import Picture
from viewer.web.window import Window

FLOOD_CLOSE = 4408
"""Closes a page that sends too much, or what is no message."""

LOGIN_CLOSE = 4401
"""Closes a page whose session has ended."""

RECONNECT_CLOSE = 1012
"""Closes a page that is to connect again: what it may see has changed."""

_CHECK_SECONDS = 5.0
"""How soon a session that has ended, or another right, is noticed."""

_MESSAGES_A_SECOND = 2000.0
_MESSAGES_AT_ONCE = 4000.0


class PageHub(Protocol):
    """What a page needs of the hub."""

    newest: dict[str, Picture]

    def enter(self, page: "Page") -> None:
        """Take in a page."""
        ...

    def leave(self, page: "Page") -> None:
        """Forget a page."""
        ...

    def show(self, page: "Page", widths: Mapping[str, int]) -> None:
        """Replace what a page shows."""
        ...


class Page:
    """A page, as the hub sees it.

    Args:
        visitor: Whose it is.
        metrics: Where pictures are counted.

    Attributes:
        window: Its tiles and what is on the way to it.
        widths: Camera -> width in pixels, of its tiles.
        told_version: Version of the camera table that it was last told.
    """

    def __init__(self, visitor: Visitor, metrics: ViewMetrics) -> None:
        self.visitor = visitor
        self._metrics = metrics
        self.window = Window()
        self.widths: dict[str, int] = {}
        self.told_version = 0
        self._text: tuple[bytes, int] | None = None
        self._wake = asyncio.Event()

    def offer(self, camera: str) -> None:
        """Note that a camera has a new picture."""
        if self.window.offer(camera):
            self._metrics.overtaken.inc()
        self._wake.set()

    def acknowledge(self, number: int) -> None:
        """Note that a picture was drawn."""
        self.window.acknowledge(number)
        self._wake.set()

    def tell(self, text: bytes, version: int) -> None:
        """Give it a message of its cameras, in place of one that was not sent yet.

        Args:
            text: All that changed since ``told_version``.
            version: Of the camera table that it tells.
        """
        self._text = text, version
        self._wake.set()

    def take_text(self) -> bytes | None:
        """Return the message that is to be sent now, if any; it counts as told."""
        if self._text is None:
            return None
        (text, self.told_version), self._text = self._text, None
        return text

    async def next_picture(self, hub: PageHub) -> Picture:
        """Wait for the next picture of a page that has no socket, and count it as drawn."""
        while True:
            while (camera := self.window.next()) is not None:
                picture = hub.newest.get(camera)
                if picture is not None:
                    self.window.acknowledge(self.window.sent(camera, picture.size_bytes))
                    return picture
                self.window.skip(camera)
            await self._wake.wait()
            self._wake.clear()

    async def send_all(self, socket: WebSocket, hub: PageHub) -> int | None:
        """Send what there is to send, for ever; a slow socket holds up nobody else."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if (text := self.take_text()) is not None:
                await socket.send_text(text.decode())
            while (camera := self.window.next()) is not None:
                picture = hub.newest.get(camera)
                if picture is None:
                    self.window.skip(camera)
                    continue
                if not self.window.fits(picture.size_bytes):
                    break
                number, now = self.window.sent(camera, picture.size_bytes), time.time()
                await socket.send_bytes(picture_message(picture, number, now))
                self._count(picture, now)
                if self._text is not None:
                    self._wake.set()
                    break

    def _count(self, picture: Picture, now: float) -> None:
        self._metrics.pictures_sent.inc()
        self._metrics.bytes_sent.inc(picture.size_bytes)
        self._metrics.age.observe(max(0.0, now - picture.processed_at))


async def serve_page(
    socket: WebSocket, hub: PageHub, page: Page, hello: bytes, check: Callable[[], int | None]
) -> None:
    """Serve an accepted socket until either side ends it.

    Args:
        socket: The socket.
        hub: The hub.
        page: The page.
        hello: What it is told first.
        check: Called every few seconds; returns the code to close the socket with, None to go on.
    """
    tasks: list[asyncio.Task[int | None]] = []
    try:
        await socket.send_text(hello.decode())
        hub.enter(page)
        for each in (
            _receive(socket, hub, page), page.send_all(socket, hub), _watch_over(check)
        ):  # fmt: skip
            tasks.append(asyncio.create_task(each))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except WebSocketDisconnect:
        return
    finally:
        hub.leave(page)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for how in ended:
        if isinstance(how, int):
            with contextlib.suppress(WebSocketDisconnect):
                await socket.close(how)
        elif isinstance(how, Exception) and not isinstance(how, WebSocketDisconnect):
            raise how


async def _watch_over(check: Callable[[], int | None]) -> int:
    """Return the code to close the socket with, once there is a reason."""
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        if (code := check()) is not None:
            return code


async def _receive(socket: WebSocket, hub: PageHub, page: Page) -> int | None:
    """Take what the page says; return the code to close the socket with, None if it is closed."""
    left, refilled_at = _MESSAGES_AT_ONCE, time.monotonic()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        now = time.monotonic()
        left = min(_MESSAGES_AT_ONCE, left + (now - refilled_at) * _MESSAGES_A_SECOND) - 1
        refilled_at = now
        try:
            said = read_message(message.get("text") or "") if left >= 0 else None
        except InvalidMessageError:
            said = None
        if isinstance(said, Acknowledge):
            page.acknowledge(said.id)
        elif isinstance(said, Watch):
            hub.show(page, wanted_widths(said.tiles, page.visitor.sees))
        else:
            return FLOOD_CLOSE
