"""Why FFmpeg could not open or read a camera, in words that quote no address.

Library: PyAV.
"""

from typing import Any

import av.error


def reason(error: Any) -> str:
    """Return why FFmpeg failed, without the address."""
    if isinstance(error, av.error.ExitError):
        return "it was silent for too long"
    # Never str(error): it ends with the address.
    return str(error.strerror or type(error).__name__)
