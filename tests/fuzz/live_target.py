"""What reaches the live page's server from outside, each as a function of bytes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import simplejpeg

from contract.preview import encode_preview
from contract.result import ModelReference, Result, encode_result
from segmentation.instances import ArrayMask, Instances
from viewer.web.drawing import draw_picture
from viewer.web.login_sessions import Sessions
from viewer.web.page_messages import (
    MAX_PIXELS,
    Acknowledge,
    Watch,
    picture_message,
    read_message,
    wanted_widths,
)
from viewer.web.passwords import NOBODYS
from viewer.web.people import People
from viewer.web.picture import read_picture

_SECRET = b"a secret of thirty-two characters"
_FRAME = (48, 64)


def page_message(_: Path) -> Callable[[bytes], object]:
    """Make the reader of what a page says; what it asks for is bounded."""

    def run(data: bytes) -> object:
        said = read_message(data.decode(errors="replace"))
        if isinstance(said, Acknowledge):
            return said
        widths = wanted_widths(said.tiles, lambda camera: True)
        assert isinstance(said, Watch)
        assert sum(width * width * 9 / 16 for width in widths.values()) <= 1.3 * MAX_PIXELS
        return widths

    return run


def page_message_seeds() -> list[bytes]:
    """Return good messages."""
    return [
        b'{"type":"ack","id":17}',
        b'{"type":"watch","tiles":[]}',
        b'{"type":"watch","tiles":[{"camera":"gate","width":384},{"camera":"yard"}]}',
    ]


def live_picture(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a preview, which is sent and drawn."""

    def run(data: bytes) -> object:
        picture = read_picture("gate", data)
        picture_message(picture, 1, 1.0)
        return draw_picture(picture)

    return run


def live_picture_seeds() -> list[bytes]:
    """Return previews with and without an object."""
    grey = np.full((24, 32, 3), 128, np.uint8)
    jpeg = bytes(simplejpeg.encode_jpeg(grey, 60, "RGB"))
    box = (10, 8, 20, 30)
    mask = ArrayMask(np.ones((30, 20), np.bool_), box, _FRAME)
    one = Instances.of(_FRAME, ("person",), [0], [0.9], [(20.0, 23.0)], [600], [mask])
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    return [
        encode_preview(
            encode_result(
                Result(
                    camera="gate",
                    session="01939f7e-0000-7000-8000-000000000000",
                    sequence=7,
                    captured_at=moment,
                    processed_at=moment,
                    width=_FRAME[1],
                    height=_FRAME[0],
                    model=ModelReference("made", "1", "0" * 64),
                    latency_seconds=0.1,
                    position=(3, 48),
                    instances=instances.documents(),
                )
            ),
            jpeg,
        )
        for instances in (Instances.empty(_FRAME), one)
    ]


def session_cookie(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a cookie: none counts but one that it has made."""
    sessions = Sessions(_SECRET, 3600.0, lambda: 1e9)
    good = sessions.begin("anna", NOBODYS)

    def run(data: bytes) -> object:
        cookie = data.decode("latin-1")
        verdict = sessions.read(cookie, {"anna": NOBODYS}.get)
        assert verdict is None or cookie in (good, *map(bytes.decode, session_cookie_seeds()))
        return verdict and verdict.session.name

    return run


def session_cookie_seeds() -> list[bytes]:
    """Return a cookie that counts."""
    return _COOKIES


_COOKIES = [Sessions(_SECRET, 3600.0, lambda: 1e9).begin("anna", NOBODYS).encode()]


def people(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of both files of those who may look."""
    path = folder / "people.yaml"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        users = People(path, None, time.monotonic)
        found = users.user("anna")
        return found and found.cameras

    return run


def people_seeds() -> list[bytes]:
    """Return a good file."""
    ben = "ben: {cameras: [gate, 'yard-*']}"
    return [f"anna:\n  password: '{NOBODYS}'\n  role: editor\n{ben}\n".encode()]
