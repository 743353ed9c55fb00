"""Settings of the views of results."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contract.kafka import FRAMES_TOPIC, KafkaConnection
from contract.settings import CommandSettings


class ViewerSettings(KafkaConnection, CommandSettings):
    """Settings of ``seedstream render``."""

    model_config = SettingsConfigDict(env_prefix="VIEWER_")

    camera: str | None = None
    """Camera to show; every camera with results if not given."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic that holds the frames."""

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis that holds the results: redis://, rediss:// or unix://."""

    redis_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long one request to Redis may take, in seconds."""

    out: Path = Path("overlay")
    """Folder for CAMERA.mp4 and CAMERA.png."""

    last_seconds: float = Field(default=60.0, ge=0)
    """Only results of frames captured this long before the newest one, in seconds; 0 takes all."""

    min_score: float = Field(default=0.0, ge=0, le=1)
    """Instances below this score (0..1) are left out."""

    idle_timeout_seconds: float = Field(default=5.0, gt=0)
    """How long Kafka may give no further record while frames are awaited, in seconds."""
