"""Who is asking: a session's cookie, a program's token, or a proxy that knows them."""

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from contract.errors import ConfigurationError
from viewer.web.login_limit import LoginLimit
from viewer.web.login_sessions import COOKIE, Session, Sessions
from viewer.web.passwords import MAX_CHARACTERS, NOBODYS, password_fits
from viewer.web.people import ANYBODY, People, Visitor
from viewer.web.settings import ViewSettings, is_loopback

log = logging.getLogger(__name__)

PROXY_SECRET_HEADER = "X-Seedstream-Proxy-Secret"

_MIN_SECRET = 32
_HASHES_AT_ONCE = 2
"""A hash takes 32 MiB."""

_MOST_WAITING = 16


@dataclass(frozen=True)
class Admission:
    """Somebody who may look.

    Attributes:
        visitor: Who it is.
        session: Their session; None where they came without a cookie.
        due: Whether the session should be renewed.
    """

    visitor: Visitor
    session: Session | None = None
    due: bool = False


class Login(NamedTuple):
    """What became of a try to log in: a cookie, or how long to wait, or neither."""

    cookie: str | None = None
    wait_seconds: int = 0


class Access:
    """Decides who may look.

    Args:
        settings: Settings.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.

    Raises:
        ConfigurationError: The page would be open to everybody, or a file cannot be used.
    """

    def __init__(
        self,
        settings: ViewSettings,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.needed = settings.authenticates
        if not self.needed and not settings.is_loopback:
            raise ConfigurationError(_OPEN.format(host=settings.host))
        self.people = People(settings.users_file, settings.tokens_file, clock)
        self._proxy_secret = _secret(
            "VIEW_PROXY_SECRET", settings.proxy_secret, settings.proxy_secret_file
        )
        self._user_header = settings.proxy_user_header
        secret = _secret(
            "VIEW_SESSION_SECRET", settings.session_secret, settings.session_secret_file
        )
        if settings.users_file is not None and secret is None:
            log.warning(
                "sessions end with this process, and no other replica accepts them: "
                "set VIEW_SESSION_SECRET or VIEW_SESSION_SECRET_FILE"
            )
        self.sessions = Sessions(
            (secret or secrets.token_urlsafe()).encode(), settings.session_hours * 3600, wall_clock
        )
        self._limit = LoginLimit(clock)
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._waiting = 0
        names = {each.strip().lower() for each in settings.host_names.split(",")}
        self._host_names = (names | {settings.host.lower()}) - {""}

    @property
    def has_login(self) -> bool:
        """Whether there is a login page."""
        return self.people.has_users

    def admit(self, request: HTTPConnection) -> Admission | None:
        """Return who asks, None where they must say so first."""
        if not self.needed:
            return Admission(ANYBODY)
        if self._through_proxy(request):
            visitor = self._proxys_user(request.headers.get(self._user_header, ""))
            return None if visitor is None else Admission(visitor)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and 0 < len(token) <= MAX_CHARACTERS:
            program = self.people.program(token.strip())
            return None if program is None else Admission(program)
        return self._in_session(request.cookies.get(COOKIE, ""))

    async def log_in(self, address: str, name: str, password: str) -> Login:
        """Check a name and a password.

        Every try takes as long as a known name with a wrong password.
        """
        if (wait := self._limit.take(address, name)) > 0:
            return Login(wait_seconds=wait)
        if self._waiting >= _MOST_WAITING:
            return Login(wait_seconds=1)
        person = self.people.user(name)
        kept = person.password if person is not None and person.password else None
        self._waiting += 1
        try:
            async with self._hashing:
                fits = await asyncio.to_thread(
                    password_fits, password[:MAX_CHARACTERS], kept or NOBODYS
                )
        finally:
            self._waiting -= 1
        if not fits or kept is None or len(password) > MAX_CHARACTERS:
            return Login()
        self._limit.succeeded(address, name)
        return Login(self.sessions.begin(name, kept))

    def address_of(self, request: HTTPConnection) -> str:
        """Return the address of a browser: that which a proxy adds, where it is one to believe."""
        peer = request.client.host if request.client else ""
        if is_loopback(peer) or self._through_proxy(request):
            forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            return forwarded or peer
        return peer

    def is_ours(self, request: HTTPConnection) -> bool:
        """Return whether a request is for a name of ours.

        Without authentication another web page could give its own name our address, and read
        everything (DNS rebinding); with it, the browser sends it no cookie of ours.
        """
        return (
            self.needed or _host_of(request) in self._host_names or is_loopback(_host_of(request))
        )

    def same_origin(self, request: HTTPConnection) -> bool:
        """Return whether a request that a browser sends comes from our own page.

        A program sends no origin; then it must not rely on a browser's cookie.
        """
        origin = request.headers.get("origin")
        if origin is None:
            return not self.needed or COOKIE not in request.cookies
        host = request.headers.get("host", "").lower()
        scheme, _, authority = origin.lower().partition("://")
        return scheme in ("http", "https") and authority in _with_default_port(host, scheme)

    def _through_proxy(self, request: HTTPConnection) -> bool:
        said = request.headers.get(PROXY_SECRET_HEADER)
        if self._proxy_secret is None or said is None:
            return False
        return hmac.compare_digest(said.encode(), self._proxy_secret.encode())

    def _proxys_user(self, name: str) -> Visitor | None:
        if not name or len(name) > MAX_CHARACTERS:
            return None
        if not self.people.has_users:
            return Visitor(name, "viewer")
        person = self.people.user(name)
        return None if person is None else Visitor(name, person.role, person.cameras)

    def _in_session(self, cookie: str) -> Admission | None:
        def password_hash(name: str) -> str | None:
            person = self.people.user(name)
            return person.password if person is not None and person.password else None

        verdict = self.sessions.read(cookie, password_hash) if cookie else None
        person = verdict and self.people.user(verdict.session.name)
        if verdict is None or person is None:
            return None
        visitor = Visitor(verdict.session.name, person.role, person.cameras)
        return Admission(visitor, verdict.session, verdict.due)


_OPEN = (
    "VIEW_HOST is {host!r}, which others can reach, and nobody would have to log in: set "
    "VIEW_USERS_FILE (users with passwords), VIEW_TOKENS_FILE (programs with tokens) or "
    "VIEW_PROXY_SECRET (a proxy that authenticates), or leave VIEW_HOST at 127.0.0.1"
)


def _secret(variable: str, given: SecretStr | None, file: Path | None) -> str | None:
    if given is not None and file is not None:
        raise ConfigurationError(f"{variable} and {variable}_FILE are both set: give one of them")
    found = None if given is None else given.get_secret_value()
    if file is not None:
        try:
            found = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{variable}_FILE is {file}: {error}") from None
    if found is not None and (len(found) < _MIN_SECRET or not found.isascii()):
        raise ConfigurationError(
            f"{variable} has {len(found)} characters: expected at least {_MIN_SECRET} of ASCII, "
            "for instance from `openssl rand -base64 32`"
        )
    return found


def _host_of(request: HTTPConnection) -> str:
    """Return the host that a request is for, without its port."""
    host = request.headers.get("host", "").lower()
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]


def _with_default_port(host: str, scheme: str) -> set[str]:
    """Return a host with its port in all the ways a browser may write them."""
    port = {"http": ":80", "https": ":443"}[scheme]
    return {host, host.removesuffix(port), f"{host}{port}"} - {""}
