"""What the routes share: the parts of the server, and who asks."""

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from viewer.web.access import Access, Admission
from viewer.web.hub import Hub
from viewer.web.login_sessions import COOKIE
from viewer.web.metrics import ViewMetrics
from viewer.web.people import Visitor
from viewer.web.settings import ViewSettings


@dataclass
class Parts:
    """What the routes use.

    Attributes:
        settings: Settings.
        access: Who may look.
        metrics: Metrics.
        hub: Pages and pictures.
    """

    settings: ViewSettings
    access: Access
    metrics: ViewMetrics
    hub: Hub

    def admission(self, request: HTTPConnection) -> Admission:
        """Return who asks.

        Raises:
            HTTPException: 401; they must say so first.
        """
        found = self.access.admit(request)
        if found is None:
            self.metrics.refused.labels("unknown").inc()
            raise HTTPException(401, "log in first, or send a token")
        return found

    def visitor(self, request: HTTPConnection) -> Visitor:
        """Return who asks.

        Raises:
            HTTPException: 401.
        """
        return self.admission(request).visitor

    def camera(self, request: Request) -> str:
        """Return the camera of a path, if the one who asks may see it.

        Raises:
            HTTPException: 401; or 404, the same for a camera that there is not and for one that
                somebody else may see.
        """
        visitor = self.visitor(request)
        camera = str(request.path_params["camera"])
        if camera not in self.hub.table.cameras or not visitor.sees(camera):
            raise HTTPException(404, "there is no such camera")
        return camera

    def keep_in(self, response: Response, admission: Admission, request: HTTPConnection) -> None:
        """Let a session that is used last longer."""
        if admission.session is not None and admission.due:
            self.set_cookie(response, self.access.sessions.renew(admission.session), request)

    def set_cookie(self, response: Response, value: str, request: HTTPConnection) -> None:
        """Set the session's cookie; an empty value removes it."""
        response.set_cookie(
            COOKIE,
            value,
            max_age=int(self.access.sessions.seconds) if value else 0,
            path=f"{self.settings.root_path}/",
            secure=_is_encrypted(request),
            httponly=True,
            samesite="strict",
        )


def problem(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that tells what is wrong."""
    return JSONResponse({"error": error}, status, headers)


def _is_encrypted(request: HTTPConnection) -> bool:
    """Return whether the browser speaks TLS, to us or to a proxy."""
    forwarded = request.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
    return request.url.scheme in ("https", "wss") or forwarded.lower() == "https"
