"""Looks at the camera list on disk, and has it read again when it has changed."""

import contextlib
import queue
import threading
from collections.abc import Callable
from logging import getLogger

from contract.errors import ConfigurationError
from producer.camera_list import CameraList
from producer.list_files import ListFiles
from producer.metrics import ProducerMetrics

log = getLogger("seedstream.producer.list_watch")

_POLL_SECONDS = 1.0
_FAULTS_SHOWN = 20


class ListWatch:
    """Reads the list in a thread of its own, and hands over what is sound.

    A change counts when two looks in a row have seen the same: a file that is just being written
    may look like a shorter list. A faulty list is refused as a whole, once, and tried again when it
    has changed.

    Args:
        read_files: Reads what is on disk.
        load: Makes a list of it; raises ``ConfigurationError`` with every fault.
        first: What was on disk when the process read its first list.
        metrics: Where refusals show.
    """

    def __init__(
        self,
        read_files: Callable[[], ListFiles],
        load: Callable[[ListFiles], CameraList],
        first: ListFiles,
        metrics: ProducerMetrics,
    ) -> None:
        self._read_files = read_files
        self._load = load
        self._judged = self._seen = first
        self._applied = first
        self._metrics = metrics
        self._found: queue.SimpleQueue[CameraList] = queue.SimpleQueue()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="camera list", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def look_now(self) -> None:
        """Read the list at once, changed or not; safe in a handler of signals."""
        self._wake.put(True)

    def stop(self) -> None:
        """End the thread."""
        self._wake.put(False)
        if self._thread.is_alive():
            self._thread.join(_POLL_SECONDS)

    def take(self) -> CameraList | None:
        """Return the newest list that was not taken over yet, if there is one."""
        newest = None
        with contextlib.suppress(queue.Empty):
            while True:
                newest = self._found.get_nowait()
        return newest

    def look(self, *, asked: bool = False) -> None:
        """Look once.

        Args:
            asked: Judge what is there now, whether or not it has changed.
        """
        files = self._read_files()
        settled, self._seen = files == self._seen, files
        if asked or (settled and files != self._judged):
            self._judged = files
            self._judge(files)

    def _run(self) -> None:
        asked: bool | None = None
        while asked is not False:
            try:
                asked = self._wake.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                asked = None
            if asked is not False:
                self.look(asked=asked is True)

    def _judge(self, files: ListFiles) -> None:
        try:
            listed = self._load(files)
        except ConfigurationError as error:
            self._metrics.list_refused.set(1)
            self._metrics.list_reloads.labels("refused").inc()
            shown = "; ".join(error.faults[:_FAULTS_SHOWN])
            more = len(error.faults) - _FAULTS_SHOWN
            log.error(
                "the changed camera list is refused, the one before goes on: %s%s",
                shown,
                f"; and {more} more faults" if more > 0 else "",
            )
            return
        self._metrics.list_refused.set(0)
        self._found.put(listed)
