"""How a camera's stream is decoded: in how many threads, and on which processor.

Library: PyAV.
"""

import functools
import os
from logging import getLogger
from typing import Any, Literal

import av
import av.error
from av.codec.hwaccel import HWAccel

from producer.cameras import Camera

log = getLogger("seedstream.producer.camera")

ThreadType = Literal["AUTO", "SLICE"]

_MOST_THREADS = 8
"""More decode no faster, and each holds a picture."""

_ONE_AT_A_TIME = frozenset({"mjpeg", "png"})
"""Pictures that stand alone; several threads only delay them."""


def decode_threads(camera: Camera, cores: int | None = None) -> tuple[int, ThreadType]:
    """Return how many threads decode a camera's stream, and what they share.

    The cameras of a process share its cores; many have one thread each, and decode side by side.
    Threads that each take a frame of their own delay a live camera by as many frames, so unless
    the camera's settings ask for threads, those of a live one share the slices of a frame.

    Args:
        camera: Which one; its ``decode_threads`` wins.
        cores: Of this process; found out unless given.
    """
    if camera.decode_threads is not None:
        return camera.decode_threads, "AUTO"
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    threads = min(max(cores // camera.companions, 1), _MOST_THREADS)
    return threads, "SLICE" if camera.live else "AUTO"


def set_threads(camera: Camera, context: Any, live: bool) -> None:
    """Set the threads of an ``av.VideoCodecContext`` before it decodes.

    Args:
        camera: Whose stream it decodes.
        context: Not open yet, or only to look at the stream.
        live: Whether the stream turned out to be live.
    """
    threads, kind = decode_threads(camera)
    if context.name in _ONE_AT_A_TIME:
        threads = 1
    if live and camera.decode_threads is None:
        kind = "SLICE"
    context.thread_count = threads
    context.thread_type = kind


def accelerator(camera: Camera) -> HWAccel | None:
    """Return what decodes a camera's stream on the graphics processor; None for software.

    Where the device that the camera's settings name cannot be used, that is logged.
    """
    if camera.hwaccel is None:
        return None
    fault = _device_fault(camera.hwaccel)
    if fault is None:
        return HWAccel(camera.hwaccel, allow_software_fallback=True)
    _warn(camera, fault)
    return None


def warn_of_software(camera: Camera, context: Any) -> None:
    """Log that a stream, which the graphics processor should decode, is decoded in software."""
    if not context.is_hwaccel:
        _warn(camera, f"this FFmpeg build has no such decoder for {context.name}")


def warn_of_fallback(camera: Camera, context: Any) -> None:
    """Log that a stream which has begun is decoded in software after all.

    FFmpeg finds out with the first picture that a device lacks its profile (4:2:2, 10 bit, ...).

    Args:
        camera: Whose stream it is.
        context: Its ``av.VideoCodecContext``, which has given a picture.
    """
    if camera.hwaccel is None or not context.is_hwaccel:
        return
    # The hardware's format, of the device's name, until FFmpeg has chosen a software decoder's.
    if context.pix_fmt != camera.hwaccel:
        _warn(camera, f"the device does not decode this stream: {context.name}, {context.pix_fmt}")


@functools.cache
def _device_fault(device: str) -> str | None:
    """Return why a device cannot be used; asked once, before there is a stream."""
    try:
        # The fallback is for codecs that the device lacks: without a device this raises.
        accelerator = HWAccel(device, allow_software_fallback=True)
        av.CodecContext.create("h264", "r", hwaccel=accelerator)
    except (RuntimeError, ValueError, av.error.FFmpegError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return None


def _warn(camera: Camera, why: str) -> None:
    log.warning(
        "camera %s: hwaccel %s cannot be used (%s): decoding in software",
        camera.id,
        camera.hwaccel,
        why,
    )
