"""Connections that clients hold open without asking, or without reading: they are let go.

Library: uvicorn, whose protocols wait for both for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_SECONDS = 10.0
"""How long a client may take for the head of a request."""


class RequestProtocol(H11Protocol):
    """Ends connections on which no request comes."""

    def connection_made(self, transport: Any) -> None:
        """Begin to look at the connection again and again."""
        super().connection_made(transport)
        self._look_later()

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(HEAD_SECONDS, self._look)

    def _look(self) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # it has ended, or is a WebSocket by now
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.timeout_keep_alive_task is not None:
            self._look_later()
        else:
            self.transport.abort()


class PageProtocol(WebSocketsSansIOProtocol):
    """Lets go of a page that answers no ping, also of what it does not read.

    A transport that is merely closed waits, for ever, until its buffer is read.
    """

    def keepalive_timeout(self) -> None:
        """End the connection at once."""
        super().keepalive_timeout()
        self.transport.abort()
