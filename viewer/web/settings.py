"""Settings of the live page (prefix ``VIEW_``)."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from contract.lane import DEFAULT_LANE, LaneName
from contract.settings import DAY_SECONDS, ProcessSettings
from contract.topics import FRAMES_TOPIC
from servers.kafka import KafkaConnection
from servers.redis_connection import RedisConnection

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class ViewSettings(RedisConnection, KafkaConnection, ProcessSettings):
    """How the live page is served, and who may look."""

    model_config = SettingsConfigDict(env_prefix="VIEW_")

    essential: ClassVar[tuple[str, ...]] = ("host", "port", "redis_url", "users_file", "time_zone")
    sections: ClassVar[Mapping[str, str]] = {
        "host": "Page",
        "users_file": "Access",
        "sources": "System page",
        "full_size": "Full-size stills",
    }

    host: str = "127.0.0.1"
    """Address on which the page is served. Others than this machine's own (loopback) need
    authentication: users_file, tokens_file or proxy_secret."""

    port: int = Field(default=8090, ge=0, le=65535)
    """Port of the page; 0 picks a free one and logs it."""

    root_path: str = ""
    """Path below which a proxy shows the page, for instance /seedstream."""

    host_names: str = ""
    """Without authentication: names, comma-separated, by which browsers reach the page besides
    those of this machine (as localhost); requests for others are refused."""

    time_zone: str = "UTC"
    """Time zone of the site, in which the page shows times, for instance Europe/Berlin."""

    lane: LaneName = DEFAULT_LANE
    """The lane whose results the page shows: named on the page unless it is `main`, and a label of
    metrics and logs."""

    groups_file: Path | None = None
    """YAML file of groups of cameras: a list of camera ids for each name; `*` and `?` stand for any
    characters."""

    users_file: Path | None = None
    """YAML file of users: for each name its `password` (as --hash-password prints it), `role`
    (viewer or editor) and `cameras`. Read again when it changes."""

    tokens_file: Path | None = None
    """YAML file of programs that come with a bearer token: for each name its `token` (as
    --new-token prints it), `role` and `cameras`. Read again when it changes."""

    session_secret: SecretStr | None = None
    """Signs the sessions of the login page, at least 32 characters; the same for all replicas.
    Default: a random one, so that sessions end with the process."""

    session_secret_file: Path | None = None
    """File that holds the session secret instead."""

    session_hours: float = Field(default=12.0, gt=0, le=720)
    """How long a session lasts after the page was last used, in hours; at most 30 days in all."""

    proxy_secret: SecretStr | None = None
    """What a proxy that authenticates users sends in the header X-Seedstream-Proxy-Secret, at least
    32 characters; it must remove that header, and that of the user, from what browsers send."""

    proxy_secret_file: Path | None = None
    """File that holds the proxy secret instead."""

    proxy_user_header: str = "X-Forwarded-User"
    """Header in which such a proxy names the user. With a users file they must be in it; without
    one they are viewers of every camera."""

    sources: str = ""
    """Producers and workers whose metrics the system page shows: HOST:PORT or URL of each,
    comma-separated."""

    prometheus_url: SecretStr | None = None
    """Prometheus that knows producers and workers instead, for instance http://prometheus:9090."""

    full_size: bool = False
    """Whether stills in full size are read from Kafka."""

    topic: str = Field(default=FRAMES_TOPIC, pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    """Kafka topic that holds the frames."""

    kafka_timeout_seconds: float = Field(default=5.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Kafka for a full-size still, in seconds."""

    redis_timeout_seconds: float = Field(default=2.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Redis until the page says that it is away, in seconds; the viewer
    goes on trying."""

    drain_seconds: float = Field(default=3.0, gt=0, le=DAY_SECONDS)
    """How long answers under way may take to finish after SIGTERM, in seconds; pages are told at
    once to connect again."""

    http_port: int = Field(default=8091, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it."""

    @field_validator("host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("empty: expected an address, for instance 127.0.0.1 or 0.0.0.0")
        return value.strip("[]")

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise ValueError("expected a path such as /seedstream")
        return path

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone: expected one as Europe/Berlin") from None
        return value

    @field_validator("proxy_user_header")
    @classmethod
    def _check_header(cls, value: str) -> str:
        if not _HEADER.fullmatch(value):
            raise ValueError("not the name of a header")
        return value

    @field_validator("prometheus_url")
    @classmethod
    def _check_prometheus(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("expected a URL such as http://prometheus:9090")
        return value

    @property
    def authenticates(self) -> bool:
        """Whether anybody must say who they are."""
        given = (self.users_file, self.tokens_file, self.proxy_secret, self.proxy_secret_file)
        return any(each is not None for each in given)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the page."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself, and no other reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
