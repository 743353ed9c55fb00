"""A file of lines that grows beside its place, and keeps its whole lines however it ends."""

import os
from contextlib import suppress
from pathlib import Path


class GrowingFile:
    """Lines under a hidden name until `finish`.

    Args:
        path: Where the file appears.

    Raises:
        OSError: The folder takes no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file = self._partial.open("wb")
        self._whole = 0  # bytes of lines that are written to their ends

    def write(self, lines: bytes) -> None:
        """Add whole lines.

        Raises:
            OSError: They could not be written; those before are kept.
        """
        self._file.write(lines)
        self._file.flush()  # a full disk is told now
        self._whole = self._file.tell()

    def finish(self, *, keep: bool, failed: bool) -> None:
        """Put the file in its place, up to its last whole line.

        Args:
            keep: Whether there is something to keep; else no file is left.
            failed: Whether writing failed before: closing, which tries again, may fail, too.

        Raises:
            OSError: The folder takes no file.
        """
        with suppress(*((OSError,) if failed else ())):
            self._file.close()
        os.truncate(self._partial, self._whole)
        if keep:
            self._partial.replace(self._path)
        else:
            self._partial.unlink()
