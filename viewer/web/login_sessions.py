"""Sessions of the login page: signed, so that every replica accepts them and none keeps a list.

Pure but for the clock and the random numbers.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

COOKIE = "seedstream_session"

LONGEST_SECONDS = 30 * 86_400.0
"""After so long somebody must log in again, however often they came."""

RENEW_SHARE = 0.25
"""A session is renewed when so much of its time is over."""

_MAX_CHARACTERS = 1000
_MAX_ENDED = 10_000


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What the cookie says; moments are seconds since 1970.

    Attributes:
        name: Name of the user.
        began: When they logged in.
        renewed: When the cookie was made.
        number: Random, to end this one session.
        stamp: Of the password: another password ends the session.
    """

    name: str
    began: int
    renewed: int
    number: str
    stamp: str


class Verdict(NamedTuple):
    """A session that counts.

    Attributes:
        session: The session.
        ends: When it ends unless it is renewed, seconds since 1970.
        due: Whether it should be renewed now.
    """

    session: Session
    ends: float
    due: bool


_decoder = msgspec.json.Decoder(Session)
_encode = msgspec.json.Encoder().encode


class Sessions:
    """Makes and reads cookies.

    Args:
        secret: Signs them; all replicas have the same.
        seconds: How long one lasts without being renewed.
        wall_clock: Seconds since 1970.
    """

    def __init__(self, secret: bytes, seconds: float, wall_clock: Callable[[], float]) -> None:
        self._key = hashlib.sha256(b"seedstream session\0" + secret).digest()
        self._seconds = seconds
        self._wall_clock = wall_clock
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def seconds(self) -> float:
        """How long a session lasts without being renewed."""
        return self._seconds

    def begin(self, name: str, password_hash: str) -> str:
        """Return the cookie of somebody who has just logged in."""
        now = int(self._wall_clock())
        number = secrets.token_urlsafe(12)
        return self._written(Session(name, now, now, number, self._stamp(password_hash)))

    def renew(self, session: Session) -> str:
        """Return a cookie that lasts longer."""
        return self._written(msgspec.structs.replace(session, renewed=int(self._wall_clock())))

    def read(self, cookie: str, password_hash: Callable[[str], str | None]) -> Verdict | None:
        """Return the session of a cookie, None if it does not count.

        Args:
            cookie: The cookie's value.
            password_hash: Returns what is kept of a user's password, None for an unknown one.
        """
        body, dot, signature = cookie.partition(".")
        if not dot or len(cookie) > _MAX_CHARACTERS or not cookie.isascii():
            return None
        if not hmac.compare_digest(self._signature(body), signature):
            return None
        try:
            session = _decoder.decode(_decoded(body))
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            return None
        kept = password_hash(session.name)
        if kept is None or not hmac.compare_digest(self._stamp(kept), session.stamp):
            return None
        now = self._wall_clock()
        ends = min(session.renewed + self._seconds, session.began + LONGEST_SECONDS)
        if not session.renewed - 60 <= now < ends or session.number in self._ended:
            return None
        due = now - session.renewed > RENEW_SHARE * self._seconds
        return Verdict(session, ends, due)

    def end(self, session: Session) -> None:
        """Accept a session no more, in this process; the browser is told to forget the cookie."""
        self._ended[session.number] = None
        while len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

    def _written(self, session: Session) -> str:
        body = base64.urlsafe_b64encode(_encode(session)).decode().rstrip("=")
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _stamp(self, password_hash: str) -> str:
        return hmac.digest(self._key, b"stamp\0" + password_hash.encode(), "sha256").hex()[:24]


def _decoded(body: str) -> bytes:
    return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
