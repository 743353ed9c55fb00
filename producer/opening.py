"""How FFmpeg opens a camera: address, demuxer and options; and what this build of it lacks.

Library: PyAV.
"""

import av
import av.error

from contract.errors import ConfigurationError
from producer.addresses import Kind, file_path
from producer.cameras import Camera
from producer.ffmpeg_options import unknown_options

_PROBES: dict[Kind, tuple[str, str | None]] = {
    "rtmp": ("rtmp://127.0.0.1:0", None),
    "srt": ("srt://127.0.0.1:0", None),
    "v4l2": ("/dev/null", "v4l2"),
}
"""What to open to learn whether the FFmpeg build knows a kind of source that not every build
does; neither waits."""


_TEXT_DEMUXERS = {"tty", "bin", "xbin", "adf", "idf"}
"""Demuxers that make moving pictures of text and text art."""

_PLAYLISTS = {"hls": (".m3u8", ".m3u"), "concat": (".ffconcat",), "dash": (".mpd",)}
"""Demuxers that read other files, and how the names of their own files end."""


def open_arguments(camera: Camera) -> tuple[str, str | None, dict[str, str]]:
    """Return what FFmpeg opens, as which format (None: it finds out), with which options."""
    url = camera.source_url
    microseconds = str(int(camera.stall_timeout_seconds * 1e6))
    if camera.kind == "v4l2":
        return url.removeprefix("v4l2:"), "v4l2", {}
    if camera.kind == "file":
        # A playlist in disguise must not make us fetch what it names, nor a path with % or * read
        # as many pictures as fit it.
        options = {"protocol_whitelist": "file", "pattern_type": "none"}
        return f"file:{file_path(url)}", None, options
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
    if camera.kind == "rtmp":
        # Its own "timeout" makes it a server that waits for somebody to call.
        return url, None, {"rw_timeout": microseconds}
    return url, None, {"timeout": microseconds, "rw_timeout": microseconds}


def check_support(cameras: list[Camera]) -> None:
    """Make sure that this FFmpeg build knows every kind of source and option that is asked for.

    Raises:
        ConfigurationError: One fault for each camera whose protocol or device it lacks, and for
            each whose options would have no effect.
    """
    lacking = {kind for kind in {camera.kind for camera in cameras} if _lacks(kind)}
    faults = [
        f"camera {camera.id}: this FFmpeg build (PyAV {av.__version__}) has no support for "
        f"{camera.kind}: install PyAV built against an FFmpeg that has it (pip install --no-binary "
        "av av), or bridge the camera to RTSP"
        for camera in cameras
        if camera.kind in lacking
    ]
    faults += [
        f"camera {camera.id}: options: {', '.join(unknown)}: no demuxer or protocol of this FFmpeg "
        f"build (PyAV {av.__version__}) knows it, so it would have no effect; options of decoders "
        "(threads) and of the ffmpeg command (hwaccel, vf) are not for here"
        for camera in cameras
        if (unknown := unknown_options(camera.options))
    ]
    if faults:
        raise ConfigurationError(faults)


def format_fault(name: str, camera: Camera) -> str | None:
    """Return why what FFmpeg has recognised is not for a camera, else None.

    Args:
        name: The demuxer's name.
        camera: Which one.
    """
    names = set(name.split(","))
    if names & _TEXT_DEMUXERS:
        return "it is text, which FFmpeg would draw as pictures"
    for playlist, endings in _PLAYLISTS.items():
        named_so = camera.source_url.lower().endswith(endings)
        if playlist in names and camera.kind == "file" and not named_so:
            return f"it is a playlist ({playlist}) under another name: expected {endings[0]}"
    if "concat" in names and camera.kind != "file":
        return "it is a list of other files (concat)"
    return None


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
