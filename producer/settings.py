"""Settings of the producer process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from contract.frame import MAX_FRAME_PIXELS
from contract.lane import DEFAULT_LANE, LaneName
from contract.settings import DAY_SECONDS, ProcessSettings
from contract.topics import FRAMES_TOPIC, MAX_RECORD_BYTES
from producer.shards import Shard
from servers.kafka import KafkaConnection

MAX_CAMERAS = 256
"""Cameras of one process: each has a thread, and Python decodes a few dozen at most anyway."""


_IN_LIST = "set it in the camera list, for one camera or under its defaults"


def _shard(value: object) -> Shard | None:
    return value if isinstance(value, Shard | None) else Shard.parse(str(value))


class ProducerSettings(KafkaConnection, ProcessSettings):
    """Settings of ``seedstream produce``."""

    model_config = SettingsConfigDict(env_prefix="PRODUCER_")

    essential: ClassVar[tuple[str, ...]] = ("config", "bootstrap_servers", "fps", "shard")
    sections: ClassVar[Mapping[str, str]] = {
        "config": "Cameras and topic",
        "max_frame_pixels": "Limits",
    }

    removed: ClassVar[Mapping[str, str]] = {
        "abandoned_threads": "fixed at 3",
        "backoff_initial_seconds": "fixed at 0.5 s",
        "backoff_max_seconds": "fixed at 30 s",
        "batch_bytes": "fixed at 0: each frame is sent by itself",
        "buffer_frames": _IN_LIST,
        "client_restarts": "fixed at 5",
        "file_attempts": "fixed at 3",
        "first_frame_timeout_seconds": _IN_LIST,
        "linger_seconds": "fixed at 0 s",
        "open_timeout_seconds": _IN_LIST,
        "sends_in_flight_bytes": "follows from PRODUCER_MAX_RECORD_BYTES",
        "stall_timeout_seconds": _IN_LIST,
    }

    http_port: int = Field(default=8081, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it."""

    config: Path | None = None
    """YAML file that lists the cameras, or a folder of such files. It is read again when it changes
    and on SIGHUP, and only what changed in it starts or stops."""

    credentials: Path | None = None
    """Folder of passwords: `${NAME}` in the list is the content of the file NAME there, before an
    environment variable is looked for. It is read again with the list."""

    shard: Annotated[Shard | None, NoDecode, BeforeValidator(_shard)] = None
    """Share of the cameras that this process handles, from 0: INDEX where the list says how many
    `shards` there are, else INDEX/COUNT. Processes with the same list and count split it, each
    camera in exactly one of them; all of it unless set."""

    handover_seconds: float = Field(default=5.0, ge=0, le=600)
    """How long to wait, in seconds, before opening a camera that another process carried before a
    change of the list: it must cover how much later than this one that process may see the
    change."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic to publish frames to."""

    lane: LaneName = DEFAULT_LANE
    """The producer's lane, a label of metrics and logs."""

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Maximum frames per second published for a camera without its own fps; default: all frames."""

    max_frames: int | None = Field(default=None, ge=1)
    """Stop each camera after this number of decoded frames; for tests and demos."""

    trace_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the published frames whose way is traced to the stored result: a line in the log of
    each process, and OpenTelemetry spans where `OTEL_EXPORTER_OTLP_ENDPOINT` is set, 0..1."""

    allow_link_local_cameras: bool = False
    """Whether cameras may lead to link-local addresses (169.254.0.0/16, fe80::/10), where clouds
    keep a machine's credentials: by their URL, a DNS name or a redirect."""

    max_frame_pixels: int = Field(default=MAX_FRAME_PIXELS, ge=4096)
    """Largest frame to publish, in pixels (width x height); larger ones are scaled down to it. At
    most the workers' `WORKER_MAX_FRAME_PIXELS`, beyond which they make dead letters of frames."""

    max_record_bytes: int = Field(default=MAX_RECORD_BYTES, ge=65_536)
    """Largest record to send, in bytes; the topic must accept it."""

    sends_in_flight: int = Field(default=256, ge=1)
    """Maximum records sent but not yet acknowledged; in bytes, at most four of the largest."""

    request_timeout_seconds: float = Field(default=10.0, gt=0, le=DAY_SECONDS)
    """How long one request to Kafka may take, in seconds."""

    delivery_timeout_seconds: float = Field(default=60.0, gt=0, le=DAY_SECONDS)
    """How long Kafka may go without acknowledging a record before the process exits, in seconds."""

    @property
    def sends_in_flight_bytes(self) -> int:
        """Maximum bytes sent but not yet acknowledged (one record always fits)."""
        return 4 * self.max_record_bytes

    @field_validator("delivery_timeout_seconds")
    @classmethod
    def _check_delivery(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("request_timeout_seconds", 0)
        if value <= least:
            raise ValueError(f"must exceed request_timeout_seconds = {least:g}")
        return value
