"""How every client of ours is told where Redis is.

Library: redis-py.
"""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

import redis
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from redis import exceptions

from contract.result_keys import DEFAULT_PREFIX, ResultKeys, ResultPrefix
from contract.settings import DAY_SECONDS
from servers import host_names

ERRORS = (
    exceptions.RedisError,
    # These three are no RedisError: a cluster that is away, or lacks a slot, raises the first.
    exceptions.RedisClusterException,
    exceptions.ChildDeadlockedError,
    exceptions.IncorrectPolicyType,
)
"""All that the library raises."""

_SCHEMES = ("redis", "rediss", "unix")


class RedisConnection(BaseModel):
    """Connection settings; a settings class inherits them under its own prefix."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, validate_default=True)

    sections: ClassVar[Mapping[str, str]] = {"redis_url": "Redis"}

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis that stores the results: redis://, rediss:// (TLS) or unix://; may hold a password."""

    redis_username: str | None = None
    """Redis (ACL) user name; one in redis_url takes precedence."""

    redis_password: SecretStr | None = None
    """Redis password, verbatim; one in redis_url (percent-encoded) takes precedence."""

    redis_cluster: bool = False
    """Whether redis_url points to a node of a Redis Cluster."""

    redis_timeout_seconds: float = Field(default=30.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Redis, in seconds."""

    result_prefix: ResultPrefix = DEFAULT_PREFIX
    """Begins the results' keys; each group has its own."""

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr) -> SecretStr:
        try:
            url = urlsplit(value.get_secret_value())
            _ = url.port  # parsed on demand: raises unless it is a number in 1..65535
        except ValueError:
            raise ValueError("not a URL: expected redis://HOST:PORT/DATABASE") from None
        if url.scheme not in _SCHEMES or not (url.hostname or url.path):
            raise ValueError(
                f"its scheme is {url.scheme!r}: expected redis://HOST:PORT/DATABASE, rediss:// "
                "or unix://"
            )
        if "@" in f"{url.path}{url.query}{url.fragment}":
            raise ValueError(
                "there is a '@' after the host: percent-encode '/', '?', '#' and '@' in user and "
                "password, or give them apart"
            )
        if url.hostname and not host_names.can_be_looked_up(url.hostname):
            raise ValueError(
                f"its host is no host name: {host_names.WHY}; expected redis://HOST:PORT/DATABASE"
            )
        try:
            # Opens nothing, and refuses what the first command would.
            redis.ConnectionPool.from_url(value.get_secret_value()).make_connection()
        except (ValueError, TypeError, *ERRORS):
            raise ValueError(  # redis-py's own message may repeat a secret
                "part of it is unknown or invalid: expected redis://HOST:PORT/DATABASE and, after "
                "'?', only options of redis-py, for instance db=0 or socket_timeout=5"
            ) from None
        return value

    @field_validator("redis_cluster")
    @classmethod
    def _check_cluster(cls, value: bool, info: ValidationInfo) -> bool:
        if value and "redis_url" in info.data:
            url = urlsplit(info.data["redis_url"].get_secret_value())
            if url.scheme == "unix" or url.path.strip("/") not in ("", "0"):
                raise ValueError(
                    "a Redis Cluster has no database but 0 and is not reached through a socket "
                    "file: expected redis_url as redis://HOST:PORT or rediss://"
                )
        return value

    @property
    def result_keys(self) -> ResultKeys:
        """The keys and channels of the results."""
        return ResultKeys(self.result_prefix)

    @property
    def redis_where(self) -> str:
        """The server's address without credentials, for messages."""
        parts = urlsplit(self.redis_url.get_secret_value())
        return parts.netloc.rpartition("@")[2] or parts.path
