"""How FFmpeg opens a camera: address, demuxer and options; and what this build of it lacks.

Library: PyAV.
"""

import av
import av.error

from contract.errors import ConfigurationError
from producer.addresses import Kind, file_path
from producer.cameras import Camera

_PROBES: dict[Kind, tuple[str, str | None]] = {
    "rtmp": ("rtmp://127.0.0.1:0", None),
    "srt": ("srt://127.0.0.1:0", None),
    "v4l2": ("/dev/null", "v4l2"),
}
"""What to open to learn whether the FFmpeg build knows a kind of source that not every build
does; neither waits."""


def open_arguments(camera: Camera) -> tuple[str, str | None, dict[str, str]]:
    """Return what FFmpeg opens, as which format (None: it finds out), with which options."""
    url = camera.source_url
    microseconds = str(int(camera.stall_timeout_seconds * 1e6))
    if camera.kind == "v4l2":
        return url.removeprefix("v4l2:"), "v4l2", {}
    if camera.kind == "file":
        # A playlist in disguise must not make us fetch what it names.
        return f"file:{file_path(url)}", None, {"protocol_whitelist": "file"}
    if camera.kind == "rtsp":
        return (
            url,
            None,
            {
                "rtsp_transport": camera.transport,
                "allowed_media_types": "video",
                "timeout": microseconds,
            },
        )
    if camera.kind == "udp":
        return url, None, {"timeout": microseconds, "overrun_nonfatal": "1"}
    return url, None, {"timeout": microseconds, "rw_timeout": microseconds}


def check_support(cameras: list[Camera]) -> None:
    """Make sure that this FFmpeg build knows every kind of source that is asked for.

    Raises:
        ConfigurationError: One fault for each camera whose protocol or device it lacks.
    """
    lacking = {kind for kind in {camera.kind for camera in cameras} if _lacks(kind)}
    faults = [
        f"camera {camera.id}: this FFmpeg build (PyAV {av.__version__}) has no support for "
        f"{camera.kind}: install PyAV built against an FFmpeg that has it (pip install --no-binary "
        "av av), or bridge the camera to RTSP"
        for camera in cameras
        if camera.kind in lacking
    ]
    if faults:
        raise ConfigurationError(faults)


def _lacks(kind: Kind) -> bool:
    if kind not in _PROBES:
        return False
    url, demuxer = _PROBES[kind]
    try:
        av.open(url, format=demuxer, timeout=0.1).close()
    except (av.error.ProtocolNotFoundError, av.error.DemuxerNotFoundError):
        return True
    except ValueError as error:
        # PyAV raises it for the name of a demuxer that is not there.
        return not isinstance(error, av.error.FFmpegError)
    except av.error.FFmpegError:
        return False
    return False
