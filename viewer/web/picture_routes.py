"""Pictures for those that show no page: stills, and a stream of JPEGs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Send

from contract.errors import InvalidMessageError, SeedstreamError
from contract.frame import I420
from contract.preview import DEFAULT_WIDTH, MAX_WIDTH, MIN_WIDTH
from contract.result import decode_result
from viewer.web.drawing import Drawer, draw_frame, encode_frame_image
from viewer.web.full_frames import FullFrames, TooManyError
from viewer.web.page import Page
from viewer.web.people import Visitor
from viewer.web.picture import Picture
from viewer.web.web_parts import Parts

MAX_STREAMS = 64
"""MJPEG streams that are open at once."""

DEFAULT_FPS = 5.0
MAX_FPS = 30.0

_FRESH_SECONDS = 1.0
_FIRST_SECONDS = 2.0
_SEND_SECONDS = 20.0
"""Who does not take a picture of a stream for so long is gone."""

_BOUNDARY = "seedstream-picture"


class BoundedStream(StreamingResponse):
    """A stream that ends when its reader does not read on."""

    async def stream_response(self, send: Send) -> None:
        """Send the parts, each within a bound."""

        async def within_bound(message: Message) -> None:
            await asyncio.wait_for(send(message), _SEND_SECONDS)

        with contextlib.suppress(TimeoutError):
            await super().stream_response(within_bound)


class PictureRoutes:
    """Serves pictures.

    Args:
        parts: What the routes share.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._drawer = Drawer()
        settings = parts.settings
        self._full = FullFrames(settings, settings.topic) if settings.full_size else None
        self._streams = 0

    async def still(self, request: Request) -> Response:
        """Return the newest picture of a camera, with masks unless ``plain`` is asked for."""
        camera, plain = self._parts.camera(request), _flag(request, "plain")
        if _flag(request, "full"):
            return await self._full_still(camera, plain=plain)
        picture = await self._newest(camera, _number(request, "width", DEFAULT_WIDTH))
        self._parts.metrics.stills.labels("plain" if plain else "drawn").inc()
        return _jpeg(picture.jpeg if plain else await self._draw(picture), picture)

    async def stream(self, request: Request) -> Response:
        """Return a stream of pictures with masks, each the newest one when it is its turn."""
        camera = self._parts.camera(request)
        fps = _number(request, "fps", DEFAULT_FPS)
        width = _number(request, "width", DEFAULT_WIDTH)
        if not 0.01 <= fps <= MAX_FPS:
            raise HTTPException(400, f"fps is {fps:g}, expected 0.01 to {MAX_FPS:g}")
        if self._streams >= MAX_STREAMS:
            self._parts.metrics.refused.labels("busy").inc()
            raise HTTPException(503, "too many streams are open; the page itself needs none")
        return BoundedStream(
            self._parts_of_stream(camera, int(width), 1 / fps),
            media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
        )

    async def _parts_of_stream(
        self, camera: str, width: int, interval_seconds: float
    ) -> AsyncIterator[bytes]:
        self._streams += 1
        self._parts.metrics.streams.set(self._streams)
        try:
            with self._following(camera, width) as page:
                next_at = self._clock()
                while True:
                    await asyncio.sleep(max(0.0, next_at - self._clock()))
                    picture = await page.next_picture(self._parts.hub)
                    next_at = self._clock() + interval_seconds
                    with contextlib.suppress(InvalidMessageError):
                        jpeg = await self._drawer.drawn(picture)
                        yield _part(jpeg)
        finally:
            self._streams -= 1
            self._parts.metrics.streams.set(self._streams)

    async def _newest(self, camera: str, width: float) -> Picture:
        """Return a picture of now, or the last one where the camera sends none any more."""
        hub = self._parts.hub
        with self._following(camera, int(width)) as page:
            until = self._clock() + _FIRST_SECONDS
            picture = None
            with contextlib.suppress(TimeoutError):
                while picture is None or time.time() - picture.processed_at > _FRESH_SECONDS:
                    left = until - self._clock()
                    picture = await asyncio.wait_for(page.next_picture(hub), max(0.0, left))
        if picture is None:
            raise HTTPException(404, "there is no picture of this camera yet")
        return picture

    @contextlib.contextmanager
    def _following(self, camera: str, width: int) -> Iterator[Page]:
        page = Page(Visitor("", "viewer", (camera,)), self._parts.metrics)
        hub = self._parts.hub
        hub.show(page, {camera: max(MIN_WIDTH, min(width, MAX_WIDTH))})
        try:
            yield page
        finally:
            hub.show(page, {})

    async def _draw(self, picture: Picture) -> bytes:
        try:
            return await self._drawer.drawn(picture)
        except InvalidMessageError as error:
            raise HTTPException(503, "the newest picture cannot be used") from error

    async def _full_still(self, camera: str, *, plain: bool) -> Response:
        if self._full is None:
            raise HTTPException(404, "full-size stills are off: see VIEW_FULL_SIZE")
        picture = await self._newest(camera, DEFAULT_WIDTH)
        try:
            result = decode_result(picture.document)
            if result.position is None:
                raise HTTPException(404, "the worker is too old to tell where the frame is")
            frame = await self._full.frame(result)
            if frame is None:
                raise HTTPException(404, "Kafka has this frame no more")
            if not plain:
                jpeg = await asyncio.to_thread(draw_frame, frame, result)
            elif frame.content_type == I420:
                jpeg = await asyncio.to_thread(encode_frame_image, frame)
            else:
                jpeg = frame.data
        except TooManyError:
            self._parts.metrics.refused.labels("busy").inc()
            raise HTTPException(503, "too many ask for full-size stills; try again") from None
        except InvalidMessageError as error:
            raise HTTPException(503, "the frame cannot be used") from error
        except SeedstreamError as error:
            raise HTTPException(503, "Kafka does not give the frame now") from error
        self._parts.metrics.stills.labels("full").inc()
        return _jpeg(jpeg, picture)


def _jpeg(data: bytes, picture: Picture) -> Response:
    return Response(
        data,
        media_type="image/jpeg",
        headers={
            "Seedstream-Frame": f"{picture.session}/{picture.sequence}",
            "Seedstream-Captured-At": f"{picture.captured_at:.3f}",
        },
    )


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "0") not in ("0", "", "false")


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return float(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number < 1e6:
        raise HTTPException(400, f"{name} is no number above 0")
    return number
