"""A page of a process, read within a time and a size, whatever answers there."""

import contextlib
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any


class TooSlowError(OSError):
    """A page was not whole within its time."""


class TooLargeError(OSError):
    """A page is larger than is read."""


def fetch_page(address: str, seconds: float, most_bytes: int) -> bytes:
    """Return what an address answers.

    A timeout of the library bounds each wait for more, of which a page that drips has as many as
    it likes. So the connection is cut after the whole time. (Looking up a name has bounds of its
    own: the resolver's.)

    Args:
        address: An URL of http or https, asked without a proxy, whatever the environment says.
        seconds: For all of it: connecting, the head, the page, and where it leads elsewhere.
        most_bytes: Largest page.

    Raises:
        OSError: It does not answer; `TooSlowError` and `TooLargeError` beyond the bounds.
        http.client.HTTPException: What answers does not speak HTTP.
        ValueError: It leads to what is no address.
    """
    with _cut_after(seconds) as cut:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _Plain(cut), _Secured(cut)
        )
        try:
            with opener.open(address, timeout=seconds) as reply:
                page = bytes(reply.read(most_bytes + 1))
        except (OSError, http.client.HTTPException) as error:
            if cut.over and getattr(error, "code", None) is None:
                raise TooSlowError(_slow(seconds)) from error
            raise
        # A page without a length ends where the connection is cut, as if it were whole.
        if cut.over:
            raise TooSlowError(_slow(seconds))
    if len(page) > most_bytes:
        raise TooLargeError(
            f"its page is larger than {most_bytes / 2**20:g} MiB: no metrics of ours"
        )
    return page


def _slow(seconds: float) -> str:
    return f"its page was not whole within {seconds:g} s"


class _Cut:
    """Ends connections at a time.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self.over = False

    def connect(self, where: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        """Connect to one of a name's addresses, all of them within the time.

        Raises:
            OSError: None of them answers.
        """
        failed: OSError = OSError(f"no address of {where[0]}")
        for family, kind, protocol, _name, place in socket.getaddrinfo(
            *where, type=socket.SOCK_STREAM
        ):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(max(0.001, self._until - time.monotonic()))
                made.connect(place)
                self._hold(made)
            except OSError as error:
                made.close()
                failed = error
            else:
                return made
        raise failed

    def _hold(self, made: socket.socket) -> None:
        """Keep a second handle of a connection: TLS takes the first one over."""
        with self._lock:
            if self.over:
                raise TooSlowError("the time is over")
            self._held.append(made.dup())

    def cut(self) -> None:
        """End what is connected, and connect no more."""
        with self._lock:
            self.over = True
            for each in self._held:
                # It may have ended by itself.
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            for each in self._held:
                each.close()
            self._held.clear()


@contextlib.contextmanager
def _cut_after(seconds: float) -> Iterator[_Cut]:
    cut = _Cut(seconds)
    timer = threading.Timer(seconds, cut.cut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()
        cut.close()


def _connecting(kind: type[http.client.HTTPConnection], cut: _Cut) -> Callable[..., Any]:
    """Return what makes connections of a kind that are cut."""

    def make(*arguments: Any, **options: Any) -> http.client.HTTPConnection:
        made = kind(*arguments, **options)
        made._create_connection = cut.connect  # type: ignore[attr-defined]
        return made

    return make


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, cut: _Cut) -> None:
        super().__init__()
        self._make = _connecting(http.client.HTTPConnection, cut)

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._make, req)


class _Secured(urllib.request.HTTPSHandler):
    def __init__(self, cut: _Cut) -> None:
        super().__init__()
        self._make = _connecting(http.client.HTTPSConnection, cut)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._make, req)
