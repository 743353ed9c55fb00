"""One page that somebody has open: what it shows, what it was sent, and its socket."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from viewer.web.page_messages import Acknowledge, Watch, picture_message, read_message
from viewer.web.picture import Picture
from viewer.web.window import Window

FLOOD_CLOSE = 4408
"""Closes a page that sends too much, or what is no message."""

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
        sees: Whether it may see a camera.

    Attributes:
        window: Its tiles and what is on the way to it.
        widths: Camera -> width in pixels, of its tiles.
        told_version: Version of the camera table that it was last told.
    """

    def __init__(self, sees: Callable[[str], bool]) -> None:
        self.sees = sees
        self.window = Window()
        self.widths: dict[str, int] = {}
        self.told_version = 0
        self._text: bytes | None = None
        self._wake = asyncio.Event()

    def offer(self, camera: str) -> None:
        """Note that a camera has a new picture."""
        self.window.offer(camera)
        self._wake.set()

    def acknowledge(self, number: int) -> None:
        """Note that a picture was drawn."""
        self.window.acknowledge(number)
        self._wake.set()

    def tell(self, text: bytes) -> None:
        """Give it a message of its cameras."""
        self._text = text
        self._wake.set()

    async def send_all(self, socket: WebSocket, hub: PageHub) -> None:
        """Send what there is to send, for ever; a slow socket holds up nobody else."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            text, self._text = self._text, None
            if text is not None:
                await socket.send_text(text.decode())
            while (camera := self.window.next()) is not None:
                picture = hub.newest.get(camera)
                if picture is None:
                    self.window.skip(camera)
                    continue
                if not self.window.fits(picture.size_bytes):
                    break
                number = self.window.sent(camera, picture.size_bytes)
                await socket.send_bytes(picture_message(picture, number, time.time()))
                if self._text is not None:
                    self._wake.set()
                    break


async def serve_page(socket: WebSocket, hub: PageHub, page: Page, hello: bytes) -> None:
    """Serve an accepted socket until either side ends it."""
    await socket.send_text(hello.decode())
    hub.enter(page)
    sender = asyncio.create_task(page.send_all(socket, hub))
    try:
        await _receive(socket, hub, page)
    except WebSocketDisconnect:
        pass
    finally:
        hub.leave(page)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _receive(socket: WebSocket, hub: PageHub, page: Page) -> None:
    left, refilled_at = _MESSAGES_AT_ONCE, time.monotonic()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        now = time.monotonic()
        left = min(_MESSAGES_AT_ONCE, left + (now - refilled_at) * _MESSAGES_A_SECOND) - 1
        refilled_at = now
        try:
            said = read_message(message.get("text") or "") if left >= 0 else None
        except msgspec.MsgspecError:
            said = None
        if isinstance(said, Acknowledge):
            page.acknowledge(said.id)
        elif isinstance(said, Watch):
            hub.show(page, {t.camera: t.width for t in said.tiles if page.sees(t.camera)})
        else:
            await socket.close(FLOOD_CLOSE)
            return
