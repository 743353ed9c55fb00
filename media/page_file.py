"""Files of several pictures: animated GIF, WebP and PNG, and the pages of a TIFF, one by one.

Library: Pillow. Legend: H, W pixels.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from PIL import Image as Pillow

from media.brightness import Levels, Values
from media.picture_files import (
    TOO_LARGE,
    NotAPictureError,
    UnreadableInputError,
    check_size,
    identified,
    page_numbers,
    undecodable,
)
from media.pictures import page_to_rgb
from media.pixels import BROKEN, grey_values, has_levels
from media.tiff import read_tiff_header
from media.video_frame import VideoFrame

_PAGE_SECONDS = 0.1
"""Pages of a TIFF carry no time."""

_LEAST_SECONDS = 0.02
"""Browsers show a frame that asks for less for `_PAGE_SECONDS`."""


class Pages:
    """The pictures of one open file, in order.

    Attributes:
        length: How many there are.
        damaged: How many were left out; a file that breaks is not read further.
    """

    def __init__(self, path: Path, picture: Pillow.Image, levels: Levels, open_file: ExitStack):
        self.length = len(page_numbers(picture))
        self.damaged = 0
        self._path = path
        self._picture = picture
        self._levels = levels
        self._open_file = open_file

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the pictures; of TIFFs with more than 8 bits one range holds for all of them.

        Raises:
            UnreadableInputError: The file breaks here; the pictures before it were good.
        """
        numbers = page_numbers(self._picture)
        seconds, done = 0.0, 0
        levels = self._levels
        try:
            if has_levels(self._picture):
                levels = levels.measured(self._values(numbers))
            for done, number in enumerate(numbers):
                self._picture.seek(number)
                check_size(self._path, *self._picture.size)
                image = page_to_rgb(self._path, self._picture, levels)
                yield VideoFrame(done, seconds, lambda image=image: image)  # type: ignore[misc]
                seconds += self._duration()
        except UnreadableInputError as error:
            raise self._broken(done, error.reason) from error
        except Pillow.DecompressionBombError as error:  # raised before the size is known here
            raise self._broken(done, f"has over 178 megapixels, {TOO_LARGE}") from error
        except BROKEN as error:
            raise self._broken(done, undecodable(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._open_file.close()

    def _broken(self, done: int, reason: str) -> UnreadableInputError:
        return UnreadableInputError(
            self._path, f"{self.length} pictures expected, {done} read: the next {reason}"
        )

    def _values(self, numbers: list[int]) -> Iterator[Values]:
        # One that is broken is told when its turn comes, after those before it.
        with suppress(*BROKEN, Pillow.DecompressionBombError, UnreadableInputError):
            for number in numbers:
                self._picture.seek(number)
                check_size(self._path, *self._picture.size)
                self._picture.load()
                if has_levels(self._picture):
                    yield grey_values(self._picture)

    def _duration(self) -> float:
        milliseconds = self._picture.info.get("duration")
        if self._picture.format == "TIFF" or milliseconds is None:
            return _PAGE_SECONDS
        seconds = float(milliseconds) / 1000
        return seconds if seconds >= _LEAST_SECONDS else _PAGE_SECONDS


def open_pages(path: Path, levels: Levels) -> Pages | None:
    """Open a file that holds several pictures.

    Returns:
        None if it is something else; `Pages`, to be closed, if it is.

    Raises:
        UnreadableInputError: It holds several, of a kind that is not read.
    """
    with ExitStack() as stack:
        try:
            picture = stack.enter_context(identified(path))
        except NotAPictureError:
            return None
        if len(page_numbers(picture)) == 1:
            return None
        tiff = read_tiff_header(path)
        if tiff is not None and (tiff.fault or tiff.beyond_pillow):
            raise UnreadableInputError(
                path,
                tiff.fault
                or f"holds several pictures with colours of {tiff.bits} bits, of which one can be "
                "read; save each as a file of its own",
            )
        return Pages(path, picture, levels, stack.pop_all())
    raise AssertionError("unreachable: nothing above is swallowed")
