"""The demo's processes: how the producer, the worker, the viewer and the renderer are called."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import SecretStr

from contract.samples import Samples, last_values
from servers.redis_connection import RedisConnection
from stack.child_process import StartError
from stack.launch import LOCALHOST, free_port
from stack.seedstream_process import SeedstreamProcess, start_seedstream

STREET, SYNTHETIC = "street", "synthetic"
CAMERAS = [STREET, SYNTHETIC]

PRODUCER_DRAIN_SECONDS = 10.0
WORKER_DRAIN_SECONDS = 10.0
_VIEW_PACKAGES = ("starlette", "uvicorn", "websockets")
"""What the live page needs, the extra ``view``."""

_ANSWER_SECONDS = 2.0

_VIEW_PORT = 8090
"""The live page's port, where that is free."""

RENDER_SECONDS = 180.0
"""How long making the overlay video may take."""


@dataclass(frozen=True)
class Places:
    """Where the processes find each other.

    Attributes:
        bootstrap_servers: Kafka.
        redis_url: Redis; may hold a password, so it travels in environments only.
        prefix: What the keys of the results begin with.
        topic: Topic of the frames.
        dead_topic: Topic of the dead letters.
        work: Folder for what is removed at the end.
        logs: Folder for the processes' logs.
        metrics_ports: Where producer and worker serve their metrics, so that the page finds them.
    """

    bootstrap_servers: str
    redis_url: str
    prefix: str
    topic: str
    dead_topic: str
    work: Path
    logs: Path
    metrics_ports: tuple[int, int] = (0, 0)

    @property
    def redis(self) -> RedisConnection:
        """How to look at the results meanwhile: an answer is not waited for long."""
        return RedisConnection(
            redis_url=SecretStr(self.redis_url),
            redis_timeout_seconds=_ANSWER_SECONDS,
            result_prefix=self.prefix,
        )

    def last_metrics(self, child: SeedstreamProcess) -> Samples:
        """Return the metrics of a process that has ended."""
        return last_values(self.work / f"{child.name}-metrics")


def write_cameras(path: Path, video: Path, fps: float) -> Path:
    """Write the list of the demo's cameras: the clip as a looping camera, and a synthetic scene."""
    cameras = [
        {"id": STREET, "url": str(video.resolve()), "loop": True, "when_full": "drop_oldest"},
        {"id": SYNTHETIC, "url": f"test:?size=640x480&fps={fps:g}&objects=6&seed=3"},
    ]
    path.write_text(yaml.safe_dump({"defaults": {"fps": fps}, "cameras": cameras}))
    return path


def start_producer(places: Places, cameras: Path) -> SeedstreamProcess:
    """Start the producer."""
    return _start(
        places,
        "produce",
        "producer",
        config=cameras,
        drain_seconds=PRODUCER_DRAIN_SECONDS,
        http_host=LOCALHOST,
        http_port=places.metrics_ports[0],
    )


def start_worker(places: Places, model: Path) -> SeedstreamProcess:
    """Start the worker, in ``live`` mode."""
    return _start(
        places,
        "work",
        "worker",
        model=model.resolve(),
        redis_url=places.redis_url,
        result_prefix=places.prefix,
        dead_topic=places.dead_topic,
        group=f"{places.topic}-workers",
        mode="live",
        drain_seconds=WORKER_DRAIN_SECONDS,
        # Enough for the overlay video at the end, whatever the frame rate.
        max_results_per_camera=5000,
        http_host=LOCALHOST,
        http_port=places.metrics_ports[1],
    )


def page_port() -> int | None:
    """Return a port for the live page; None where what it needs is not installed."""
    installed = all(importlib.util.find_spec(name) for name in _VIEW_PACKAGES)
    return free_port(_VIEW_PORT) if installed else None


def start_viewer(places: Places, port: int) -> SeedstreamProcess:
    """Start the live page, on 127.0.0.1."""
    return _start(
        places,
        "view",
        "viewer",
        redis_url=places.redis_url,
        result_prefix=places.prefix,
        host=LOCALHOST,
        port=port,
        sources=",".join(f"{LOCALHOST}:{each}" for each in places.metrics_ports),
        full_size=True,
        http_host=LOCALHOST,
        http_port=0,
    )


def render(places: Places, camera: str, out: Path, last_seconds: float) -> str:
    """Make a camera's overlay video and picture.

    Returns:
        What the renderer said.

    Raises:
        StartError: It failed; the message carries the end of what it wrote.
    """
    renderer = _start(
        places,
        "render",
        f"render-{camera}",
        redis_url=places.redis_url,
        result_prefix=places.prefix,
        camera=camera,
        out=out,
        last_seconds=f"{last_seconds:.0f}",
    )
    with renderer:
        code = renderer.wait(RENDER_SECONDS)
    if code != 0:
        how = "failed" if code is not None else f"took longer than {RENDER_SECONDS:.0f} s"
        raise StartError(f"rendering camera {camera} {how}:\n{renderer.tail()}")
    return renderer.text().strip()


def _start(places: Places, command: str, name: str, **settings: object) -> SeedstreamProcess:
    shared = {
        "bootstrap_servers": places.bootstrap_servers,
        "topic": places.topic,
        "log_format": "text",
    }
    return start_seedstream(
        command,
        name=name,
        log_path=places.logs / f"{name}.log",
        settings=shared | settings,
        values=places.work / f"{name}-metrics",
    )
