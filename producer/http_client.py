"""One camera's HTTP connection: requests in turn, each bounded in time as a whole.

FFmpeg reads most that comes over HTTP. Not so pictures that must be asked for one by one, and
streams of JPEG pictures, where it trusts whatever length a camera claims.
"""

import io
import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from socket import gaierror, socket
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from producer import forbidden_hosts
from producer.authorization import Authorization
from producer.camera_pictures import SourceError

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_SAFE = "%/:=&?~+!$,;'@()*[]|"


class _Limit:
    """The moment by which an answer must be complete."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline = 0.0

    def set(self, seconds: float) -> None:
        self._deadline = self._clock() + seconds

    def left(self) -> float:
        """Return the seconds that are left, more than 0.

        Raises:
            TimeoutError: None are.
        """
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left


class _Bounded(io.RawIOBase):
    """What a socket receives until the limit, however slowly it comes."""

    def __init__(self, connection: socket, limit: _Limit) -> None:
        self._connection = connection
        self._raw: Any = connection.makefile("rb", buffering=0)
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._limit.left())
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class HttpClient:
    """Asks for one URL, as often as wanted, over one connection where the server keeps it.

    Args:
        url: http:// or https://, with user name and password in it where they are needed.
        options: FFmpeg's options, of which ``headers``, ``user_agent``, ``tls_verify`` and
            ``ca_file`` are followed. As in FFmpeg, certificates are not verified unless asked for.
        clock: Monotonic clock.
        link_local: Whether it may talk to link-local addresses.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        link_local: bool = False,
    ) -> None:
        options = options or {}
        self._link_local = link_local
        parts = urlsplit(url)
        user, password = parts.username, parts.password
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
        self._authorization = (
            None if user is None else Authorization(unquote(user), unquote(password or ""))
        )
        self._headers = {"User-Agent": options.get("user_agent", "seedstream"), "Accept": "*/*"}
        for line in options.get("headers", "").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                self._headers[name.strip()] = value.strip()
        self._verify = options.get("tls_verify", "0") == "1"
        self._ca_file = options.get("ca_file")
        self._limit = _Limit(clock)
        self._connection: HTTPConnection | None = None
        self._place: tuple[str, str] | None = None
        self._answer: HTTPResponse | None = None

    @property
    def direct(self) -> bool:
        """Whether no proxy of the environment is to be used."""
        parts = urlsplit(self._url)
        return parts.scheme not in getproxies() or bool(proxy_bypass(parts.netloc))

    def get(self, seconds: float, conditions: Mapping[str, str] | None = None) -> HTTPResponse:
        """Ask once, following redirects and answering a challenge.

        The answer must be read to its end, or the client closed, before the next request.

        Args:
            seconds: How long it may take until the headers are in, and after that the body, unless
                ``extend`` gives it more time.
            conditions: Headers of this request alone.

        Raises:
            SourceError: Too many redirects, one that leads to no HTTP, or a link-local address.
            OSError: The connection failed; ``TimeoutError`` when time is over.
            http.client.HTTPException: The answer is not HTTP.
        """
        self._limit.set(seconds)
        url, challenged = self._url, False
        for _ in range(_MOST_REDIRECTS + 2):
            at_home = may_know(url, self._url)
            answer = self._ask(url, dict(conditions or {}), at_home)
            challenges = answer.headers.get_all("WWW-Authenticate", [])
            if (
                answer.status == HTTPStatus.UNAUTHORIZED
                and self._authorization is not None
                and at_home
                and not challenged
                and self._authorization.challenge(challenges)
            ):
                challenged = True
                self.close()
                continue
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                self._answer = answer
                return answer
            self.close()
            url = _redirected(url, answer.headers["Location"])
        raise SourceError(f"more than {_MOST_REDIRECTS} redirects")

    def extend(self, seconds: float) -> None:
        """Let what is being read take this much longer, from now on."""
        self._limit.set(seconds)

    def close(self) -> None:
        """Close the connection."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, url: str, headers: dict[str, str], at_home: bool) -> HTTPResponse:
        parts = urlsplit(url)
        target = quote(parts.path or "/", _SAFE) + (
            "?" + quote(parts.query, _SAFE) if parts.query else ""
        )
        if at_home:
            headers = self._headers | headers
            if self._authorization is not None:
                proof = self._authorization.header("GET", target)
                headers |= {} if proof is None else {"Authorization": proof}
        place = (parts.scheme, parts.netloc)
        if self._connection is not None and place == self._place:
            try:
                return self._send(self._connection, target, headers)
            except ConnectionError:
                pass  # the server has closed it since the last request
        self.close()
        self._connection, self._place = self._connect(parts.scheme, parts.netloc), place
        return self._send(self._connection, target, headers)

    def _send(
        self, connection: HTTPConnection, target: str, headers: dict[str, str]
    ) -> HTTPResponse:
        connection.timeout = self._limit.left()
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.request("GET", target, headers=headers)
        answer: HTTPResponse = connection.getresponse()
        return answer

    def _connect(self, scheme: str, place: str) -> HTTPConnection:
        seconds = self._limit.left()
        if scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file)
            if not self._verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection: HTTPConnection = HTTPSConnection(place, timeout=seconds, context=context)
        else:
            connection = HTTPConnection(place, timeout=seconds)
        limit = self._limit

        class Answer(HTTPResponse):
            def __init__(self, sock: socket, *args: Any, **named: Any) -> None:
                super().__init__(sock, *args, **named)
                self.fp.close()
                self.fp = io.BufferedReader(_Bounded(sock, limit))

        connection.response_class = Answer
        if not self._link_local:
            # What the library's own connections make their sockets with, whatever redirects say.
            connection._create_connection = forbidden_hosts.connect  # type: ignore[attr-defined]
        return connection


def _redirected(url: str, location: str) -> str:
    """Return where a redirect of ``url`` leads.

    User name and password are left out: they would pass for a part of the host.

    Raises:
        SourceError: It is no HTTP address.
    """
    try:
        parts = urlsplit(urljoin(url, location))
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        pass  # not even an address; its text may hold a password
    raise SourceError("the server redirects to an address that is not HTTP")


def may_know(url: str, home: str) -> bool:
    """Return whether ``url`` may get what is for ``home``: not elsewhere, nor in the clear."""
    there, here = urlsplit(url), urlsplit(home)
    return there.netloc == here.netloc and (there.scheme == here.scheme or there.scheme == "https")


def status_text(status: int) -> str:
    """Return a status as people read it: ``404 Not Found``."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def connection_reason(error: Exception) -> str:
    """Return why a request or an answer failed, without the address."""
    if isinstance(error, TimeoutError):
        return "it was silent for too long"
    if isinstance(error, gaierror):
        return "the host's name is unknown"
    if isinstance(error, UnicodeError) and "idna" in str(error):
        return "the host's name is not as names are"
    return getattr(error, "strerror", None) or type(error).__name__
