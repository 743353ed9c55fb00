"""A TLS context that follows its files: certificates are renewed while a process runs.

cert-manager and Strimzi write new files long before the old certificates end; a context of the
standard library reads them once.
"""

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contract.errors import ConfigurationError

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""Inode, time of change in nanoseconds and size in bytes of each file."""


class RenewedContext(ssl.SSLContext):
    """A client's context, made anew for the next connection when one of its files has changed.

    New files that cannot be used, or do not fit each other, are warned of once and the old ones
    are used until that changes. Connections that are open keep what they began with. Any thread.

    Args:
        make: Reads the files and returns a context, or raises ConfigurationError.
        files: What it reads.

    Raises:
        ConfigurationError: The files cannot be used from the start.
    """

    _make: Callable[[], ssl.SSLContext]
    _files: Sequence[Path]
    _lock: threading.Lock
    _seen: Stamp | None
    _refused: Stamp | None
    _current: ssl.SSLContext

    def __new__(cls, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> "RenewedContext":
        """Return a context, whose own certificates are never used."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._make, made._files = make, files
        made._lock = threading.Lock()
        made._seen = made._refused = _stamp(files)
        made._current = make()
        return made

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Begin TLS on a socket, with the files as they are now."""
        return self._renewed().wrap_socket(*arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin TLS in memory, with the files as they are now."""
        return self._renewed().wrap_bio(*arguments, **options)

    def _renewed(self) -> ssl.SSLContext:
        with self._lock:
            stamp = _stamp(self._files)
            if stamp == self._seen:
                return self._current
            try:
                self._current = self._make()
            except ConfigurationError as error:
                # They may be half written, so they are tried again, and warned of once.
                if stamp != self._refused:
                    self._refused = stamp
                    log.warning("TLS files have changed, the old ones are still used: %s", error)
                return self._current
            self._seen = stamp  # from before they were read: a later change is seen the next time
            log.info("TLS files have changed: new connections use them")
            return self._current


def _stamp(files: Sequence[Path]) -> Stamp | None:
    """Return what changes when a file does; None if one is away."""
    try:
        found = [path.stat() for path in files]
    except OSError:
        return None
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)
