"""Which options this FFmpeg build knows: it ignores all others without a word.

PyAV does not tell which options FFmpeg left unused, so FFmpeg's own look-up is called, in the
libraries that PyAV has loaded (Linux).

Library: PyAV.
"""

import ctypes
import functools
import re
from collections.abc import Iterable
from pathlib import Path

import av

_DECODING = 2
"""AV_OPT_FLAG_DECODING_PARAM: leaves out what only muxers know."""

_SEARCH_CHILDREN, _SEARCH_CLASS = 1, 2
"""AV_OPT_SEARCH_CHILDREN and AV_OPT_SEARCH_FAKE_OBJ: in all demuxers and protocols, by class."""


def unknown_options(names: Iterable[str]) -> list[str]:
    """Return those names that no demuxer or protocol knows, as far as that can be found out."""
    look_up = _look_up()
    if look_up is None:
        return []
    util, root = look_up
    search = _SEARCH_CHILDREN | _SEARCH_CLASS
    return [
        name
        for name in names
        if not util.av_opt_find(ctypes.byref(root), name.encode(), None, _DECODING, search)
    ]


@functools.cache
def _look_up() -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """Return libavutil, and the class of containers, at which the search begins."""
    util, container = _loaded("avutil"), _loaded("avformat")
    if util is None or container is None:
        return None
    container.avformat_get_class.restype = ctypes.c_void_p
    util.av_opt_find.restype = ctypes.c_void_p
    util.av_opt_find.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int,
    ]  # fmt: skip
    return util, ctypes.c_void_p(container.avformat_get_class())


def _loaded(name: str) -> ctypes.CDLL | None:
    """Return PyAV's library of this name; None where it cannot be told."""
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return None
    major, minor, micro = av.library_versions[f"lib{name}"]
    # OpenCV, for one, brings an FFmpeg of its own.
    for path in sorted(set(re.findall(rf"(/\S*/lib{name}[-.]\S*)$", maps, re.MULTILINE))):
        library = ctypes.CDLL(path)
        version: int = getattr(library, f"{name}_version")()
        if version == (major << 16) + (minor << 8) + micro:
            return library
    return None
