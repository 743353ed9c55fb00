"""JPEG pictures out of a multipart stream (``multipart/x-mixed-replace``), as cameras send it.

Cameras leave out the first boundary, the dashes before it, the parts' types and lengths, or get
them wrong. A JPEG picture tells by itself where it ends, so the stream is read by its pictures:
from the start marker to the end marker, or to the next boundary if that comes first, which has cut
the picture. A length that is announced is believed only where it is too large to wait for.

Nothing is read here: bytes come in, pictures go out, and never more lies here than one picture may
have.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_START = b"\xff\xd8\xff"
_END = 0xD9
_SCAN = 0xDA
_MARKER = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")
"""A marker within entropy-coded data, where 0xFF itself is followed by 0; restarts are skipped.
One 0xFF, not a run of them: searching a long run for its end would take the square of its length,
and stop all cameras for as long."""

_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})", re.IGNORECASE)
_SHORT_NAME_BYTES = 4
_MOST_BETWEEN_BYTES = 1024 * 1024
"""What may stand before a picture: headers, padding, parts of other types."""


class MultipartError(Exception):
    """The stream has no pictures, or one that is too large."""


class Part(NamedTuple):
    """One picture.

    Attributes:
        data: The JPEG picture.
        cut: Whether it ends before its end marker.
    """

    data: bytes
    cut: bool


class MultipartReader:
    """Finds the pictures of one stream.

    Args:
        boundary: The boundary parameter of the stream's type, empty if it has none.
        most_bytes: Largest picture.
    """

    def __init__(self, boundary: str, most_bytes: int) -> None:
        self._most = most_bytes
        plain = boundary.strip('" ').lstrip("-").encode()
        name = re.escape(plain)
        any_name = rb"[^\r\n]{1,70}"
        # Two or three bytes stand in every other picture by chance: a short name fills its line.
        rest = rb"(?:--)?[ \t]{0,8}\r?\n" if len(plain) < _SHORT_NAME_BYTES else rb""
        self._boundary = re.compile(
            rb"(?:\r?\n|(?<=\xff\xd9))-*" + name + rest
            if name
            else rb"\r?\n--" + any_name + rb"\r?\n"
        )
        self._longest_boundary = len(boundary) + 80
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._inside = False
        self._walked = 0  # up to here the picture's segments have been followed
        self._searched = 0  # up to here there is no boundary
        self._in_scan = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Yield the pictures that are complete with ``data``.

        Raises:
            MultipartError: A picture is larger than it may be, or none comes.
        """
        self._buffer += data
        while True:
            if not self._inside and not self._find_start():
                return
            end = self._find_end()
            if end is None:
                return
            yield self._take(*end)

    def finish(self) -> Part | None:
        """Return the picture that the end of the stream has cut, if there is one."""
        return self._take(len(self._buffer), True) if self._inside else None

    def _take(self, end: int, cut: bool) -> Part:
        data = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._begin()
        return Part(data, cut)

    def _find_start(self) -> bool:
        start = self._buffer.find(_START)
        if start < 0:
            if len(self._buffer) > _MOST_BETWEEN_BYTES:
                raise MultipartError("the stream contains no JPEG pictures")
            return False
        lengths = _LENGTH.findall(self._buffer[:start])
        # What it announces only counts for a part that begins with the picture.
        if lengths and self._buffer[:start].endswith((b"\r\n\r\n", b"\n\n")):
            announced = int(lengths[-1])
            if announced > self._most:
                raise MultipartError(
                    f"a picture of {announced} bytes is announced, at most {self._most} are taken"
                )
        del self._buffer[:start]
        self._inside, self._walked = True, 2
        return True

    def _find_end(self) -> tuple[int, bool] | None:
        """Return where the picture ends, and whether it is cut there; None: not in sight."""
        end = self._walk()
        # Its end marker counts, unless a boundary stands before it: then it is the next picture's.
        known = len(self._buffer) if end is None else end
        boundary = self._boundary.search(self._buffer, self._searched, known)
        if boundary is not None:
            return boundary.start(), True
        if end is not None:
            return end, False
        self._searched = max(0, len(self._buffer) - self._longest_boundary)
        if len(self._buffer) > self._most:
            raise MultipartError(f"a picture does not end within {self._most} bytes")
        return None

    def _walk(self) -> int | None:
        """Follow the picture's segments; return where its end marker ends, None: not yet there."""
        buffer = self._buffer
        while True:
            if self._in_scan:
                marker = _MARKER.search(buffer, self._walked)
                if marker is None:
                    # A marker may be half here.
                    self._walked = max(self._walked, len(buffer) - 1)
                    return None
                self._walked, self._in_scan = marker.end() - 2, False
            if len(buffer) < self._walked + 2:
                return None
            if buffer[self._walked] != 0xFF:
                self._in_scan = True  # damaged: look for the next marker
                continue
            kind = buffer[self._walked + 1]
            if kind == _END:
                return self._walked + 2
            if kind == 0xFF:
                self._walked += 1  # fill bytes
            elif kind == 0 or kind == 1 or 0xD0 <= kind <= 0xD8:
                self._walked += 2
            elif len(buffer) < self._walked + 4:
                return None
            else:
                length = int.from_bytes(buffer[self._walked + 2 : self._walked + 4], "big")
                self._in_scan = kind == _SCAN
                self._walked += 2 + max(length, 2)
