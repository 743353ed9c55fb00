"""What page and server say to each other over the WebSocket."""

from typing import Annotated

import msgspec
from msgspec import Meta

from viewer.web.picture import Picture

MAX_TILES = 1000
"""Tiles of a page."""

_LENGTH_BYTES = 4


class Tile(msgspec.Struct):
    """A picture on the page.

    Attributes:
        camera: Camera id.
        width: Width that it needs, in device pixels.
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
        msgspec.MsgspecError: It is no message.
    """
    said: Watch | Acknowledge = _decoder.decode(text)
    return said


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
