"""A stream of JPEG pictures over HTTP (``multipart/x-mixed-replace``), read by ourselves.

FFmpeg's demuxer refuses what many cameras send, allocates whatever length they claim and does not
see that a picture is cut.
"""

from collections.abc import Callable, Generator
from http.client import HTTPException, HTTPResponse

import av
import av.error

from media.jpeg_limits import jpeg_fault
from producer.camera_pictures import DEFAULT_FPS, MAX_PICTURE_BYTES, Pause, Picture, SourceError
from producer.http_client import HttpClient, connection_reason
from producer.memory import bound_allocations
from producer.multipart import MultipartError, MultipartReader, Part
from producer.pass_through import JpegPassage

_BAD_PICTURES = 100
"""Pictures that may fail to decode in a row before the stream counts as lost."""

_CHUNK_BYTES = 65_536


class PictureDecoder:
    """Decodes pictures that stand alone, one at a time.

    Args:
        codec: FFmpeg's name of the format: mjpeg, png.
    """

    def __init__(self, codec: str) -> None:
        bound_allocations()
        self._context = av.CodecContext.create(codec, "r")
        self._context.thread_count = 1
        self._jpeg = codec == "mjpeg"

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """Return the picture, None if it does not decode or would take too long."""
        if self._jpeg and jpeg_fault(data, fields=2):
            return None
        try:
            frames = self._context.decode(av.Packet(data))
        except av.error.FFmpegError:  # damaged, too large, or of a kind that it does not know
            return None
        return frames[0] if frames else None


class JpegStreamSource:
    """A camera that sends one JPEG picture after the other in one answer.

    Args:
        client: The connection, which it closes.
        answer: The answer, of which nothing has been read. The time that the client has left is
            what the first picture may take.
        boundary: The boundary between the pictures, empty if the answer names none.
        silent_seconds: How long each of the others may take.
        on_bad_packet: Called for every picture that does not decode.
        passage: Tells which pictures need not be decoded.
    """

    fps: float | None = DEFAULT_FPS
    live = True

    def __init__(
        self,
        client: HttpClient,
        answer: HTTPResponse,
        boundary: str,
        silent_seconds: float,
        on_bad_packet: Callable[[], None],
        passage: JpegPassage,
    ) -> None:
        self._client = client
        self._answer = answer
        self._passage = passage
        self._reader = MultipartReader(boundary, MAX_PICTURE_BYTES)
        self._decoder = PictureDecoder("mjpeg")
        self._silent_seconds = silent_seconds
        self._on_bad_packet = on_bad_packet

    def pictures(self) -> Generator[Picture | Pause, None, None]:
        """Yield the pictures."""
        bad = 0
        for part in self._parts():
            if not part.cut and (jpeg := self._passage.take(part.data)):
                bad = 0
                yield Picture(None, None, jpeg=jpeg)
                continue
            image = self._decoder.decode(part.data)
            if image is None:
                self._on_bad_packet()
                bad += 1
                if bad >= _BAD_PICTURES:
                    raise SourceError(f"{bad} pictures in a row do not decode")
                continue
            bad = 0
            yield Picture(image, None, "cut" if part.cut else None)

    def _parts(self) -> Generator[Part, None, None]:
        try:
            while data := self._answer.read1(_CHUNK_BYTES):
                for part in self._reader.feed(data):
                    yield part
                    self._client.extend(self._silent_seconds)
        except MultipartError as error:
            raise SourceError(str(error)) from None
        except TimeoutError:
            raise SourceError("no complete picture came in time") from None
        except (OSError, HTTPException, ValueError) as error:
            raise SourceError(f"lost: {connection_reason(error)}") from None
        if last := self._reader.finish():
            yield last

    def shortfall(self) -> str | None:
        """Return None: it has no end that could come too early."""
        return None

    def close(self) -> None:
        """Hang up."""
        self._client.close()
