"""Settings of the views of results."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from contract.settings import DAY_SECONDS, YEAR_SECONDS, CommandSettings
from contract.topics import DEAD_TOPIC, FRAMES_TOPIC
from servers.kafka import KafkaConnection
from servers.redis_connection import RedisConnection

_FRAME = re.compile(r"[0-9a-f-]{36}/[0-9]{1,18}")


class ViewerSettings(RedisConnection, KafkaConnection, CommandSettings):
    """Settings of ``seedstream render``."""

    model_config = SettingsConfigDict(env_prefix="VIEWER_")

    essential: ClassVar[tuple[str, ...]] = (
        "camera",
        "out",
        "bootstrap_servers",
        "redis_url",
        "last_seconds",
    )
    sections: ClassVar[Mapping[str, str]] = {"camera": "Picture"}

    camera: str | None = None
    """Camera to show; default: every camera with results."""

    frame: str | None = None
    """Only this frame of the camera: SESSION/SEQUENCE of its result."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic that holds the frames."""

    redis_timeout_seconds: float = Field(default=10.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Redis before giving up, in seconds."""

    out: Path = Path("overlay")
    """Output folder for CAMERA.mp4 and CAMERA.png."""

    last_seconds: float = Field(default=60.0, ge=0, le=YEAR_SECONDS)
    """Show only results from this long before the newest frame, in seconds of capture; 0: all."""

    min_score: float = Field(default=0.0, ge=0, le=1)
    """Lowest instance score to draw, 0..1."""

    track: bool = True
    """Whether objects of a track have one colour, its number and a trail."""

    idle_timeout_seconds: float = Field(default=5.0, gt=0, le=DAY_SECONDS)
    """How long Kafka may deliver no further record while frames are awaited, in seconds."""

    @field_validator("frame")
    @classmethod
    def _check_frame(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not _FRAME.fullmatch(value):
            raise ValueError("expected SESSION/SEQUENCE, as a result has them")
        if info.data.get("camera") is None:
            raise ValueError("expected the camera, too: VIEWER_CAMERA (--camera)")
        return value

    @property
    def frame_id(self) -> tuple[str, int] | None:
        """Session and sequence of the only frame, None for all."""
        if self.frame is None:
            return None
        session, _, sequence = self.frame.partition("/")
        return session, int(sequence)


class DeadSettings(KafkaConnection, CommandSettings):
    """Settings of ``seedstream dead``."""

    model_config = SettingsConfigDict(env_prefix="DEAD_")

    essential: ClassVar[tuple[str, ...]] = ("bootstrap_servers", "topic")

    topic: str = Field(default=DEAD_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic of the dead letters."""
