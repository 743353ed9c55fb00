"""Why FFmpeg could not open or read a camera, in words that are true and quote no address.

Library: PyAV.
"""

import errno
import re
from typing import Any

import av.error

from producer.camera_answer import digest_algorithm, rtsp_fault
from producer.cameras import Camera

_ASK_SECONDS = 2.0
"""How long a camera is asked for the reason at most, within its limit for opening."""

_KNOWN_DIGESTS = ("MD5", "MD5-SESS")


def why_not_open(error: Any, camera: Camera, elapsed_seconds: float) -> str:
    """Return why a camera could not be opened.

    An RTSP camera is asked once more where FFmpeg does not know, for as long as the time for
    opening allows.

    Args:
        error: FFmpeg's error.
        camera: Which one.
        elapsed_seconds: How long FFmpeg has tried.
    """
    left = min(camera.open_timeout_seconds - elapsed_seconds, _ASK_SECONDS)
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return f"{why_lost(error)}: {_why_unauthorized(camera, left)}"
    if isinstance(error, av.error.ExitError):
        return f"it sent nothing, or too little, for {elapsed_seconds:.1f} s"
    if camera.kind == "rtsp":
        return _why_no_rtsp(error, camera, elapsed_seconds, left)
    if camera.kind == "file":
        if isinstance(error, av.error.InvalidDataError):
            return f"not a video that FFmpeg can read ({why_lost(error)})"
        return why_lost(error)
    if isinstance(error, av.error.InvalidDataError):
        return f"it sends no video that FFmpeg can read ({why_lost(error)})"
    if isinstance(error, av.error.EOFError):
        return "it closed the connection without an answer"
    return _why_no_connection(error)


def why_lost(error: Any) -> str:
    """Return why reading failed."""
    if isinstance(error, av.error.ExitError):
        return "it was silent for too long"
    if isinstance(error, av.error.MemoryError):
        return "it announces more data than a picture has"
    # Never str(error): it ends with the address.
    return str(error.strerror or type(error).__name__)


def why_refused(camera: Camera) -> str:
    """Return why a camera answers that somebody unknown has called."""
    if _has_credentials(camera):
        return "it refuses the user name or the password"
    return "it asks for a user name and password: set user and password"


def _why_no_rtsp(error: Any, camera: Camera, elapsed_seconds: float, left: float) -> str:
    if error.errno == errno.EPROTONOSUPPORT:
        other = {"tcp": "udp", "udp": "tcp"}[camera.transport]
        return f"it does not offer its stream over {camera.transport}: try transport: {other}"
    # FFmpeg's code for "no reply at all" while it describes the stream, and while it starts it.
    unknown = isinstance(error, av.error.InvalidDataError | av.error.PermissionError)
    refused = isinstance(error, av.error.HTTPServerError | av.error.HTTPOtherClientError)
    tunnelled = "http" in camera.options.get("rtsp_transport", "")
    if tunnelled or not (unknown or refused):
        return _why_no_connection(error)
    fault = rtsp_fault(camera.source_url, left) if left > 0.1 else None
    if fault is not None:
        return fault
    if refused:
        return why_lost(error)
    if elapsed_seconds >= 0.9 * camera.open_timeout_seconds / 2:
        return f"it fell silent, or its answer did not end within {elapsed_seconds:.1f} s"
    return "it answers, then closes the connection while the stream is set up"


def _why_unauthorized(camera: Camera, left: float) -> str:
    asked = left > 0.1 and _has_credentials(camera)
    algorithm = digest_algorithm(camera.source_url, left) if asked else None
    if algorithm is not None and algorithm.upper() not in _KNOWN_DIGESTS:
        return (
            f"it asks for digest authentication with {algorithm}, FFmpeg knows MD5 alone: allow "
            "MD5 (or, over TLS, basic authentication) in the camera's settings"
        )
    return why_refused(camera)


def _why_no_connection(error: Any) -> str:
    if error.errno == errno.EIO:
        # What FFmpeg returns where the resolver knows no such host.
        return f"no connection: is the host's name right? ({why_lost(error)})"
    return why_lost(error)


def _has_credentials(camera: Camera) -> bool:
    return re.match(r"\w+://[^/?#]*@", camera.source_url) is not None
