"""Videos, and whatever else holds several pictures: one class for all of them.

with Video("street.mp4") as video:
    for frame in video:
        frame.image, frame.number, frame.seconds
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from media.brightness import Levels
from media.page_file import open_pages
from media.picture_files import check_file
from media.pictures import OWN_RANGE
from media.video_file import VideoFile
from media.video_frame import VideoFrame


class Video:
    """An open video, animation or file of pages: a context manager; iterate over it once.

    Frames come out as they are shown: turned and mirrored as the file says, with square pixels.
    Damaged ones are left out and counted; of a file with several video streams the one that is
    marked as default is read, else the largest, never a cover picture.

    Args:
        path: The file.
        levels: Which brightness of more than 8 bits is shown as black and as white; unless they
            are set, the range of a TIFF's pages, or of a video's first frame.

    Raises:
        UnreadableInputError: It is missing, or no video.
    """

    def __init__(self, path: Path | str, *, levels: Levels = OWN_RANGE) -> None:
        self.path = Path(path)
        check_file(self.path)
        self._reader = open_pages(self.path, levels) or VideoFile(self.path, levels)

    @property
    def length(self) -> int | None:
        """Number of frames that the file claims to have; None if it does not say."""
        return self._reader.length

    @property
    def damaged(self) -> int:
        """Frames that were left out so far, since they were cut or do not decode."""
        return self._reader.damaged

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the frames in order.

        Raises:
            UnreadableInputError: The file is broken here, or ended earlier than it claims; the
                frames before it were good.
        """
        return self._reader.frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()
