"""What the live page's server answers to which request."""

import uuid
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from viewer.web.hub import TELL_SECONDS, Hub
from viewer.web.page import Page, serve_page
from viewer.web.page_messages import hello_message
from viewer.web.static_files import StaticFiles


def make_application(hub: Callable[[], Hub]) -> Starlette:
    """Return the application.

    Args:
        hub: Returns the hub, once the event loop runs.
    """
    files = StaticFiles()
    hello = hello_message(uuid.uuid4().hex, TELL_SECONDS)

    async def index(request: Request) -> Response:
        return files.answer(request, "index.html") or _missing()

    async def static(request: Request) -> Response:
        return files.answer(request, request.path_params["name"]) or _missing()

    async def me(request: Request) -> Response:
        return JSONResponse(
            {"name": "", "role": "editor", "zone": "UTC", "groups": {}, "auth": False}
        )

    async def cameras(request: Request) -> Response:
        return Response(hub().cameras(lambda camera: True), media_type="application/json")

    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await serve_page(socket, hub(), Page(lambda camera: True), hello)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name:path}", static),
            Route("/api/me", me),
            Route("/api/cameras", cameras),
            WebSocketRoute("/ws", socket),
        ]
    )


def _missing() -> Response:
    return JSONResponse({"error": "there is nothing here"}, status_code=404)
