"""Settings of those who read results: `seedstream results` and the client library."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contract.settings import DAY_SECONDS, CommandSettings
from servers.redis_connection import RedisConnection


class ResultsSettings(RedisConnection, CommandSettings):
    """How ``seedstream results`` and ``seedstream.results`` reach Redis."""

    model_config = SettingsConfigDict(env_prefix="RESULTS_")

    essential: ClassVar[tuple[str, ...]] = ("redis_url",)

    redis_timeout_seconds: float = Field(default=30.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Redis before giving up, in seconds; so long one that is away may
    take to come back."""
