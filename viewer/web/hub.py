"""The middle of the live page: what the pages show, and what Redis brings. Runs in the event loop.

One picture of a camera is read and kept once, however many pages show it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from contract.errors import ConfigurationError
from viewer.web.camera_messages import camera_entry, cameras_message
from viewer.web.camera_table import CameraTable
from viewer.web.metrics import ViewMetrics
from viewer.web.page import Page
from viewer.web.picture import Picture
from viewer.web.preview_reader import PreviewReader, Sweep

TICK_SECONDS = 0.25
"""How often it is told anew which watched cameras are offline."""

TELL_SECONDS = 1.0
"""How often each page is told of the cameras, at least."""

FULL_LIST = 64
"""Up to so many cameras are told in full each time."""


class Hub:
    """Pages, cameras and newest pictures.

    Args:
        loop: The event loop in which everything here runs but what `Listener` calls.
        metrics: Where pages and pictures are counted.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        metrics: ViewMetrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self.table = CameraTable()
        self.fault: str | None = "Redis has not answered yet"
        self.refusal: asyncio.Future[ConfigurationError] = loop.create_future()
        self.pages: set[Page] = set()
        self.newest: dict[str, Picture] = {}
        self._by_camera: dict[str, set[Page]] = {}
        self._watch: Callable[[Mapping[str, int]], None] = lambda widths: None
        self._told_at = 0.0

    def use(self, reader: PreviewReader) -> None:
        """Say who reads the pictures."""
        self._watch = reader.watch

    # What the reader calls, in its own threads.

    def announced(self, moments: Mapping[str, list[float]]) -> None:
        """See `preview_reader.Listener`."""
        self._in_loop(self._take_announcements, moments)

    def pictures(self, pictures: list[Picture]) -> None:
        """See `preview_reader.Listener`."""
        self._in_loop(self._take_pictures, pictures)

    def swept(self, sweep: Sweep) -> None:
        """See `preview_reader.Listener`."""
        self._in_loop(self._take_sweep, sweep)

    def refused(self, error: ConfigurationError) -> None:
        """See `preview_reader.Listener`."""
        self._in_loop(self._take_refusal, error)

    # What pages call.

    def enter(self, page: Page) -> None:
        """Take in a page; it is told of all cameras."""
        self.pages.add(page)
        self._metrics.pages.set(len(self.pages))
        self._tell([page])

    def leave(self, page: Page) -> None:
        """Forget a page."""
        self.pages.discard(page)
        self._metrics.pages.set(len(self.pages))
        self.show(page, {})

    def show(self, page: Page, widths: Mapping[str, int]) -> None:
        """Replace what a page shows: camera -> width in pixels."""
        for camera in page.widths.keys() - widths.keys():
            holders = self._by_camera[camera]
            holders.discard(page)
            if not holders:
                del self._by_camera[camera]
                self.newest.pop(camera, None)
        page.widths = dict(widths)
        for camera in widths:
            self._by_camera.setdefault(camera, set()).add(page)
        for camera in page.window.show(widths):
            if camera in self.newest:
                page.offer(camera)
        self._renew()

    def _renew(self) -> None:
        """Say which of the cameras that pages show are to be watched, and how wide."""
        widths = {
            camera: max(page.widths[camera] for page in pages)
            for camera, pages in self._by_camera.items()
            if camera in self.table.cameras
        }
        self._metrics.watched.set(len(widths))
        self._watch(widths)

    async def run(self) -> None:
        """Tell the pages what changes, for ever."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clock()
            changed = self.fault is None and self.table.judge(self._by_camera, now, self._by_camera)
            if changed or now - self._told_at >= TELL_SECONDS:
                self._tell(self.pages)

    def _in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _take_announcements(self, moments: Mapping[str, list[float]]) -> None:
        for camera, when in moments.items():
            self.table.announced(camera, when)

    def _take_pictures(self, pictures: list[Picture]) -> None:
        self._metrics.pictures_read.inc(len(pictures))
        for picture in pictures:
            pages = self._by_camera.get(picture.camera)
            if pages is None:
                continue
            self.newest[picture.camera] = picture
            self.table.pictured(picture.camera)
            for page in pages:
                page.offer(picture.camera)

    def _take_sweep(self, sweep: Sweep) -> None:
        away_before = self.fault
        self.fault = sweep.fault
        self._metrics.redis_connected.set(self.fault is None)
        known = len(self.table.cameras)
        changed = False
        if sweep.ages is not None:
            changed = self.table.listed(sweep.ages, sweep.at, self._by_camera)
        if len(self.table.cameras) != known:
            self._renew()
        if changed or away_before != sweep.fault or len(self.table.cameras) != known:
            self._tell(self.pages)

    def _take_refusal(self, error: ConfigurationError) -> None:
        if not self.refusal.done():
            self.refusal.set_result(error)

    def _tell(self, pages: Iterable[Page]) -> None:
        """Give pages the state of their cameras: of all at first, then of those that changed."""
        now, wall = self._clock(), self._wall_clock()
        everybody = pages is self.pages
        if everybody:
            self._told_at = now
            self.table.touch(self._by_camera)
        entries = _Entries(self.table, now, wall - now)
        messages: dict[tuple[tuple[str, ...], int], bytes] = {}  # those who see the same share one
        for page in pages:
            which = page.visitor.cameras, page.told_version
            if which not in messages:
                messages[which] = self._message(page, entries, wall)
            page.tell(messages[which], self.table.version)
        self.table.version += 1  # what changes from here on, these pages were not told

    def _message(self, page: Page, entries: "_Entries", wall: float) -> bytes:
        names = [name for name in self.table.cameras if page.visitor.sees(name)]
        if page.told_version == 0 or len(names) <= FULL_LIST:
            return cameras_message(map(entries.of, names), wall, self.fault, None)
        since = page.told_version
        names = [name for name in names if self.table.cameras[name].changed > since]
        gone = [name for name, version in self.table.gone.items() if version > since]
        visible = list(filter(page.visitor.sees, gone))
        return cameras_message(map(entries.of, names), wall, self.fault, visible)

    def cameras(self, sees: Callable[[str], bool]) -> bytes:
        """Return the message of all cameras that somebody may see."""
        now, wall = self._clock(), self._wall_clock()
        entries = _Entries(self.table, now, wall - now)
        return cameras_message(
            map(entries.of, filter(sees, self.table.cameras)), wall, self.fault, None
        )


class _Entries:
    """What is told of each camera at one moment, put into words once."""

    def __init__(self, table: CameraTable, now: float, offset: float) -> None:
        self._table, self._now, self._offset = table, now, offset
        self._made: dict[str, bytes] = {}

    def of(self, name: str) -> bytes:
        made = self._made.get(name)
        if made is None:
            made = camera_entry(name, self._table.cameras[name], self._now, self._offset)
            self._made[name] = made
        return made
