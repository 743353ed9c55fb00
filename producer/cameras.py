"""What can be said about one camera.

Library: pydantic.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from contract.frame import CAMERA_ID, CAMERA_ID_RULE, MAX_SIDE_PIXELS
from producer.address import Kind, kind_of, public
from producer.scene import Scene


class Camera(BaseModel):
    """One camera of the list."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    id: str
    """Camera id: 1 to 128 letters, digits, '.', '_', ':' or '-'."""

    url: SecretStr
    """Where the frames come from: rtsp://, rtsps://, http://, https://, udp://, srt://,
    /dev/videoN, a file, or test: (a synthetic scene). ${NAME} is replaced from the environment."""

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Most frames per second that are published; all if not given."""

    width: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Width to scale to, in pixels; with height only, it follows the aspect."""

    height: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Height to scale to, in pixels; with width only, it follows the aspect."""

    max_side: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Scale down so that no side is longer, in pixels, keeping the aspect."""

    encoding: Literal["jpeg", "i420"] = "jpeg"
    """JPEG, or raw I420 (BT.601, limited range)."""

    jpeg_quality: int = Field(default=90, ge=1, le=100)
    """JPEG quality, 1 to 100."""

    pace: Literal["realtime", "fast"] = "realtime"
    """Files and test: only: as fast as the frame rate says, or as fast as possible."""

    loop: bool = False
    """Files only: begin again at the end, as a new session."""

    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP only: how the stream is carried."""

    when_full: Literal["drop_oldest", "wait"] | None = None
    """When Kafka is slower than the camera: drop the oldest waiting frame (live cameras' default)
    or wait (files' default)."""

    buffer_frames: int = Field(ge=1, le=1000)
    """Encoded frames that wait for Kafka."""

    open_timeout_seconds: float = Field(ge=0.2)
    """How long opening may take, in seconds."""

    first_frame_timeout_seconds: float = Field(ge=0.2)
    """How long the first frame may take, in seconds."""

    stall_timeout_seconds: float = Field(ge=0.2)
    """How long the camera may stay silent between frames, in seconds."""

    options: dict[str, str] = {}
    """More FFmpeg options, by name; they win over ours."""

    @field_validator("id")
    @classmethod
    def _check_id(cls, value: str) -> str:
        if not CAMERA_ID.fullmatch(value):
            raise ValueError(f"{value[:140]!r} is no camera id: {CAMERA_ID_RULE}")
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        kind_of(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        if self.max_side is not None and (self.width or self.height):
            raise ValueError("max_side excludes width and height: give one or the other")
        if self.loop and self.kind != "file":
            raise ValueError(f"loop is for files, this is {self.kind}")
        if self.pace == "fast" and self.kind not in ("file", "test"):
            raise ValueError(f"pace: fast is for files and test:, this is {self.kind}")
        if self.kind == "test":
            Scene.parse(self.url.get_secret_value())
        return self

    @property
    def kind(self) -> Kind:
        """The kind of source."""
        return kind_of(self.url.get_secret_value())

    @property
    def live(self) -> bool:
        """Whether the source goes on by itself: an end is then a loss."""
        return self.kind not in ("file", "test")

    @property
    def waits(self) -> bool:
        """Whether a full buffer stops the source instead of costing its oldest frame."""
        if self.when_full is not None:
            return self.when_full == "wait"
        return self.kind == "file" or self.pace == "fast"

    @property
    def address(self) -> str:
        """The URL fit for a log."""
        return public(self.url.get_secret_value())
