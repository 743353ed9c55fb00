"""Pillow and libtiff print nothing: what they find becomes one error of the file."""

import ctypes
import logging
import warnings
from pathlib import Path

import PIL
from PIL import Image as Pillow


def quieten() -> None:
    """Silence raw lines about pictures that are large (which is checked here), broken or cut."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    Pillow.preinit()  # loads the library
    for path in (Path(PIL.__file__).parent.parent / "pillow.libs").glob("libtiff*"):
        # Pillow silences its warnings, not its errors, and offers no way to.
        silence = ctypes.CDLL(str(path)).TIFFSetErrorHandler
        silence.argtypes, silence.restype = (ctypes.c_void_p,), ctypes.c_void_p
        silence(None)
