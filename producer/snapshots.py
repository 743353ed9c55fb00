"""A URL that gives one picture, asked for again and again."""

import hashlib
import time
from collections.abc import Callable, Generator
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from logging import getLogger

from contract.settings import DAY_SECONDS
from media.frames import cut_jpeg
from producer.camera_pictures import MAX_PICTURE_BYTES, Pause, Picture, SourceError
from producer.cameras import Camera
from producer.http_client import HttpClient, connection_reason, status_text
from producer.jpeg_streams import PictureDecoder
from producer.pass_through import JpegPassage

log = getLogger("seedstream.producer.snapshots")

POLL_SECONDS = 1.0
"""How often a snapshot is fetched unless the camera says."""

_LONGEST_BACKOFF_SECONDS = 30.0
_CHUNK_BYTES = 65_536


_NEXT_JPEG = b"\xff\xd9\xff\xd8\xff"
"""A JPEG's end and the beginning of another."""

_MOST_JPEGS = 16
"""Some cameras append a picture for each eye, or a small one; a stream goes on without end."""

_BEGINNINGS = {"mjpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}
"""How pictures begin, by FFmpeg's names of their formats."""


def codec_of(data: bytes) -> str | None:
    """Return FFmpeg's name of the format of a picture, also of its first few bytes alone."""
    for name, beginning in _BEGINNINGS.items():
        if data and data[: len(beginning)] == beginning[: len(data)]:
            return name
    return None


class SnapshotSource:
    """A picture behind a URL, as a camera: one session, whatever happens between the pictures.

    A picture is asked for at steady times, as one that may not have changed, and given when it has;
    a motion gate is given the same picture again, and decides, as of a camera that sees no motion.
    A request that fails is counted and made again, ever later; only when no answer was good for as
    long as the camera may stay silent it counts as lost.

    Args:
        client: The connection, which it closes.
        answer: The first answer, of which nothing has been read.
        camera: How often it is asked for, and how long a request may take.
        on_bad_packet: Called for every request that gives no picture.
        clock: Monotonic clock.
    """

    live = True
    fps: float | None = None

    def __init__(
        self,
        client: HttpClient,
        answer: HTTPResponse,
        camera: Camera,
        on_bad_packet: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._first: HTTPResponse | None = answer
        self._camera = camera
        self._on_bad_packet = on_bad_packet
        self._clock = clock
        self._interval = camera.poll_seconds or max(
            POLL_SECONDS, min(DAY_SECONDS, 1 / (camera.fps or 1000))
        )
        self._patience = max(camera.stall_timeout_seconds, 3 * self._interval)
        self._conditions: dict[str, str] = {}
        self._digest = b""
        self._decoders: dict[str, PictureDecoder] = {}
        self._passage = JpegPassage(camera, every=1)

    def pictures(self) -> Generator[Picture | Pause, None, None]:
        """Yield the picture whenever it has changed; each time to a motion gate, which decides."""
        due = last_good = self._clock()
        shown: Picture | None = None
        failures, told = 0, False
        while True:
            try:
                data = self._fetch()
                picture = None if data is None else self._picture(data)
            except SourceError as error:
                self._on_bad_packet()
                failures += 1
                self._digest, self._conditions = b"", {}  # not what the next one is compared with
                if not told:
                    told = True
                    log.warning("camera %s: snapshot: %s; asking again", self._camera.id, error)
                if self._clock() - last_good > self._patience:
                    raise SourceError(f"no picture for {self._patience:g} s: {error}") from None
                wait = self._interval * 2 ** min(failures, 20)
                due = self._clock() + min(wait, max(_LONGEST_BACKOFF_SECONDS, self._interval))
            else:
                last_good, failures = self._clock(), 0
                due = max(due + self._interval, last_good)
                if picture is None and self._camera.motion is not None:
                    picture = shown
                elif picture is not None:
                    # What is damaged and dropped is not shown again: it counts once.
                    dropped = picture.damage is not None and self._camera.drop_corrupt
                    shown = None if dropped else picture._replace(again=True)
                if picture is not None:
                    yield picture
            yield Pause(max(0.0, due - self._clock()))

    def shortfall(self) -> str | None:
        """Return None: it has no end."""
        return None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _fetch(self) -> bytes | None:
        """Return the picture's data, None if it is that of the time before."""
        answer, self._first = self._first, None
        try:
            if answer is None:
                answer = self._client.get(self._camera.stall_timeout_seconds, self._conditions)
            if answer.status == HTTPStatus.NOT_MODIFIED:
                answer.read()
                return None
            if answer.status != HTTPStatus.OK:
                raise SourceError(f"the server answers {status_text(answer.status)}")
            data = _body(answer)
        except TimeoutError:
            self._client.close()
            raise SourceError("the picture did not come in time") from None
        except (OSError, HTTPException, ValueError) as error:
            self._client.close()
            raise SourceError(connection_reason(error)) from None
        except SourceError:
            self._client.close()
            raise
        return self._changed(data, answer)

    def _changed(self, data: bytes, answer: HTTPResponse) -> bytes | None:
        """Return ``data`` unless it was the same last time; note what to ask for next."""
        names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
        given = {names[name]: answer.headers.get(name) for name in names}
        if data.startswith(_BEGINNINGS["mjpeg"]) and cut_jpeg(data):
            given = {}  # it may have been read while it was written: the next one may be whole
        self._conditions = {name: value for name, value in given.items() if value}
        digest = hashlib.blake2b(data).digest()
        # Cameras that know no conditions send the same picture again.
        if digest == self._digest:
            return None
        self._digest = digest
        return data

    def _picture(self, data: bytes) -> Picture:
        codec = codec_of(data)
        if codec is None:
            raise SourceError("the answer is neither a JPEG nor a PNG picture")
        cut = codec == "mjpeg" and cut_jpeg(data)
        if codec == "mjpeg" and not cut and (jpeg := self._passage.take(data)):
            return Picture(None, None, jpeg=jpeg)
        if codec not in self._decoders:
            self._decoders[codec] = PictureDecoder(codec)
        image = self._decoders[codec].decode(data)
        if image is None:
            raise SourceError("the picture does not decode")
        return Picture(image, None, "cut" if cut else None)


def _body(answer: HTTPResponse) -> bytes:
    """Read a picture's data.

    Raises:
        SourceError: It is too large, or a stream of pictures.
    """
    data, pictures = bytearray(), 0
    while chunk := answer.read1(_CHUNK_BYTES):
        pictures += (data[1 - len(_NEXT_JPEG) :] + chunk).count(_NEXT_JPEG)
        data += chunk
        if pictures > _MOST_JPEGS:
            raise SourceError(
                f"one answer holds more than {_MOST_JPEGS} JPEG pictures and goes on: a stream "
                "that calls itself one picture; give the address of the camera's snapshot, or of a "
                "stream of type multipart/x-mixed-replace"
            )
        if len(data) > MAX_PICTURE_BYTES:
            raise SourceError(f"the picture has more than {MAX_PICTURE_BYTES} bytes")
    if answer.length:
        raise SourceError("the connection ended within the picture")
    answer.close()  # the connection is free for the next request
    return bytes(data)
