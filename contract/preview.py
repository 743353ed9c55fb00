"""Worker and viewer: the picture that a result was made from, and who is looking.

One value is one matched pair: the result document of a frame and a small JPEG of that very frame.
All keys of a camera share its hash tag, and the script that stores a result writes its preview, so
the two cannot come apart.

- ``ResultKeys.preview``: the newest pair, as `encode_preview` writes it; expires with the results.
- ``ResultKeys.watch``: how wide somebody looks at the camera, in pixels, decimal. Viewers renew it
  every second; it expires `WATCH_SECONDS` after the last of them left. The worker learns it from
  the script's answer, so that no round trip is added, and then makes a preview of every frame; of a
  camera that nobody watches one every `IDLE_SECONDS`, so that a wall opens at once.
- ``ResultKeys.previews_channel``: announces each preview of a watched camera as
  ``<session>/<sequence>``.
"""

from typing import NamedTuple

from contract.errors import InvalidMessageError
from contract.result import Result, decode_result

WATCH_SECONDS = 5
"""How long a camera stays watched after a viewer said so, in seconds."""

IDLE_SECONDS = 10.0
"""How often a preview is made of a camera that nobody watches, in seconds."""

DEFAULT_WIDTH = 384
"""Width of a preview that nobody asked for, in pixels."""

MIN_WIDTH = 64
MAX_WIDTH = 1920
"""Widths that a viewer may ask for; others are taken for the nearest of these."""

_LENGTH_BYTES = 4


class Preview(NamedTuple):
    """A result and the picture that it was made from.

    Attributes:
        document: The result document, as it was stored.
        jpeg: The frame, scaled to at most the wanted width; never larger than the frame.
    """

    document: bytes
    jpeg: bytes

    def result(self) -> Result:
        """Return the decoded result.

        Raises:
            InvalidMessageError: The document is no result (``malformed_result``).
        """
        return decode_result(self.document)


def encode_preview(document: bytes, jpeg: bytes) -> bytes:
    """Return the length of the document (4 bytes, big-endian), the document, the JPEG."""
    return len(document).to_bytes(_LENGTH_BYTES, "big") + document + jpeg


def decode_preview(data: bytes) -> Preview:
    """Split what `encode_preview` joined; the document is not looked into.

    Raises:
        InvalidMessageError: It is no such value (``malformed_preview``).
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + length
    if len(data) < _LENGTH_BYTES or length < 1 or len(data) <= end:
        raise InvalidMessageError(
            "malformed_preview",
            f"it has {len(data)} bytes, expected 4 bytes that tell the length of a document "
            f"({length}), the document and a JPEG",
        )
    return Preview(data[_LENGTH_BYTES:end], data[end:])


def wanted_width(text: bytes | None) -> int | None:
    """Return the width that the value of ``ResultKeys.watch`` asks for, None where nobody looks.

    Another application's text there counts as nobody.
    """
    if text is None or not text.isdigit() or len(text) > len(str(MAX_WIDTH)):
        return None
    return max(MIN_WIDTH, min(int(text), MAX_WIDTH))
