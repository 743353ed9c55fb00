"""What is behind an HTTP address: pictures that we read ourselves, or a stream for FFmpeg.

The server is asked, once: a live stream, a recording, a playlist and a still picture all have the
same kind of address.
"""

import re
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse

from producer.camera_pictures import Source, SourceError
from producer.cameras import Camera
from producer.http_client import HttpClient, connection_reason, status_text
from producer.jpeg_streams import JpegStreamSource
from producer.pass_through import JpegPassage
from producer.reasons import why_refused
from producer.snapshots import SnapshotSource, codec_of

_FFMPEG_ALONE = {"http_proxy", "cookies", "cert_file", "key_file", "method", "post_data", "referer"}
"""Options with a say in how the server is asked that we do not follow."""

_FOREIGN = re.compile(r"[^a-z0-9/+._-]")
"""What stands in no name of a type, and in no log: line ends, for instance."""


def open_http(camera: Camera, on_bad_packet: Callable[[], None]) -> Source | None:
    """Open a camera's snapshots or stream of JPEG pictures; return None if FFmpeg shall read it.

    Raises:
        SourceError: The server does not answer, or refuses.
    """
    if _FFMPEG_ALONE & camera.options.keys():
        return None
    client = HttpClient(camera.source_url, camera.options, link_local=camera.link_local)
    if not client.direct:
        return None
    try:
        source = _source(client, camera, on_bad_packet)
    except (HTTPException, ssl.SSLError):
        source = None  # FFmpeg also reads what only resembles HTTP, and may know older ciphers
    except (OSError, ValueError) as error:
        client.close()
        raise SourceError(f"cannot open: {connection_reason(error)}") from None
    except SourceError:
        client.close()
        raise
    if source is None:
        client.close()
    return source


def _source(client: HttpClient, camera: Camera, on_bad_packet: Callable[[], None]) -> Source | None:
    answer = client.get(camera.open_timeout_seconds)
    if answer.status != HTTPStatus.OK:
        unknown = answer.status == HTTPStatus.UNAUTHORIZED
        if not unknown and camera.poll_seconds is None:
            return None  # some servers answer players alone
        why = f": {why_refused(camera)}" if unknown else ""
        raise SourceError(f"cannot open: the server answers {status_text(answer.status)}{why}")
    kind = answer.headers.get_content_maintype()
    if kind == "multipart":
        boundary = answer.headers.get_param("boundary") or ""
        client.extend(camera.first_frame_timeout_seconds)
        silent = camera.stall_timeout_seconds
        passage = JpegPassage(camera)
        return JpegStreamSource(client, answer, str(boundary), silent, on_bad_packet, passage)
    if _still(answer, camera.poll_seconds is not None):
        client.extend(camera.first_frame_timeout_seconds)
        return SnapshotSource(client, answer, camera, on_bad_packet)
    if camera.poll_seconds is not None:
        raise SourceError(
            "cannot open: poll_seconds is set, which is for one JPEG or PNG picture; the answer is "
            f"of type {_FOREIGN.sub('?', answer.headers.get_content_type())[:60]}"
        )
    return None


def _still(answer: HTTPResponse, expected: bool) -> bool:
    """Return whether an answer is one picture; some servers call it something else.

    Args:
        answer: The answer.
        expected: Whether the camera's settings say that it is one: then it may lack the length that
            tells a picture of an unknown type from a stream of them.
    """
    typed = answer.headers.get_content_maintype() == "image"
    if not (typed or expected or answer.length is not None):
        return False
    return codec_of(answer.peek(8)) is not None
