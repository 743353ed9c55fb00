"""The demo's processes: how the producer, the worker and the renderer are called."""

import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from stack.child_process import Server, StartError, spawn
from stack.ports import free_ports
from stack.samples import environment

STREET, SYNTHETIC = "street", "synthetic"
CAMERAS = [STREET, SYNTHETIC]

PRODUCER_DRAIN_SECONDS = 10.0
WORKER_DRAIN_SECONDS = 10.0
RENDER_SECONDS = 180.0
"""How long making the overlay video may take."""


@dataclass(frozen=True)
class Places:
    """Where the processes find each other.

    Attributes:
        bootstrap_servers: Kafka.
        redis_url: Redis; may hold a password, so it travels in environments only.
        topic: Topic of the frames.
        dead_topic: Topic of the dead letters.
        work: Folder for what is removed at the end.
        logs: Folder for the processes' logs.
    """

    bootstrap_servers: str
    redis_url: str
    topic: str
    dead_topic: str
    work: Path
    logs: Path


@dataclass(frozen=True)
class Child:
    """A process with metrics.

    Attributes:
        server: The process.
        port: Port of its ``/metrics`` and ``/readyz`` on 127.0.0.1.
        values: Folder that keeps its metrics after its end.
    """

    server: Server
    port: int
    values: Path


def write_cameras(path: Path, video: Path, fps: float) -> Path:
    """Write the list of the demo's cameras: the clip as a looping camera, and a synthetic scene."""
    cameras = [
        {"id": STREET, "url": str(video.resolve()), "loop": True, "when_full": "drop_oldest"},
        {"id": SYNTHETIC, "url": f"test:?size=640x480&fps={fps:g}&objects=6&seed=3"},
    ]
    path.write_text(yaml.safe_dump({"defaults": {"fps": fps}, "cameras": cameras}))
    return path


def start_producer(places: Places, cameras: Path) -> Child:
    """Start the producer."""
    settings = {
        "PRODUCER_CONFIG": str(cameras),
        "PRODUCER_TOPIC": places.topic,
        "PRODUCER_DRAIN_SECONDS": str(PRODUCER_DRAIN_SECONDS),
    }
    return _start("producer", "produce", "PRODUCER", places, settings)


def start_worker(places: Places, model: Path, group: str) -> Child:
    """Start the worker, in ``live`` mode."""
    settings = {
        "WORKER_MODEL": str(model.resolve()),
        "WORKER_REDIS_URL": places.redis_url,
        "WORKER_TOPIC": places.topic,
        "WORKER_DEAD_TOPIC": places.dead_topic,
        "WORKER_GROUP": group,
        "WORKER_MODE": "live",
        "WORKER_DRAIN_SECONDS": str(WORKER_DRAIN_SECONDS),
        # Enough for the overlay video at the end, whatever the frame rate.
        "WORKER_MAX_RESULTS_PER_CAMERA": "5000",
    }
    return _start("worker", "work", "WORKER", places, settings)


def render(places: Places, camera: str, out: Path, last_seconds: float) -> str:
    """Make a camera's overlay video and picture.

    Returns:
        What the renderer said.

    Raises:
        StartError: It failed; the message carries the end of what it wrote.
    """
    settings = {
        "VIEWER_BOOTSTRAP_SERVERS": places.bootstrap_servers,
        "VIEWER_REDIS_URL": places.redis_url,
        "VIEWER_TOPIC": places.topic,
        "VIEWER_CAMERA": camera,
        "VIEWER_OUT": str(out),
        "VIEWER_LAST_SECONDS": f"{last_seconds:.0f}",
        "VIEWER_LOG_FORMAT": "text",
    }
    log_path = places.logs / f"render-{camera}.log"
    renderer = spawn(
        "renderer",
        [sys.executable, "-m", "seedstream", "render"],
        log_path=log_path,
        env=environment(places.work / "render") | settings,
    )
    with renderer:
        ended = renderer.wait(RENDER_SECONDS)
    if not ended or renderer.exit_code != 0:
        how = "failed" if ended else f"took longer than {RENDER_SECONDS:.0f} s"
        raise StartError(f"rendering camera {camera} {how}:\n{renderer.tail()}")
    return log_path.read_text().strip()


def _start(name: str, command: str, prefix: str, places: Places, settings: dict[str, str]) -> Child:
    port = free_ports(1)[0]
    values = places.work / f"{name}-metrics"
    shared = {
        f"{prefix}_BOOTSTRAP_SERVERS": places.bootstrap_servers,
        f"{prefix}_HTTP_HOST": "127.0.0.1",
        f"{prefix}_HTTP_PORT": str(port),
        f"{prefix}_LOG_FORMAT": "text",
    }
    server = spawn(
        name,
        [sys.executable, "-m", "seedstream", command],
        log_path=places.logs / f"{name}.log",
        address=f"127.0.0.1:{port}",
        env=environment(values) | shared | settings,
    )
    return Child(server, port, values)
