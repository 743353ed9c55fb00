"""``seedstream demo``: the whole path on this machine, from cameras to results, and its sums."""

import contextlib
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from rich.console import Console

from contract.errors import UnavailableError
from contract.process import EXIT_FAILED, EXIT_OK
from contract.redaction import redact
from contract.result_keys import DEFAULT_PREFIX
from contract.samples import NOTHING
from contract.topics import DEAD_TOPIC, FRAMES_TOPIC
from stack.broker import create_topic, delete_topics
from stack.broker_choice import start_broker
from stack.child_process import (
    POLL_SECONDS,
    ChildProcess,
    ChildrenSince,
    check_alive,
    died,
)
from stack.demo.children import (
    CAMERAS,
    PRODUCER_DRAIN_SECONDS,
    STREET,
    WORKER_DRAIN_SECONDS,
    Places,
    page_port,
    render,
    start_producer,
    start_viewer,
    start_worker,
    write_cameras,
)
from stack.demo.live_table import Watch
from stack.demo.settings import DemoOptions, check
from stack.frame_ledger import FrameLedger
from stack.interrupts import (
    EXIT_INTERRUPTED,
    held_interrupts,
    ignore_interrupts,
    interruptible,
)
from stack.launch import LOCALHOST, free_ports
from stack.redis_server import check_redis, start_redis
from stack.seedstream_process import SeedstreamProcess

READY_SECONDS = 180.0
"""How long the worker may take until it is ready: the model is read and every batch size warmed."""

FIRST_FRAME_SECONDS = 60.0
"""How long the producer may take until its first frame."""

FINISH_SECONDS = 30.0
"""How long the worker may take for what is left after the producer has ended."""

EMBEDDED_MAX_SECONDS = 600.0
"""The embedded broker keeps every frame in memory, so a demo with it ends after this."""

VIDEO_SECONDS = 60.0
PARTITIONS = 4


def run_demo(options: DemoOptions) -> int:
    """Run the demo; no process is left of it, however it ends.

    Returns:
        Exit code: 0 when every captured frame is accounted for and the overlay is written; 1 when
        a server or process failed or the sums do not close; 130 when interrupted early.

    Raises:
        ConfigurationError: An option cannot be used.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    check(options)
    try:
        with interruptible(), contextlib.ExitStack() as cleanup:
            try:
                return _Demo(options, console, cleanup).run()
            finally:
                ignore_interrupts()
    except UnavailableError as error:
        console.print(redact(f"seedstream demo: {error}"))
        return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started has been stopped")
        return EXIT_INTERRUPTED


class _Demo:
    """One run: each step starts, watches or ends something."""

    def __init__(
        self, options: DemoOptions, console: Console, cleanup: contextlib.ExitStack
    ) -> None:
        self._options = options
        self._console = console
        self._cleanup = cleanup
        self._seconds = options.seconds
        self._running: list[ChildProcess] = []

    def run(self) -> int:
        page = self._announce_page()
        places = self._servers()
        if page is not None:
            self._keep(start_viewer(places, page))
        cameras = write_cameras(
            places.work / "cameras.yaml", self._options.video, self._options.fps
        )
        worker = self._start_worker(places)
        producer = start_producer(places, cameras)
        self._keep(producer, PRODUCER_DRAIN_SECONDS)
        watch = Watch(self._console, producer, worker, self._running, places.redis)
        self._cleanup.callback(watch.close)
        watch.wait_for_frames(FIRST_FRAME_SECONDS)
        began = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the show, not the summary
            watch.show(self._seconds)
        self._say("stopping: the cameras first, then the worker when it has finished")
        ledger = self._drain(places, producer, worker)
        return self._summary(places, ledger, time.monotonic() - began, watch.summary())

    def _announce_page(self) -> int | None:
        """Say first of all where to look; return the page's port, None where there is none."""
        port = page_port()
        if port is None:
            self._say("no live page: it needs `pip install 'seedstream[view]'`")
        else:
            self._say(f"live page at http://{LOCALHOST}:{port}/ in a few seconds, until the end")
        return port

    def _servers(self) -> Places:
        options = self._options
        with held_interrupts():
            work = Path(tempfile.mkdtemp(prefix="seedstream-demo-"))
            self._cleanup.callback(shutil.rmtree, work, ignore_errors=True)
        # What an interrupt leaves between its start and `_keep`.
        self._cleanup.callback(ChildrenSince().stop)
        servers, topic, dead_topic = options.bootstrap_servers, FRAMES_TOPIC, DEAD_TOPIC
        if servers is None:
            broker = start_broker(options.broker, self._say)
            self._keep(broker)
            servers = broker.bootstrap_servers
            self._say(f"{broker.name} at {servers}")
            if broker.kind == "embedded":
                self._limit_embedded()
        else:
            # Workers of the real `frames` must not get the demo's frames.
            topic = f"seedstream-demo-{uuid.uuid4().hex[:8]}"
            dead_topic = f"{topic}.dead"
            self._cleanup.callback(_forget_topics, servers, [topic, dead_topic])
        create_topic(servers, topic, PARTITIONS)
        create_topic(servers, dead_topic, 1)
        url, prefix = options.redis_url, DEFAULT_PREFIX
        if url is None:
            redis = start_redis()
            self._keep(redis)
            url = redis.url
            self._say(f"{redis.name} at {redis.address}")
        else:
            check_redis(url)
            # Those who read the results of the real cameras must not get the demo's.
            prefix = f"seedstream-demo-{uuid.uuid4().hex[:8]}"
            self._say(f"results under {prefix}: in your Redis, until they expire")
        producer, worker = free_ports(2)
        logs = options.out / "logs"
        return Places(servers, url, prefix, topic, dead_topic, work, logs, (producer, worker))

    def _limit_embedded(self) -> None:
        if not 0 < self._seconds <= EMBEDDED_MAX_SECONDS:
            self._seconds = EMBEDDED_MAX_SECONDS
            self._say(
                f"the embedded broker keeps all frames in memory: ends after {self._seconds:.0f} s"
            )

    def _start_worker(self, places: Places) -> SeedstreamProcess:
        self._say(f"starting the worker with {self._options.model}")
        worker = start_worker(places, self._options.model)
        self._keep(worker, WORKER_DRAIN_SECONDS)

        def ready() -> bool:
            check_alive(self._running)
            return worker.ready()

        worker.wait_until(ready, READY_SECONDS, "not ready")
        self._say(f"worker ready, metrics at http://127.0.0.1:{worker.port}/metrics")
        return worker

    def _drain(
        self, places: Places, producer: SeedstreamProcess, worker: SeedstreamProcess
    ) -> FrameLedger:
        """End the producer, let the worker finish, end it; return where every frame went."""
        self._end(producer, PRODUCER_DRAIN_SECONDS)
        published = places.last_metrics(producer)
        deadline = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < deadline:
            check_alive(self._running)
            if FrameLedger.from_metrics(CAMERAS, published, worker.metrics() or NOTHING).settled:
                break
            time.sleep(POLL_SECONDS * 2)
        self._end(worker, WORKER_DRAIN_SECONDS)
        return FrameLedger.from_metrics(CAMERAS, published, places.last_metrics(worker))

    def _summary(
        self, places: Places, ledger: FrameLedger, ran_seconds: float, lines: list[str]
    ) -> int:
        video_seconds = min(VIDEO_SECONDS, ran_seconds + 5)
        self._say("reading frames and results back for the overlay")
        written = [
            render(places, camera, self._options.out, video_seconds)
            for camera in CAMERAS
            if camera == STREET or ledger.stored(camera)
        ]
        for line in [*lines, *ledger.lines(), *written]:
            self._say(line)
        faults = ledger.faults()
        for fault in faults:
            self._say(f"NOT ACCOUNTED FOR: {fault}")
        if not faults:
            self._say("every captured frame is accounted for")
        return EXIT_FAILED if faults else EXIT_OK

    def _keep(self, process: ChildProcess, drain_seconds: float = 10.0) -> None:
        """Watch a process from now on, and stop it at the end whatever happens."""
        self._cleanup.callback(process.stop, drain_seconds)
        self._running.append(process)

    def _end(self, child: SeedstreamProcess, drain_seconds: float) -> None:
        """End a process and see that it ended well.

        Raises:
            StartError: It had died, had to be killed, or reported a failure.
        """
        check_alive([child])
        self._running.remove(child)
        if child.stop(drain_seconds + 5) != EXIT_OK:
            raise died(child)

    def _say(self, text: str) -> None:
        self._console.print(text)


def _forget_topics(bootstrap_servers: str, topics: list[str]) -> None:
    with contextlib.suppress(UnavailableError):  # that it is away was said where it mattered
        delete_topics(bootstrap_servers, topics)
