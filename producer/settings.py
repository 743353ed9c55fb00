"""Settings of the producer process."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from contract.kafka import FRAMES_TOPIC, MAX_RECORD_BYTES, KafkaConnection
from contract.settings import ProcessSettings
from producer.cameras import Shard

MAX_CAMERAS = 256
"""Cameras of one process: each has a thread, and Python decodes a few dozen at most anyway."""


def _shard(value: object) -> Shard:
    return value if isinstance(value, Shard) else Shard.parse(str(value))


class ProducerSettings(KafkaConnection, ProcessSettings):
    """Settings of ``seedstream produce``."""

    model_config = SettingsConfigDict(env_prefix="PRODUCER_")

    http_port: int = Field(default=8081, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 takes a free one and logs it."""

    config: Path | None = None
    """YAML file with the list of cameras."""

    shard: Annotated[Shard, NoDecode, BeforeValidator(_shard)] = Shard(0, 1)
    """Part of the cameras that this process carries: INDEX/COUNT, INDEX from 0. Processes with the
    same list and COUNT share it, each camera in exactly one of them."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic that frames go to."""

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Most frames per second that are published of a camera which sets none itself; all if not
    given."""

    max_frames: int | None = Field(default=None, ge=1)
    """End each camera after this many decoded frames; for tests and demos."""

    open_timeout_seconds: float = Field(default=10.0, ge=0.2)
    """How long opening a camera may take, in seconds."""

    first_frame_timeout_seconds: float = Field(default=10.0, ge=0.2)
    """How long an opened camera may take to give its first frame, in seconds."""

    stall_timeout_seconds: float = Field(default=10.0, ge=0.2)
    """How long a camera may stay silent between frames before it counts as lost, in seconds."""

    backoff_initial_seconds: float = Field(default=0.5, gt=0)
    """Upper bound of the first random wait before a lost camera is opened again, in seconds; it
    doubles with every failure."""

    backoff_max_seconds: float = Field(default=30.0, gt=0)
    """Upper bound of every wait before a lost camera is opened again, in seconds."""

    file_attempts: int = Field(default=3, ge=1)
    """How often a file that cannot be read is tried before its camera counts as failed."""

    buffer_frames: int = Field(default=4, ge=1, le=1000)
    """Encoded frames of one camera that wait for Kafka; live cameras then drop the oldest."""

    abandoned_threads: int = Field(default=3, ge=1)
    """Hung decoding threads of one camera that are left behind before it is no longer opened."""

    max_record_bytes: int = Field(default=MAX_RECORD_BYTES, ge=65_536)
    """Largest record that is sent, in bytes; the topic must accept it."""

    sends_in_flight: int = Field(default=256, ge=1)
    """Records sent and not yet acknowledged, at most."""

    sends_in_flight_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    """Bytes sent and not yet acknowledged, at most (one record always fits)."""

    batch_bytes: int = Field(default=0, ge=0)
    """Batches of the Kafka client, in bytes; 0 sends each frame by itself."""

    linger_seconds: float = Field(default=0.0, ge=0)
    """How long the Kafka client waits for a batch to fill, in seconds."""

    request_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long one request to Kafka may take, in seconds."""

    delivery_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long Kafka may acknowledge nothing before the process gives up, in seconds."""

    client_restarts: int = Field(default=5, ge=0)
    """Times that the Kafka client is replaced after a fatal error without a frame getting through
    before the process gives up."""

    @field_validator("delivery_timeout_seconds")
    @classmethod
    def _check_delivery(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("linger_seconds", 0) + info.data.get("request_timeout_seconds", 0)
        if value <= least:
            raise ValueError(f"must exceed linger_seconds + request_timeout_seconds = {least:g}")
        return value
