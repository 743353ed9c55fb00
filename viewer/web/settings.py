"""Settings of the live page (prefix ``VIEW_``)."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contract.settings import ProcessSettings
from servers.redis import RedisConnection


class ViewSettings(RedisConnection, ProcessSettings):
    """How the live page is served."""

    model_config = SettingsConfigDict(env_prefix="VIEW_")

    essential: ClassVar[tuple[str, ...]] = ("host", "port", "redis_url")
    sections: ClassVar[Mapping[str, str]] = {"host": "Page"}

    host: str = "127.0.0.1"
    """Address on which the page is served; one that is not this machine's own needs
    authentication."""

    port: int = Field(default=8090, ge=0, le=65535)
    """Port of the page; 0 picks a free one and logs it."""

    root_path: str = ""
    """Path below which a proxy shows the page, for instance /seedstream."""

    redis_timeout_seconds: float = Field(default=2.0, gt=0)
    """How long to try to reach Redis until the page says that it is away, in seconds; the viewer
    goes on trying."""

    http_port: int = Field(default=8091, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 picks a free one and logs it."""
