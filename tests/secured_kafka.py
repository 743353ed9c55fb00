"""A real Kafka with TLS, SCRAM and ACLs, as people run it, and with each fault that they meet.

Listeners (``SecuredKafka.at[NAME]``, each ``localhost:PORT``):
``secure`` (SASL_SSL, SCRAM-SHA-512), ``mutual`` (SSL, a client certificate is demanded),
``expired`` and ``other_host`` (SASL_SSL with such a certificate), ``short`` (as ``secure``, but a
login counts for 3 s, so that a changed password is noticed). The plaintext listener
``broker.bootstrap_servers`` is for tests alone: whoever comes that way may do everything.
Nobody else may do anything that ``allow`` has not granted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from stack.broker import Broker, admin_client
from stack.kafka_server import Listener, start_kafka
from stack.launch import free_ports
from tests.certificates import Certificates

MECHANISM = "SCRAM-SHA-512"
PRODUCER_RIGHTS = ("WRITE TOPIC {topic}",)
"""The least that a producer needs; so for the other two."""

WORKER_RIGHTS = ("READ TOPIC {topic}", "READ GROUP {group}", "WRITE TOPIC {dead}")
VIEWER_RIGHTS = ("READ TOPIC {topic}",)

_ADMIN_SECONDS = 20.0
_SHORT_MS = 3_000


@dataclass
class SecuredKafka:
    """A running broker and its users.

    Attributes:
        broker: The process; its own address is the plaintext listener.
        certificates: What signs and is signed.
        at: Listener -> ``localhost:PORT``.
        passwords: User -> password, of the users made so far.
    """

    broker: Broker
    certificates: Certificates
    at: Mapping[str, str]
    passwords: dict[str, str] = field(default_factory=dict)

    def add_user(self, name: str, password: str) -> None:
        """Make a user, or change its password."""
        upsertion = UserScramCredentialUpsertion(name, MECHANISM, password)
        with admin_client(self.broker.address, _ADMIN_SECONDS) as client:
            (failed,) = client.alter_user_scram_credentials([upsertion]).values()
        assert failed is None, failed
        self.passwords[name] = password

    def remove_user(self, name: str) -> None:
        """Remove a user; connections that it has stay."""
        deletion = UserScramCredentialDeletion(name, MECHANISM)
        with admin_client(self.broker.address, _ADMIN_SECONDS) as client:
            (failed,) = client.alter_user_scram_credentials([deletion]).values()
        assert failed is None, failed

    def allow(self, user: str, *rights: str) -> None:
        """Grant rights: ``"WRITE TOPIC frames"``, ``"READ GROUP workers"``."""
        with admin_client(self.broker.address, _ADMIN_SECONDS) as client:
            done = client.create_acls([_acl(user, right) for right in rights])
        assert not done["failed"], done

    def disallow(self, user: str, *rights: str) -> None:
        """Take rights away."""
        filters = [_filter(user, right) for right in rights]
        with admin_client(self.broker.address, _ADMIN_SECONDS) as client:
            client.delete_acls(filters)

    def settings(self, user: str, listener: str = "secure") -> dict[str, str]:
        """Return the settings, without their prefix, with which a process opens it as a user.

        Args:
            user: A user made before.
            listener: Where it connects.
        """
        return {
            "bootstrap_servers": self.at[listener],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": MECHANISM,
            "sasl_username": user,
            "sasl_password": self.passwords[user],
            "ssl_cafile": str(self.certificates.ca.crt),
        }

    def environment(self, prefix: str, user: str, listener: str = "secure") -> dict[str, str]:
        """Return the same as variables with a prefix, such as ``WORKER_``."""
        made = self.settings(user, listener)
        return {f"{prefix}{name.upper()}": value for name, value in made.items()}


@contextmanager
def running_secured_kafka(
    certificates: Certificates, folder: Path | None = None
) -> Iterator[SecuredKafka]:
    """Start the broker; takes about 6 s.

    Args:
        certificates: What it shows, and whose authority it trusts.
        folder: Where its data and log go; None makes a temporary one.
    """
    shown = {
        "secure": certificates.server,
        "short": certificates.server,
        "mutual": certificates.server,
        "expired": certificates.expired,
        "other_host": certificates.other_host,
    }
    ports = dict(zip(shown, free_ports(len(shown)), strict=True))
    listeners = [
        Listener(
            name.upper(),
            "localhost",
            ports[name],
            "SSL" if name == "mutual" else "SASL_SSL",
            {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(certificate.both),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(certificates.ca.crt),
                "ssl.client.auth": "required" if name == "mutual" else "none",
                "sasl.enabled.mechanisms": MECHANISM,
                f"{MECHANISM.lower()}.connections.max.reauth.ms": str(
                    _SHORT_MS * (name == "short")
                ),
                f"{MECHANISM.lower()}.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
            },
        )
        for name, certificate in shown.items()
    ]
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        # Refused at once: Kafka's own default of 1 s would only make the tests longer.
        "connection.failed.authentication.delay.ms": "100",
    }
    with start_kafka(folder=folder, listeners=listeners, properties=properties) as broker:
        yield SecuredKafka(
            broker, certificates, {name: f"localhost:{port}" for name, port in ports.items()}
        )


def _acl(user: str, right: str) -> ACL:
    operation, kind, name = right.split(" ")
    return ACL(
        f"User:{user}",
        "*",
        ACLOperation[operation],
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType[kind], name),
    )


def _filter(user: str, right: str) -> ACLFilter:
    operation, kind, name = right.split(" ")
    return ACLFilter(
        f"User:{user}",
        "*",
        ACLOperation[operation],
        ACLPermissionType.ALLOW,
        ResourcePatternFilter(ResourceType[kind], name, ACLResourcePatternType.LITERAL),
    )
