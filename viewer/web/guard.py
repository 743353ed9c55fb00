"""What holds for every request, before any route: path, name of the host, headers of the answer."""

from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""What the page may load and where it may send: nothing but its own server."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # "no-referrer" would make browsers send our own forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer."""

_MOST_BODY_BYTES = 16 * 1024
"""Longest body of a request: a login."""


class Guard:
    """Wraps the application.

    Args:
        application: What answers.
        root_path: Path below which a proxy shows the page; requests come with it or without.
        is_ours: Whether a request is for a name of ours.
    """

    def __init__(
        self, application: ASGIApp, root_path: str, is_ours: Callable[[HTTPConnection], bool]
    ) -> None:
        self._application = application
        self._root_path = root_path
        self._is_ours = is_ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        shielded = _with_headers(send)
        path = str(scope["path"])
        if not self._is_ours(HTTPConnection(scope)):
            error = "this name of the page is not known to it: see VIEW_HOST_NAMES"
            await refuse(scope, receive, shielded, 403, error)
            return
        if _body_bytes(scope) > _MOST_BODY_BYTES:
            await refuse(scope, receive, shielded, 413, "the body of the request is too long")
            return
        if self._root_path and path == self._root_path and scope["type"] == "http":
            redirect = RedirectResponse(f"{self._root_path}/", 308)
            await redirect(scope, receive, shielded)
            return
        if self._root_path and path.startswith(f"{self._root_path}/"):
            path = path[len(self._root_path) :]
        await self._application({**scope, "path": path, "root_path": ""}, receive, shielded)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, error: str) -> None:
    """Refuse a request, also one for a WebSocket, before it is accepted."""
    await JSONResponse({"error": error}, status)(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def shielded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            _complete(message)
        await send(message)

    return shielded


def _complete(message: MutableMapping[str, Any]) -> None:
    message.setdefault("headers", [])
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")


def _body_bytes(scope: Scope) -> int:
    """Return how long a request says that its body is; one that does not say is too long."""
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
        return 0
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) < 10 else _MOST_BODY_BYTES + 1
