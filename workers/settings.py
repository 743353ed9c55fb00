"""Settings of the worker process (prefix ``WORKER_``)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from contract.artifact_files import find_model
from contract.errors import ConfigurationError
from contract.frame import MAX_FRAME_PIXELS
from contract.lane import DEFAULT_LANE, LaneName
from contract.settings import YEAR_SECONDS, ProcessSettings
from contract.topics import DEAD_TOPIC, FRAMES_TOPIC, MAX_RECORD_BYTES
from segmentation.engines.choice import PrecisionWanted, Provider
from servers.kafka import KafkaConnection
from servers.redis_connection import RedisConnection

_TOPIC = r"^[a-zA-Z0-9._-]{1,249}$"


class WorkerSettings(RedisConnection, KafkaConnection, ProcessSettings):
    """How one worker reads frames, segments them and stores the results."""

    model_config = SettingsConfigDict(env_prefix="WORKER_")

    essential: ClassVar[tuple[str, ...]] = (
        "model",
        "bootstrap_servers",
        "redis_url",
        "provider",
        "mode",
    )
    sections: ClassVar[Mapping[str, str]] = {
        "model": "Segmentation",
        "mode": "Frames",
        "topic": "Topics and consumer group",
        "max_frame_bytes": "Limits",
        "result_ttl_seconds": "Results",
    }

    removed: ClassVar[Mapping[str, str]] = {
        "camera_series_seconds": "fixed at 300 s",
        "cluster_threads": "fixed at 2; on a GPU one for four cores, 4 at most",
        "commit_interval_seconds": "fixed at 0.5 s",
        "decode_threads": "fixed at 2; on a GPU one for four cores, 4 at most",
        "fetch_max_bytes": "follows from WORKER_BUFFER_MEBIBYTES",
        "liveness_seconds": "fixed at 60 s",
        "max_batch_age_seconds": "fixed at 0.02 s on CUDA, 0 on the CPU",
        "max_camera_series": "fixed at 1000",
        "max_decoded_frames": "fixed at one batch",
        "max_partition_fetch_bytes": "follows from WORKER_BUFFER_MEBIBYTES",
        "max_poll_records": "follows from WORKER_MAX_WAITING_FRAMES",
        "max_waiting_bytes": "follows from WORKER_BUFFER_MEBIBYTES",
    }

    model: Path
    """Model artifact: a folder NAME/VERSION with model.onnx, or the file itself."""

    provider: Provider = "auto"
    """What runs the network; `auto`: CUDA, OpenVINO or CPU."""

    precision: PrecisionWanted = "auto"
    """Which file of the model runs; `auto`: the fastest here."""

    intra_op_threads: int = Field(default=0, ge=0)
    """CPU threads for the network; 0: the provider's choice."""

    tensorrt_cache: Path | None = None
    """Folder for TensorRT's engines; default: built at every start."""

    resize: Literal["letterbox", "stretch", "tile"] = "letterbox"
    """How a frame is fitted to the model's input: scaled and padded (keeps the aspect ratio),
    stretched, or, if larger, cut into overlapping tiles (a run each) at its own scale, to find
    small objects."""

    score_threshold: float | None = Field(default=None, ge=0, le=1)
    """Lowest instance score to report, 0..1; default: the artifact's own."""

    track: bool = True
    """Number objects through time (`track` in results)."""

    track_appearance: bool = True
    """Whether colours help to tell objects apart."""

    preview: bool = True
    """Store pictures of the frames for the live page."""

    mode: Literal["live", "complete"] = "live"
    """`complete` processes every frame; `live` skips and counts frames that arrive too late."""

    max_age_seconds: float = Field(default=2.0, gt=0, le=YEAR_SECONDS)
    """Live mode: frames older than this are skipped before decoding, in seconds since capture."""

    old_after_seconds: float = Field(default=0.5, ge=0, le=YEAR_SECONDS)
    """Live mode: a waiting frame older than this gives way to a newer one of its camera, in seconds
    since capture."""

    max_ahead_seconds: float = Field(default=86_400.0, ge=60, le=YEAR_SECONDS)
    """Frames captured further than this in the future, by the worker's clock, become dead letters
    (`future_time`), in seconds; those beyond 5 s are counted and logged."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=_TOPIC)
    """Kafka topic to read frames from."""

    dead_topic: str = Field(default=DEAD_TOPIC, pattern=_TOPIC)
    """Kafka topic for invalid records."""

    group: str = Field(default="seedstream-workers", min_length=1)
    """Kafka consumer group; workers of one group share the cameras."""

    lane: LaneName = DEFAULT_LANE
    """The worker's lane, a label of metrics and logs."""

    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a group without committed offsets starts."""

    session_timeout_seconds: float = Field(default=15.0, ge=6, le=1800)
    """After this long without a heartbeat, the group reassigns a worker's cameras, in seconds."""

    max_frame_bytes: int = Field(default=MAX_RECORD_BYTES, ge=1024)
    """Largest encoded frame, in bytes; larger ones become dead letters."""

    max_frame_pixels: int = Field(default=MAX_FRAME_PIXELS, ge=64)
    """Largest frame, in pixels; larger ones become dead letters. `PRODUCER_MAX_FRAME_PIXELS` must
    not exceed it."""

    max_dead_share: float = Field(default=0.8, gt=0, le=1)
    """Largest share of dead letters among each camera's last 100 records, as the mean of the
    cameras being read. Beyond it, with more than one camera that bad, the worker commits and exits
    with code 2. Judged from 200 records on; 1 never stops it."""

    max_waiting_frames: int = Field(default=32, ge=1)
    """Maximum frames waiting undecoded; when full, `live` drops the oldest, `complete` pauses."""

    buffer_mebibytes: int = Field(default=128, ge=1)
    """Memory for encoded frames, in MiB: half for those waiting undecoded, half
    prefetched. A larger frame still passes, alone."""

    max_batch_size: int | None = Field(default=None, ge=1, le=256)
    """Maximum frames, or tiles of a frame, per network batch; default: 8 on a GPU, on the CPU one
    megapixel of input, at most 4."""

    result_ttl_seconds: int = Field(default=3600, ge=1, le=YEAR_SECONDS)
    """How long a camera's results are kept after its latest one, in seconds."""

    max_results_per_camera: int = Field(default=1000, ge=1)
    """Approximate number of results kept per camera."""

    @property
    def max_poll_records(self) -> int:
        """Maximum records polled from Kafka at once; in `complete` mode they wait together."""
        return 2 * self.max_waiting_frames

    @property
    def max_waiting_bytes(self) -> int:
        """Maximum bytes of frames waiting undecoded."""
        return self._buffer_bytes // 2

    @property
    def fetch_max_bytes(self) -> int:
        """Maximum bytes per fetch; the Kafka client holds one per broker besides those polled."""
        return self._buffer_bytes // 8

    @property
    def max_partition_fetch_bytes(self) -> int:
        """Maximum bytes per partition in one fetch: no partition keeps the others waiting."""
        return self._buffer_bytes // 32

    @property
    def _buffer_bytes(self) -> int:
        return self.buffer_mebibytes * 1024 * 1024

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: Path) -> Path:
        try:
            find_model(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("dead_topic")
    @classmethod
    def _check_dead_topic(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("topic"):
            raise ValueError("is the topic of the frames: dead letters would be read again")
        return value
