"""What a plan is made for, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contract.errors import ConfigurationError
from planner.unit_costs import UnitCost

MOST_CAMERAS = 1_000_000

Costs = Mapping[str, UnitCost]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What there is to do.

    Attributes:
        cameras: How many.
        fps: Frames per second that are published of each.
        camera_fps: Frames per second that each sends, all of which are decoded.
        width: Of a camera's frames, in pixels.
        height: Likewise.
        max_side: Longer side of the published frames, in pixels; None publishes them as they are.
        objects: Objects in a frame.
        worker: Where the network runs.
        worker_cores: Cores of a worker on the CPU.
        worker_fps: Frames per second of one worker; None takes the known figure.
        frame_bytes: Of one JPEG; None estimates it from the size.
        retention_minutes: How long Kafka keeps frames.
        replication: Copies that Kafka keeps of a frame.
        kept_results: Results that Redis keeps of a camera.
        kept_seconds: How long it keeps them.

    Raises:
        ConfigurationError: Numbers that mean nothing; all of them.
    """

    cameras: int
    fps: float = 5.0
    camera_fps: float = 25.0
    width: int = 1920
    height: int = 1080
    max_side: int | None = 768
    objects: float = 10.0
    worker: Literal["cpu", "gpu"] = "cpu"
    worker_cores: int = 2
    worker_fps: float | None = None
    frame_bytes: int | None = None
    retention_minutes: float = 10.0
    replication: int = 3
    kept_results: int = 1000
    kept_seconds: float = 3600.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {_shown(value)}, expected {low:g} to {high:g}"
            for name, value, low, high in (
                ("cameras", self.cameras, 1, MOST_CAMERAS),
                ("fps", self.fps, 0.001, 1000),
                ("camera fps", self.camera_fps, 0.001, 1000),
                ("width", self.width, 16, 16_384),
                ("height", self.height, 16, 16_384),
                ("max side", self.max_side, 16, 16_384),
                ("objects", self.objects, 0, 10_000),
                ("worker cores", self.worker_cores, 1, 1024),
                ("worker fps", self.worker_fps, 0.001, 1e6),
                ("frame bytes", self.frame_bytes, 1, 16 * 1024 * 1024),
                ("retention minutes", self.retention_minutes, 1, 60 * 24 * 365),
                ("replication", self.replication, 1, 9),
                ("kept results", self.kept_results, 1, 1e9),
                ("kept seconds", self.kept_seconds, 1, 1e9),
            )
            if value is not None and not low <= value <= high
        ]
        if self.fps > self.camera_fps:
            faults.append(
                f"fps is {self.fps:g}, more than the {self.camera_fps:g} that a camera sends "
                "(--camera-fps)"
            )
        if faults:
            raise ConfigurationError(faults)

    @property
    def megapixels(self) -> float:
        """Of a camera's frame."""
        return self.width * self.height / 1e6

    @property
    def published(self) -> tuple[int, int]:
        """(width, height) of the published frames, in pixels."""
        if self.max_side is None:
            return self.width, self.height
        scale = min(1.0, self.max_side / max(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    @property
    def published_megapixels(self) -> float:
        """Of a published frame."""
        width, height = self.published
        return width * height / 1e6


def _shown(value: float) -> str:
    """Return a number for a message, however long it is."""
    try:
        return f"{value:g}"
    except OverflowError:
        return f"a number of {len(str(abs(int(value))))} digits"


@dataclass(frozen=True, slots=True)
class Need:
    """How much of one thing is needed.

    Attributes:
        part: Whose it is: ``kafka``, ``workers``, ``producers``, ``redis`` or ``prometheus``.
        name: What.
        value: How much, in ``unit``.
        unit: For people.
        because: How it was counted.
        assumed: Whether an assumption is part of it.
    """

    part: str
    name: str
    value: float
    unit: str
    because: str
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """What one machine of a part carries before there must be a second one.

    Attributes:
        part: Of what.
        cameras: How many such cameras.
        because: What they use up.
        assumed: Whether an assumption is part of it.
    """

    part: str
    cameras: int
    because: str
    assumed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan.

    Attributes:
        load: What it is for.
        needs: What is needed, by part.
        limits: What one machine of each part carries, the smallest first.
        warnings: What does not fit.
        costs: What it was counted from.
    """

    load: Load
    needs: tuple[Need, ...]
    limits: tuple[Limit, ...]
    warnings: tuple[str, ...]
    costs: Mapping[str, UnitCost]
