"""What the live page's server answers to which request."""

import logging
import time
import uuid
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from contract.errors import ConfigurationError, SeedstreamError
from viewer.web.camera_data import MAX_RESULTS, BusyError, CameraData
from viewer.web.groups import members, read_groups
from viewer.web.guard import Guard, refuse
from viewer.web.hub import TELL_SECONDS
from viewer.web.login_routes import LoginRoutes
from viewer.web.page import LOGIN_CLOSE, RECONNECT_CLOSE, Page, serve_page
from viewer.web.page_messages import hello_message
from viewer.web.picture_routes import PictureRoutes
from viewer.web.static_files import StaticFiles
from viewer.web.system_state import SystemState, system_answer
from viewer.web.web_parts import Parts, problem

log = logging.getLogger(__name__)

MAX_PAGES = 1000
"""Pages that are open at once."""


class Routes:
    """Answers requests.

    Args:
        parts: What the routes share.
        data: What Redis keeps of a camera.
        system: What producers and workers do.

    Raises:
        ConfigurationError: The file of the groups cannot be used.
    """

    def __init__(self, parts: Parts, data: CameraData, system: SystemState) -> None:
        self._parts = parts
        self._data = data
        self._system = system
        self._files = StaticFiles()
        self._groups = read_groups(parts.settings.groups_file)
        self._hello = hello_message(uuid.uuid4().hex, TELL_SECONDS)

    async def index(self, request: Request) -> Response:
        """Return the page, or lead to the login page."""
        admission = self._parts.access.admit(request)
        if admission is None:
            if self._parts.access.has_login:
                return RedirectResponse("login", 303)
            raise HTTPException(401, "log in at the proxy, or send a token")
        response = self._file(request, "index.html")
        self._parts.keep_in(response, admission, request)
        return response

    async def static(self, request: Request) -> Response:
        """Return a file of the page; they hold no secrets, and the login page needs some."""
        return self._file(request, request.path_params["name"])

    async def me(self, request: Request) -> Response:
        """Return who asks."""
        admission = self._parts.admission(request)
        visitor = admission.visitor
        visible = filter(visitor.sees, self._parts.hub.table.cameras)
        response = JSONResponse(
            {
                "name": visitor.name,
                "role": visitor.role,
                "zone": self._parts.settings.time_zone,
                "lane": self._parts.settings.lane,
                "groups": members(self._groups, visible),
                "auth": self._parts.access.needed,
            }
        )
        self._parts.keep_in(response, admission, request)
        return response

    async def cameras(self, request: Request) -> Response:
        """Return all cameras that the one who asks may see."""
        visitor = self._parts.visitor(request)
        return Response(self._parts.hub.cameras(visitor.sees), media_type="application/json")

    async def results(self, request: Request) -> Response:
        """Return the last results of a camera, the newest first."""
        camera = self._parts.camera(request)
        text = request.query_params.get("count", "20")
        if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_RESULTS:
            raise HTTPException(400, f"count is expected in 1..{MAX_RESULTS}")
        found = await self._data.results(camera, int(text))
        return Response(found, media_type="application/json")

    async def history(self, request: Request) -> Response:
        """Return what a camera showed in the minutes of the last hour."""
        admission = self._parts.admission(request)
        camera = self._parts.camera(request)
        response = JSONResponse({"minutes": await self._data.minutes(camera, time.time())})
        self._parts.keep_in(response, admission, request)
        return response

    async def system(self, request: Request) -> Response:
        """Return what producers and workers do."""
        visitor, hub = self._parts.visitor(request), self._parts.hub
        states = [each.state for name, each in hub.table.cameras.items() if visitor.sees(name)]
        sources = await self._system.sources()
        editor = visitor.role == "editor"
        return JSONResponse(system_answer(sources, fault=hub.fault, states=states, editor=editor))

    async def socket(self, socket: WebSocket) -> None:
        """Serve a page, once it is clear whose it is."""
        access, metrics = self._parts.access, self._parts.metrics
        status, error = 0, ""
        admission = access.admit(socket)
        if not access.same_origin(socket):
            metrics.refused.labels("origin").inc()
            status, error = 403, "this page is not ours"
        elif admission is None:
            metrics.refused.labels("unknown").inc()
            status, error = 401, "log in first, or send a token"
        elif len(self._parts.hub.pages) >= MAX_PAGES:
            metrics.refused.labels("busy").inc()
            status, error = 503, "too many pages are open"
        if admission is None or status:
            await refuse(socket.scope, socket.receive, socket.send, status, error)
            return
        await socket.accept()
        page = Page(admission.visitor, metrics)

        def check() -> int | None:
            now = access.admit(socket)
            if now is None:
                return LOGIN_CLOSE
            return None if now.visitor == admission.visitor else RECONNECT_CLOSE

        await serve_page(socket, self._parts.hub, page, self._hello, check)

    def _file(self, request: Request, name: str) -> Response:
        found = self._files.answer(request, name)
        if found is None:
            raise HTTPException(404, "there is nothing here")
        return found


def make_application(parts: Parts, data: CameraData, system: SystemState) -> ASGIApp:
    """Return the application.

    Args:
        parts: What the routes share.
        data: What Redis keeps of a camera.
        system: What producers and workers do.

    Raises:
        ConfigurationError: The file of the groups cannot be used.
    """
    routes = Routes(parts, data, system)
    login, pictures = LoginRoutes(parts), PictureRoutes(parts)
    application = Starlette(
        routes=[
            Route("/", routes.index),
            Route("/static/{name:path}", routes.static),
            Route("/login", login.show, methods=["GET"]),
            Route("/login", login.log_in, methods=["POST"]),
            Route("/logout", login.log_out, methods=["POST"]),
            Route("/api/me", routes.me),
            Route("/api/cameras", routes.cameras),
            Route("/api/cameras/{camera}/results", routes.results),
            Route("/api/cameras/{camera}/history", routes.history),
            Route("/api/system", routes.system),
            Route("/cameras/{camera}/still.jpg", pictures.still),
            Route("/cameras/{camera}/stream.mjpg", pictures.stream),
            WebSocketRoute("/ws", routes.socket),
        ],
        exception_handlers={
            HTTPException: _refused,
            SeedstreamError: _away,
            BusyError: _busy,
            Exception: _failed,
        },
    )
    return Guard(application, parts.settings.root_path, parts.access.is_ours)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail or _phrase(error.status_code))


async def _away(request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    refuses = isinstance(error, ConfigurationError)
    return problem(503, "Redis refuses the viewer's access" if refuses else "Redis does not answer")


async def _busy(request: Request, error: Exception) -> Response:
    return problem(503, "too many ask at once; try again", {"Retry-After": "1"})


async def _failed(request: Request, error: Exception) -> Response:
    return problem(500, "the viewer made a mistake; its log tells which")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase.lower()
