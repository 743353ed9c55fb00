"""A real Redis with TLS and ACL users, as people run it (Debian's, since the wheel has no TLS).

``SecuredRedis.url`` is its TLS port; ``admin`` may do everything, and nobody else may do anything
that ``allow`` has not granted.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from stack.child_process import ChildProcess
from stack.launch import LOCALHOST, free_ports
from tests.certificates import Certificate, Certificates
from tests.fakes import wait_until

WORKER_RULES = (
    "~seedstream:*", "&seedstream:*", "+ping", "+eval", "+time", "+get", "+set", "+expire", "+xadd",
    "+xrange", "+xrevrange", "+hget", "+hset", "+hkeys", "+hdel", "+publish", "+zadd",
    "+zremrangebyscore",
)  # fmt: skip
"""The least that a worker needs."""

VIEWER_RULES = tuple(["%R~seedstream:*", "+zrange", "+xrange", "+xrevrange"])
"""The least that a viewer needs."""

READER_RULES = (
    *("%R~seedstream:*", "+zrange", "+xrange", "+xrevrange", "+xread", "+get", "+hgetall"),
)
"""The least that a reader of results needs."""

VIEW_RULES = (
    "%R~seedstream:*", "~seedstream:*:watch", "&seedstream:*", "+eval", "+get", "+set", "+pttl",
    "+getrange", "+zrange", "+time", "+xrevrange", "+hgetall", "+subscribe", "+unsubscribe",
    "+ping",
)  # fmt: skip
"""The least that the live page needs."""

CLUSTER_RULES = ("+cluster|slots", "+command")
"""What each needs besides where the Redis is a cluster."""

ADMIN = ("admin", "redis-admin-Pw3")


@dataclass
class SecuredRedis:
    """A running server.

    Attributes:
        process: The server.
        certificates: What signed the certificate that it shows.
        tls_port: Port with TLS.
        plain_port: Port without.
    """

    process: ChildProcess
    certificates: Certificates
    tls_port: int
    plain_port: int

    @property
    def url(self) -> str:
        """Its address with TLS, without credentials."""
        return f"rediss://localhost:{self.tls_port}/0?ssl_ca_certs={self.certificates.ca.crt}"

    def admin(self) -> "redis.Redis":
        """Return a client that may do everything; close it."""
        user, password = ADMIN
        return redis.Redis(port=self.plain_port, username=user, password=password)

    def allow(self, user: str, password: str, *rules: str) -> None:
        """Make a user with exactly these ACL rules, or change it to them."""
        with closing(self.admin()) as client:
            client.execute_command("ACL", "SETUSER", user, "reset", "on", f">{password}", *rules)

    def settings(self, user: str, password: str) -> dict[str, str]:
        """Return the settings, without their prefix, with which a process opens it as a user."""
        return {"redis_url": self.url, "redis_username": user, "redis_password": password}

    def environment(self, user: str, password: str) -> dict[str, str]:
        """Return the same as the worker's variables."""
        made = self.settings(user, password)
        return {f"WORKER_{name.upper()}": value for name, value in made.items()}


@contextmanager
def running_secured_redis(
    certificates: Certificates,
    folder: Path,
    shown: Certificate | None = None,
    *,
    demands_client_certificate: bool = False,
) -> Iterator[SecuredRedis]:
    """Start a server and wait until it answers.

    Args:
        certificates: The authority that it trusts, and the certificate that it shows.
        folder: Where its log goes.
        shown: Another certificate that it shows.
        demands_client_certificate: Whether it refuses clients without one.
    """
    program = shutil.which("redis-server")
    assert program is not None, "no redis-server: install Debian's package of that name"
    certificate = shown or certificates.server
    tls_port, plain_port = free_ports(2)
    options = {
        "bind": LOCALHOST,
        "port": str(plain_port),
        "tls-port": str(tls_port),
        "tls-cert-file": str(certificate.crt),
        "tls-key-file": str(certificate.key),
        "tls-ca-cert-file": str(certificates.ca.crt),
        "tls-auth-clients": "yes" if demands_client_certificate else "no",
        "save": "",
        "appendonly": "no",
        "maxmemory": "64mb",
        "maxmemory-policy": "noeviction",
        "dir": str(folder),
    }
    user, password = ADMIN
    # A file, as ACL users have a syntax of their own, and arguments are seen by everybody.
    settings = folder / f"redis-{tls_port}.conf"
    settings.write_text(
        "".join(f'{name} "{value}"\n' for name, value in options.items())
        + f"user default off\nuser {user} on >{password} ~* &* +@all\n"
    )
    process = ChildProcess.spawn(
        "Redis with TLS",
        [program, str(settings)],
        log_path=folder / f"redis-{tls_port}.log",
        address=f"localhost:{tls_port}",
    )
    with process:
        server = SecuredRedis(process, certificates, tls_port, plain_port)
        with closing(server.admin()) as client:
            wait_until(lambda: _answers(client))
        yield server


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False
