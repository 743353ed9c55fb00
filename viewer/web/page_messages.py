"""What page and server say to each other over the WebSocket."""

import math
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from contract.errors import InvalidMessageError
from contract.json_text import JSON_ERRORS
from contract.preview import DEFAULT_WIDTH, MAX_WIDTH, MIN_WIDTH
from viewer.web.picture import Picture

MAX_TILES = 1000
"""Tiles of a page."""

MAX_PIXELS = 2 * 3840 * 2160
"""Pixels of all pictures of a page together: two screens of 4K."""

_LENGTH_BYTES = 4


class Tile(msgspec.Struct):
    """A picture on the page.

    Attributes:
        camera: Camera id.
        width: Width that it needs, in device pixels; 0 leaves it to the server.
    """

    camera: Annotated[str, Meta(max_length=200)]
    width: int = 0


class Watch(msgspec.Struct, tag_field="type", tag="watch"):
    """Replaces the cameras that the page shows."""

    tiles: Annotated[list[Tile], Meta(max_length=MAX_TILES)]


class Acknowledge(msgspec.Struct, tag_field="type", tag="ack"):
    """A picture was drawn, or given up."""

    id: int


_decoder = msgspec.json.Decoder(Watch | Acknowledge)
_encode = msgspec.json.Encoder().encode


def read_message(text: str) -> Watch | Acknowledge:
    """Read what a page says.

    Raises:
        InvalidMessageError: It is no message (``malformed_message``).
    """
    try:
        said: Watch | Acknowledge = _decoder.decode(text)
    except JSON_ERRORS as error:
        raise InvalidMessageError("malformed_message", f"no message of a page: {error}") from error
    return said


def wanted_widths(tiles: Iterable[Tile], sees: Callable[[str], bool]) -> dict[str, int]:
    """Return the cameras that a page is to be sent, each with the width that it needs.

    All of them together have at most `MAX_PIXELS`: nobody sees more at a time, and the server keeps
    one picture of each.

    Args:
        tiles: What the page shows; of a camera that is shown twice the larger counts.
        sees: Whether it may see a camera.
    """
    widths: dict[str, int] = {}
    for tile in tiles:
        if sees(tile.camera):
            width = max(MIN_WIDTH, min(tile.width or DEFAULT_WIDTH, MAX_WIDTH))
            widths[tile.camera] = max(width, widths.get(tile.camera, 0))
    pixels = sum(width * width * 9 / 16 for width in widths.values())
    scale = min(1.0, math.sqrt(MAX_PIXELS / pixels)) if pixels else 1.0
    return {camera: max(MIN_WIDTH, int(width * scale)) for camera, width in widths.items()}


def hello_message(server: str, interval_seconds: float) -> bytes:
    """Return the first message of a connection."""
    return _encode({"type": "hello", "server": server, "interval_seconds": interval_seconds})


def picture_message(picture: Picture, number: int, sent: float) -> bytes:
    """Return the length of the header (4 bytes, big-endian), the header as JSON, the JPEG.

    Args:
        picture: The picture; its document is passed on as it was stored.
        number: By which the page acknowledges it.
        sent: Now, seconds since 1970.
    """
    head = {"type": "picture", "id": number, "camera": picture.camera, "sent": round(sent, 4)}
    header = _encode(head)[:-1] + b',"result":' + picture.document + b"}"
    return b"".join((len(header).to_bytes(_LENGTH_BYTES, "big"), header, picture.jpeg))
