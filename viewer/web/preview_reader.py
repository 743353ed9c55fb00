"""Redis and the hub: announces who watches, and brings what is new, in threads of its own."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from contract.log_limit import LogLimit
from servers.redis import Client, Redis
from servers.redis_connection import RedisConnection
from servers.redis_subscription import Subscription
from viewer.web.picture import Picture, read_picture
from viewer.web.watching import read, read_ages, renew

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often watches are renewed and what was not announced is looked for."""

_LISTEN_SECONDS = 0.1
"""How soon a change of the channels is noticed."""

_STOP_SECONDS = 3.0


@dataclass(frozen=True)
class Sweep:
    """What one look at Redis found.

    Attributes:
        at: Monotonic time of the look.
        ages: Camera -> seconds since its newest result, by the clock of Redis in whole seconds;
            None where the server did not tell.
        fault: Why not all could be read, in a few words for everybody; None where all is well.
    """

    at: float
    ages: Mapping[str, float] | None = None
    fault: str | None = None


class Listener(Protocol):
    """Who is told; called in the reader's threads."""

    def announced(self, moments: Mapping[str, list[float]]) -> None:
        """Take when pictures of cameras were announced, monotonic seconds."""
        ...

    def pictures(self, pictures: list[Picture]) -> None:
        """Take new pictures."""
        ...

    def swept(self, sweep: Sweep) -> None:
        """Take what a look at Redis found."""
        ...

    def refused(self, error: ConfigurationError) -> None:
        """Hear that Redis refused before it ever answered: the process cannot work as set."""
        ...


@dataclass
class PreviewReader:
    """Two threads: one hears announcements, the other reads.

    Attributes:
        connection: Where Redis is; one try of anything lasts as long as its bound.
        listener: Who is told.
        clock: Monotonic clock, in seconds.
        turned_at: When the reading thread last turned, monotonic seconds.
    """

    connection: RedisConnection
    listener: Listener
    clock: Callable[[], float] = time.monotonic
    turned_at: float = 0.0
    _widths: Mapping[str, int] = field(default_factory=dict)
    _known: dict[str, bytes] = field(default_factory=dict)  # first bytes of the newest preview
    _due: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)
    _changed: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _answered: bool = False

    def __post_init__(self) -> None:
        self._redis = Redis(self.connection, clock=self.clock, quiet=True)
        self._subscription = Subscription(self.connection, clock=self.clock)
        self._keys = self.connection.result_keys
        self._log_limit = LogLimit(clock=self.clock)
        self._watched: Mapping[str, int] = {}
        self.turned_at = self.clock()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("previews", self._read_on), ("announcements", self._listen_on))
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> bool:
        """End both threads; return whether they have ended in time."""
        self._stopping = True
        self._redis.give_up()
        self._changed.set()
        self._due.put(None)
        deadline = self.clock() + _STOP_SECONDS
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - self.clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def watch(self, widths: Mapping[str, int]) -> None:
        """Set which cameras are watched, and how wide; those that are new are read at once."""
        before, self._widths = self._widths, dict(widths)
        for camera, width in widths.items():
            if camera not in before:
                self._known.pop(camera, None)  # the hub has forgotten its picture
            if width > before.get(camera, 0):
                self._due.put(camera)
        self._changed.set()

    def _read_on(self) -> None:
        next_sweep = self.clock()
        while not self._stopping:
            self.turned_at = self.clock()
            due = self._take_due(next_sweep - self.clock())
            if self._stopping:
                break
            if self.clock() >= next_sweep:
                next_sweep = self.clock() + SWEEP_SECONDS
                self._sweep()
            elif due:
                self._try(partial(self._catch_up, due=due))
        self._redis.close()

    def _take_due(self, seconds: float) -> set[str]:
        """Wait until a camera is due or the time is over; return all that are due."""
        due: set[str] = set()
        try:
            first = self._due.get(timeout=max(0.0, seconds))
            while True:
                if first is not None:
                    due.add(first)
                first = self._due.get_nowait()
        except queue.Empty:
            return due

    def _sweep(self) -> None:
        """Renew every watch, read what is new, and ask which cameras there are."""
        ages: dict[str, float] = {}

        def look(client: Client) -> None:
            ages.clear()
            ages.update(read_ages(client, self._keys))
            widths = self._widths
            fresh = renew(client, self._keys, widths, self._known)
            self._watched = widths
            self._read(client, fresh)

        fault = self._try(look)
        for camera in self._known.keys() - self._widths.keys():
            self._known.pop(camera, None)
        self.listener.swept(Sweep(self.clock(), None if fault else ages, fault))

    def _catch_up(self, client: Client, due: Iterable[str]) -> None:
        """Read cameras whose pictures were announced; watch those that nobody watched so wide."""
        widths = {camera: self._widths[camera] for camera in due if camera in self._widths}
        new = {c: width for c, width in widths.items() if width > self._watched.get(c, 0)}
        if new:
            renew(client, self._keys, new, self._known)
            self._watched = {**self._watched, **new}
        self._read(client, widths)

    def _read(self, client: Client, cameras: Iterable[str]) -> None:
        pictures: list[Picture] = []

        def take(camera: str, value: bytes) -> None:
            try:
                picture = read_picture(camera, value)
            except InvalidMessageError as error:
                if (more := self._log_limit.due("preview")) is not None:
                    log.warning("the preview of %s cannot be used: %s%s", camera, error, more)
                return
            if picture.known != self._known.get(camera):
                self._known[camera] = picture.known
                pictures.append(picture)

        try:
            read(client, self._keys, list(cameras), take)
        finally:
            if pictures:
                self.listener.pictures(pictures)

    def _try(self, use: Callable[[Client], None]) -> str | None:
        """Use Redis within the bound of one try; return what is wrong, in a few words."""
        try:
            self._redis.attempt("read previews from", use)
        except SeedstreamError as error:
            if isinstance(error, ConfigurationError) and not self._answered:
                self.listener.refused(error)
            more = None if self._stopping else self._log_limit.due(type(error).__name__)
            if more is not None:
                log.warning("%s; the viewer goes on trying%s", error, more)
            return _in_words(error)
        self._answered = True
        return None

    def _listen_on(self) -> None:
        while not self._stopping:
            channels = {self._keys.previews_channel(each): each for each in self._widths}
            try:
                if channels:
                    self._hear(channels)
                    continue
                self._subscription.close()
            except (UnavailableError, ConfigurationError, InvalidMessageError) as error:
                if (more := self._log_limit.due("announcements")) is not None:
                    log.warning("%s; pictures come once a second meanwhile%s", error, more)
            self._changed.wait(SWEEP_SECONDS)
            self._changed.clear()
        self._subscription.close()

    def _hear(self, channels: Mapping[str, str]) -> None:
        moments: dict[str, list[float]] = {}
        for channel, payload in self._subscription.listen(channels, _LISTEN_SECONDS):
            camera = channels.get(channel)
            if camera is None:
                continue
            self._due.put(camera)
            if payload is not None:
                moments.setdefault(camera, []).append(self.clock())
        if moments:
            self.listener.announced(moments)


def _in_words(error: SeedstreamError) -> str:
    if isinstance(error, ConfigurationError):
        return "Redis refuses the viewer's access"
    if isinstance(error, UnavailableError):
        return "Redis does not answer"
    return "Redis does not carry out what the viewer asks"
