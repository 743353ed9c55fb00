"""The options of the demo, and what is wrong with them."""

from dataclasses import dataclass, field
from pathlib import Path

from contract.errors import ConfigurationError
from contract.settings import DAY_SECONDS
from stack.broker_choice import BrokerKind

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the demo does.

    Attributes:
        seconds: How long frames flow; 0 until Ctrl-C.
        broker: Which broker to start.
        bootstrap_servers: A running Kafka to use instead; topics of the demo's own are made in it
            and deleted at the end.
        redis_url: A running Redis to use instead; may hold a password.
        out: Folder for the overlay video, the picture and the logs.
        model: The model artifact.
        video: The clip that the camera ``street`` plays.
        fps: Frames per second of each camera.
    """

    seconds: float = 60.0
    broker: BrokerKind = "auto"
    bootstrap_servers: str | None = None
    redis_url: str | None = None
    out: Path = Path("demo-out")
    model: Path = field(default=_ROOT / "artifacts" / "street" / "1")
    video: Path = field(default=_ROOT / "assets" / "vtest_clip.mp4")
    fps: float = 3.0


def check(options: DemoOptions) -> None:
    """Check the options and make the folder for the output.

    Raises:
        ConfigurationError: With one sentence for each option that cannot be used.
    """
    faults = [
        f"{path}: no {what} here; expected {expected}"
        for path, what, expected in (
            (options.model, "model artifact", "a folder NAME/VERSION (--model)"),
            (options.video, "video", "a file with a video (--video)"),
        )
        if not path.exists()
    ]
    if not 0 <= options.seconds <= DAY_SECONDS:
        faults.append(
            f"--seconds is {options.seconds:g}, expected 0 (until Ctrl-C) to {DAY_SECONDS:,}"
        )
    if not 0 < options.fps <= 100:
        faults.append(f"--fps is {options.fps:g}, expected more than 0 and at most 100")
    try:
        (options.out / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        faults.append(f"--out: cannot create the folder {options.out}: {error.strerror}")
    if faults:
        raise ConfigurationError(faults)
