"""The login page, and leaving."""

import asyncio
import html
import logging
from pathlib import Path
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from contract.log_limit import LogLimit
from viewer.web.static_files import FOLDER
from viewer.web.web_parts import Parts

log = logging.getLogger(__name__)

_PLACE = "<!-- fault -->"
"""Where the login page says what was wrong."""

_WRONG = "Name or password is wrong."
_MAX_FIELDS = 10
_BODY_SECONDS = 10.0


class LoginRoutes:
    """Logs people in and out.

    Args:
        parts: What the routes share.
        page: The login page.
    """

    def __init__(self, parts: Parts, page: Path = FOLDER / "login.html") -> None:
        self._parts = parts
        self._page = page
        self._log_limit = LogLimit()

    async def show(self, request: Request) -> Response:
        """Return the login page."""
        if not self._parts.access.has_login:
            raise HTTPException(404, "there is no login here")
        if self._parts.access.admit(request) is not None:
            return RedirectResponse("./", 303)
        return self._login_page(200, "")

    async def log_in(self, request: Request) -> Response:
        """Take name and password of the form; the cookie leads to the page."""
        access, metrics = self._parts.access, self._parts.metrics
        if not access.has_login:
            raise HTTPException(404, "there is no login here")
        if not access.same_origin(request):
            metrics.refused.labels("origin").inc()
            raise HTTPException(403, "this form was sent by another site")
        name, password = await _form(request)
        address = access.address_of(request)
        login = await access.log_in(address, name, password)
        if login.cookie is not None:
            metrics.logins.labels("accepted").inc()
            answer: Response = RedirectResponse("./", 303)
            self._parts.set_cookie(answer, login.cookie, request)
            return answer
        metrics.logins.labels("limited" if login.wait_seconds else "refused").inc()
        if (more := self._log_limit.due(address)) is not None:
            log.warning("a login from %s was refused%s", address, more)
        if login.wait_seconds:
            wait = f"Too many tries; wait {login.wait_seconds} seconds."
            return self._login_page(429, wait, {"Retry-After": str(login.wait_seconds)})
        return self._login_page(401, _WRONG)

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        if not self._parts.access.same_origin(request):
            raise HTTPException(403, "this form was sent by another site")
        admission = self._parts.access.admit(request)
        if admission is not None and admission.session is not None:
            self._parts.access.sessions.end(admission.session)
        answer = RedirectResponse("login" if self._parts.access.has_login else "./", 303)
        self._parts.set_cookie(answer, "", request)
        return answer

    def _login_page(
        self, status: int, fault: str, headers: dict[str, str] | None = None
    ) -> Response:
        page = self._page.read_text(encoding="utf-8").replace(_PLACE, html.escape(fault))
        return Response(page, status, headers, media_type="text/html; charset=utf-8")


async def _form(request: Request) -> tuple[str, str]:
    """Return name and password; empty where the form is none."""
    try:
        body = await asyncio.wait_for(request.body(), _BODY_SECONDS)
    except TimeoutError:
        raise HTTPException(400, "the form did not come in time") from None
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:  # UnicodeDecodeError is one
        return "", ""
    return fields.get("name", [""])[0], fields.get("password", [""])[0]
