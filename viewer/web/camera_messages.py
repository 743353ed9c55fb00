"""The message that tells a page of its cameras, put together from entries that pages share."""

from collections.abc import Sequence

import msgspec

from viewer.web.camera_table import Camera

_encode = msgspec.json.Encoder().encode


def camera_entry(name: str, camera: Camera, now: float, offset: float) -> bytes:
    """Return the JSON of one camera.

    Args:
        name: Camera id.
        camera: What is known of it.
        now: Monotonic seconds.
        offset: What added to monotonic seconds gives seconds since 1970.
    """
    fps = camera.fps(now)
    return _encode(
        {
            "id": name,
            "state": camera.state,
            "seen": round(camera.seen + offset, 3),
            "fps": None if fps is None else round(fps, 2),
            "interval": None if camera.interval is None else round(camera.interval, 3),
        }
    )


def cameras_message(
    entries: Sequence[bytes], at: float, fault: str | None, gone: Sequence[str] | None
) -> bytes:
    """Return the message.

    Args:
        entries: The cameras, each as `camera_entry` returns it.
        at: The server's time, seconds since 1970.
        fault: Why Redis is away, None if it is not.
        gone: Ids of cameras that are no more; None where ``entries`` are all cameras.
    """
    head = {
        "type": "cameras",
        "at": round(at, 3),
        "redis": "ok" if fault is None else "away",
        "redis_reason": fault,
    }
    if gone is not None:
        head |= {"partial": True, "gone": list(gone)}
    return _encode(head)[:-1] + b',"cameras":[' + b",".join(entries) + b"]}"
