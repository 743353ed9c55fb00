"""Redis and the hub: announces who watches, and brings what is new, in threads of its own."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from contract.frame import CAMERA_ID
from contract.log_limit import LogLimit
from contract.preview import WATCH_SECONDS, preview_key, previews_channel, watch_key
from contract.result import CAMERAS_KEY
from servers.redis import AS_BYTES, Client, Redis, RedisConnection
from servers.redis_subscription import Subscription
from viewer.web.picture import Picture, read_picture
from viewer.web.watching import SEEN, WATCH

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often watches are renewed and what was not announced is looked for."""

_LISTEN_SECONDS = 0.1
"""How soon a change of the channels is noticed."""

_BATCH = 200
"""Cameras that are asked about in one round trip."""

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
class _Known:
    frame: tuple[str, int] = ("", -1)
    first_bytes: bytes = b""


@dataclass
class PreviewReader:
    """Two threads: one hears announcements, the other reads.

    Attributes:
        connection: Where Redis is; one try of anything lasts as long as its bound.
        listener: Who is told.
        clock: Monotonic clock, in seconds.
    """

    connection: RedisConnection
    listener: Listener
    clock: Callable[[], float] = time.monotonic
    _widths: Mapping[str, int] = field(default_factory=dict)
    _due: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue)
    _changed: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _answered: bool = False
    turned_at: float = 0.0
    """When the reading thread last turned, monotonic seconds."""

    def __post_init__(self) -> None:
        self._redis = Redis(self.connection, clock=self.clock, quiet=True)
        self._subscription = Subscription(self.connection, clock=self.clock)
        self._known: dict[str, _Known] = {}
        self._log_limit = LogLimit(clock=self.clock)
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
                self._try("read previews from", partial(self._fetch, cameras=due))
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
            ages.update(_read_ages(client))
            self._fetch(client, list(self._widths))

        fault = self._try("read previews from", look)
        for camera in self._known.keys() - self._widths.keys():
            del self._known[camera]
        self.listener.swept(Sweep(self.clock(), None if fault else ages, fault))

    def _try(self, doing: str, use: Callable[[Client], None]) -> str | None:
        """Use Redis within the bound of one try; return what is wrong, in a few words."""
        try:
            self._redis.attempt(doing, use)
        except SeedstreamError as error:
            if isinstance(error, ConfigurationError) and not self._answered:
                self.listener.refused(error)
            if (
                not self._stopping
                and (more := self._log_limit.due(type(error).__name__)) is not None
            ):
                log.warning("%s; the viewer goes on trying%s", error, more)
            return _in_words(error)
        self._answered = True
        return None

    def _fetch(self, client: Client, cameras: Collection[str]) -> None:
        """Renew the watches of cameras and pass on their pictures that are new.

        What one node of a cluster has is passed on even when another one does not answer.
        """
        wanted = [each for each in cameras if each in self._widths]
        for first in range(0, len(wanted), _BATCH):
            part = wanted[first : first + _BATCH]
            pipeline = client.pipeline(transaction=False)
            for camera in part:
                known = self._known.get(camera)
                pipeline.execute_command(
                    *("EVAL", WATCH, 2, watch_key(camera), preview_key(camera)),
                    *(self._widths.get(camera, 0), WATCH_SECONDS),
                    known.first_bytes if known else b"",
                    **AS_BYTES,
                )
            answers: list[Any] = pipeline.execute(raise_on_error=False)
            found = dict(zip(part, answers, strict=True))
            values = {each: value for each, value in found.items() if isinstance(value, bytes)}
            self._pass_on(values)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer

    def _pass_on(self, values: Mapping[str, bytes]) -> None:
        fresh = []
        for camera, value in values.items():
            try:
                picture = read_picture(camera, value)
            except InvalidMessageError as error:
                if (more := self._log_limit.due("preview")) is not None:
                    log.warning("the preview of %s cannot be used: %s%s", camera, error, more)
                continue
            known = self._known.setdefault(camera, _Known())
            known.first_bytes = picture.known
            if picture.frame != known.frame:
                known.frame = picture.frame
                fresh.append(picture)
        if fresh:
            self.listener.pictures(fresh)

    def _listen_on(self) -> None:
        while not self._stopping:
            channels = {previews_channel(camera): camera for camera in self._widths}
            try:
                if channels:
                    self._hear(channels)
                    continue
                self._subscription.close()
            except (UnavailableError, ConfigurationError, InvalidMessageError):
                pass  # the sweep says what is wrong
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


def _read_ages(client: Client) -> dict[str, float]:
    answer: Any = client.execute_command(  # type: ignore[no-untyped-call]
        "EVAL", SEEN, 1, CAMERAS_KEY, **AS_BYTES
    )
    now, listed = answer
    names = [name.decode(errors="replace") for name in listed[::2]]
    return {
        name: float(now) - float(score)
        for name, score in zip(names, listed[1::2], strict=True)
        if CAMERA_ID.fullmatch(name)
    }


def _in_words(error: SeedstreamError) -> str:
    if isinstance(error, ConfigurationError):
        return "Redis refuses the viewer's access"
    if isinstance(error, UnavailableError):
        return "Redis does not answer"
    return "Redis does not carry out what the viewer asks"
