"""Compiling kernels with numba, whose results are kept on disk where that works.

A folder that is full, read-only or damaged costs seconds at each start, and is told once: it is no
reason not to run. Library: numba, whose cache (0.6x) raises whatever it meets.
"""

import logging
import pickle
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

log = logging.getLogger(__name__)

_DAMAGED = (
    pickle.PickleError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a damaged file raises: it is a pickle, of which every byte may be wrong."""


_told: set[str] = set()


class _Cache(FunctionCache):  # type: ignore[misc]  # no types there
    """numba's cache of a function, without which everything works too."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled before, None if there is nothing that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGED as error:
            self._give_up("read", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if that works."""
        try:
            super().save_overload(sig, data)
        except _DAMAGED as error:
            self._give_up("written", error)

    def _give_up(self, what: str, error: Exception) -> None:
        self.disable()
        _tell(
            "compiled kernels cannot be %s in %s (%r): they are compiled at each start, which "
            "takes some seconds; empty the folder, or set NUMBA_CACHE_DIR to one that can be "
            "written",
            what, self.cache_path, error,
        )  # fmt: skip


def _tell(text: str, *values: object) -> None:
    """Warn once: the other kernels fare just so."""
    if text not in _told:
        _told.add(text)
        log.warning(text, *values)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is called first, without the interpreter lock."""
    # Divide as NumPy does: a precision that underflows to 0 has an infinite margin and is no error.
    kernel = njit(nogil=True, error_model="numpy")(function)
    try:
        kernel._cache = _Cache(function)
    except (OSError, RuntimeError) as error:
        _tell(
            "compiled kernels cannot be kept (%s): set NUMBA_CACHE_DIR to a folder that can be "
            "written",
            error,
        )
    return kernel
