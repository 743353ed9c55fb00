"""What a camera is: its address and settings.

Library: pydantic.
"""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from contract.frame import CAMERA_ID, CAMERA_ID_RULE, MAX_FRAME_PIXELS, MAX_SIDE_PIXELS
from contract.number_fields import NumberFields
from producer.addresses import Kind, kind_of, lower_scheme, public, with_credentials
from producer.motion_gate import MotionSettings
from producer.scene import Scene

LONGEST_TIMEOUT_SECONDS = 1800
"""Of a camera. FFmpeg counts a socket's in microseconds of 31 bits: 2147 seconds."""

_ASPECT = re.compile(r"[1-9]\d{0,3}:[1-9]\d{0,3}", re.ASCII)


class Camera(NumberFields):
    """One camera of the list."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    id: str
    """Camera id: 1 to 128 letters, digits, '.', '_', ':' or '-'."""

    url: SecretStr
    """Where the frames come from: rtsp://, rtsps://, rtmp://, rtmps://, http://, https://, udp://,
    srt://, /dev/videoN, a file, or test: (a synthetic scene). ${NAME} is replaced from the
    environment."""

    substream: SecretStr | None = None
    """URL of the camera's second, smaller stream, which is read instead of url. Neither replaces
    the other when it fails."""

    stream: Literal["main", "sub"] = "sub"
    """Which of the two is read where a substream is set: main (url) or sub (substream)."""

    user: str | None = Field(default=None, min_length=1)
    """RTSP and HTTP: user name, where the URL has none. Any characters, as they are."""

    password: SecretStr | None = None
    """Password of user. Any characters, as they are; in quotes where it is all digits."""

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Most frames per second that are published; all unless set."""

    width: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Width to scale to, in pixels; with height only, it follows the aspect."""

    height: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Height to scale to, in pixels; with width only, it follows the aspect."""

    max_side: int | None = Field(default=None, ge=16, le=MAX_SIDE_PIXELS)
    """Scale down so that no side is longer, in pixels, keeping the aspect."""

    rotate: Literal[0, 90, 180, 270] | None = None
    """Turn the picture clockwise by this many degrees, instead of as the stream says."""

    aspect: str | None = None
    """Shape of the picture as it should be shown, "W:H" (in quotes), for cameras that send squeezed
    pictures and do not say so; unless set, as the stream says."""

    crop: tuple[int, int, int, int] | None = None
    """Part of the upright picture that is published: [x, y, width, height] in pixels."""

    drop_corrupt: bool = True
    """Drop frames that are damaged (their data is cut, or the decoder marks them as corrupt); else
    publish them. They are counted either way."""

    encoding: Literal["jpeg", "i420"] = "jpeg"
    """JPEG, or raw I420 (BT.601, limited range)."""

    jpeg_quality: int = Field(default=90, ge=1, le=100)
    """JPEG quality, 1 to 100."""

    pass_through: bool = True
    """Publish the JPEG pictures of an MJPEG camera or a snapshot as they come where nothing has to
    change (size, rotation, encoding); jpeg_quality has no say then. false: encode all again."""

    decode_threads: int | None = Field(default=None, ge=1, le=64)
    """Threads that decode this camera; more than one may delay a live camera by a frame each.
    Unless set the process's cameras share its cores, live ones without such a delay."""

    hwaccel: Literal["cuda", "vaapi"] | None = None
    """Decode with the graphics processor, not for HTTP pictures; in software, with a warning,
    where it cannot."""

    motion: MotionSettings | None = None
    """Motion gate: leave out frames in which nothing moves. `true`, or a mapping of the keys
    below; off unless set."""

    pace: Literal["realtime", "fast"] = "realtime"
    """Files, recordings over HTTP and test: only: as fast as the frame rate says, or as fast as
    possible."""

    loop: bool = False
    """Files and recordings over HTTP only: begin again at the end, as a new session."""

    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP only: how the stream is carried."""

    poll_seconds: float | None = Field(default=None, ge=0.05, le=86_400)
    """HTTP only: how often to fetch a URL that gives one picture (a snapshot), in seconds; unless
    set every second, or as seldom as fps says."""

    when_full: Literal["drop_oldest", "wait"] | None = None
    """When Kafka is slower than the camera: drop the oldest waiting frame (live cameras' default)
    or wait (files' default)."""

    buffer_frames: int = Field(default=4, ge=1, le=1000)
    """Encoded frames that wait for Kafka."""

    open_timeout_seconds: float = Field(default=10.0, ge=0.2, le=LONGEST_TIMEOUT_SECONDS)
    """How long opening may take, in seconds."""

    first_frame_timeout_seconds: float = Field(default=10.0, ge=0.2, le=LONGEST_TIMEOUT_SECONDS)
    """How long the first frame may take, in seconds."""

    stall_timeout_seconds: float = Field(default=10.0, ge=0.2, le=LONGEST_TIMEOUT_SECONDS)
    """How long the camera may stay silent between frames, in seconds."""

    options: dict[str, str] = Field(default={}, repr=False)
    """More FFmpeg options, by name; they win over ours."""

    # Not for the list: who writes it need not be who decides this.
    _link_local: bool = PrivateAttr(False)
    _max_frame_pixels: int = PrivateAttr(MAX_FRAME_PIXELS)
    _companions: int = PrivateAttr(1)

    @field_validator("id")
    @classmethod
    def _check_id(cls, value: str) -> str:
        if not CAMERA_ID.fullmatch(value):
            # Whoever swaps id and url must not find the password in the log.
            raise ValueError(f"not a camera id: {CAMERA_ID_RULE}")
        return value

    @field_validator("url", "substream")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            kind_of(value.get_secret_value())
        return value

    @field_validator("user", "password", mode="before")
    @classmethod
    def _check_text(cls, value: object) -> object:
        if not isinstance(value, str | SecretStr | None):
            # YAML has changed it already: 0123 is 83, and yes is true.
            raise ValueError("not text for YAML: put it in quotes")
        return value

    @field_validator("aspect", mode="before")
    @classmethod
    def _check_aspect(cls, value: object) -> object:
        if isinstance(value, int):
            raise ValueError(
                'put it in quotes, as in "16:9": without, YAML reads a number of base 60'
            )
        if isinstance(value, str) and not _ASPECT.fullmatch(value):
            raise ValueError('expected "W:H" of two whole numbers from 1 to 9999, as in "16:9"')
        return value

    @field_validator("motion", mode="before")
    @classmethod
    def _check_motion(cls, value: object) -> object:
        if isinstance(value, bool):
            return {} if value else None
        if value is not None and not isinstance(value, dict | MotionSettings):
            keys = ", ".join(MotionSettings.model_fields)
            raise ValueError(f"expected true, false or a mapping of {keys}")
        return value

    @field_validator("crop")
    @classmethod
    def _check_crop(cls, value: tuple[int, int, int, int] | None) -> tuple[int, ...] | None:
        if value is None:
            return value
        x, y, width, height = value
        if min(x, y) < 0 or min(width, height) < 16 or max(x + width, y + height) > MAX_SIDE_PIXELS:
            raise ValueError(
                "expected [x, y, width, height] in pixels: x and y from 0, width and height from "
                f"16, all within {MAX_SIDE_PIXELS}"
            )
        return value

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        if self.max_side is not None and (self.width or self.height):
            raise ValueError("max_side excludes width and height: set one or the other")
        if self.loop and self.kind not in ("file", "http"):
            raise ValueError(f"loop is for files, this is {self.kind}")
        if self.pace == "fast" and self.kind not in ("file", "http", "test"):
            raise ValueError(f"pace: fast is for files and test:, this is {self.kind}")
        if self.poll_seconds is not None and self.kind != "http":
            raise ValueError(f"poll_seconds is for http and https, this is {self.kind}")
        self._check_credentials()
        if self.kind == "test":
            Scene.parse(self.source_url)
        return self

    def _check_credentials(self) -> None:
        if self.user is None and self.password is None:
            return
        if self.user is None:
            raise ValueError("password needs user")
        if self.kind not in ("rtsp", "http"):
            raise ValueError(
                f"user and password are for RTSP and HTTP, this is {self.kind}: set both to null "
                "where the defaults have them"
            )
        if urlsplit(self._read_url).username is not None:
            raise ValueError("user and password stand in the URL as well: set one or the other")

    @property
    def _read_url(self) -> str:
        sub = self.substream if self.stream == "sub" else None
        # FFmpeg knows schemes in lower case only.
        return lower_scheme((sub or self.url).get_secret_value())

    @property
    def source_url(self) -> str:
        """The URL to open, with user and password in it: a secret."""
        if self.user is None:
            return self._read_url
        password = self.password.get_secret_value() if self.password else ""
        return with_credentials(self._read_url, self.user, password)

    @property
    def kind(self) -> Kind:
        """The kind of source."""
        return kind_of(self._read_url)

    @property
    def link_local(self) -> bool:
        """Whether it may lead to link-local addresses; not unless ``allowing_link_local``."""
        return self._link_local

    def allowing_link_local(self, allowed: bool) -> Self:
        """Return the same camera, which may lead to link-local addresses or not."""
        made = self.model_copy()
        made._link_local = allowed
        return made

    @property
    def max_frame_pixels(self) -> int:
        """Largest frame that its process publishes, in pixels."""
        return self._max_frame_pixels

    @property
    def companions(self) -> int:
        """How many cameras its process carries, itself included."""
        return self._companions

    def carried(self, companions: int, max_frame_pixels: int) -> Self:
        """Return the same camera in a process of so many, with this limit of pixels."""
        made = self.model_copy()
        made._companions, made._max_frame_pixels = companions, max_frame_pixels
        return made

    @property
    def live(self) -> bool:
        """Whether the source goes on by itself: an end is then a loss.

        Over HTTP there are recordings as well, which only shows when they are opened.
        """
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
        return public(self._read_url)
