"""A bound on what FFmpeg may allocate for one camera.

FFmpeg makes room for whatever a camera announces: a packet of 2 GB, a picture of 60,000 pixels a
side. Its own bound on each piece of memory is the only one that all demuxers, protocols and
decoders keep to, and what exceeds it fails for that camera alone.
"""

import ctypes
from functools import cache
from logging import getLogger

import av

log = getLogger("seedstream.producer")

MAX_PIECE_BYTES = 128 * 1024 * 1024
"""Largest piece of memory: a packet, or one plane of a decoded picture."""


@cache
def bound_allocations() -> bool:
    """Set the bound for this process, once; return whether this build lets us."""
    try:
        # Symbols are looked up in the libraries that PyAV is linked with, too.
        library = ctypes.CDLL(av._core.__file__)
        library.av_max_alloc.argtypes, library.av_max_alloc.restype = [ctypes.c_size_t], None
        library.av_max_alloc(MAX_PIECE_BYTES)
    except (AttributeError, OSError):
        log.warning("cannot bound FFmpeg's memory: PyAV does not lead to FFmpeg's libraries")
        return False
    return True
