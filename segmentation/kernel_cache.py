"""Compiling kernels with numba, whose results are kept on disk where that works.

A folder that is full, read-only or damaged costs seconds at each start, and is told once: it is no
reason not to run. Library: numba, whose cache (0.6x) raises whatever it meets.

An image of a container brings its kernels along, compiled when it was built, for every x86-64
processor of level 3 (AVX2, since 2013); on others they are compiled at the start.
"""

import logging
import os
import pickle
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit
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


PREBUILT = "SEEDSTREAM_KERNELS"
"""Names the folder of the kernels that an image brings along."""

_LEVEL = "x86-64-v3"
_FLAGS = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}
"""What a processor of that level has (x86-64 psABI), by Linux's names."""


def take_prebuilt(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Use the kernels that an image brings along, if there are any and this processor can.

    They are copied into numba's own folder (``NUMBA_CACHE_DIR``), where others go as well.
    """
    folder = os.environ.get(PREBUILT)
    if not folder or not config.CACHE_DIR or config.CPU_NAME is not None:
        return False
    if platform.machine() != "x86_64":
        return False
    try:
        flags = next(line for line in cpu_info.read_text().splitlines() if line.startswith("flags"))
        if not set(flags.split()) >= _FLAGS:
            return False
        if not Path(config.CACHE_DIR).exists() and Path(folder).is_dir():
            shutil.copytree(folder, config.CACHE_DIR)
    except (OSError, StopIteration) as error:
        _tell("the kernels in %s cannot be used (%r): they are compiled", folder, error)
        return False
    config.CPU_NAME, config.CPU_FEATURES = _LEVEL, ""
    return True


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


take_prebuilt()
