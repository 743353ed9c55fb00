"""Made certificates for servers and clients on this machine: one authority, another one, faults."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCAL_NAMES = "DNS:localhost,IP:127.0.0.1"
KEY_PASSPHRASE = "key-passphrase-Zq7"
"""Protects the key of ``locked_client``."""

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, PEM files."""

    crt: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with the key and the certificate, as Kafka reads it."""
        path = self.crt.with_suffix(".pem")
        if not path.exists():
            path.write_text(self.key.read_text() + self.crt.read_text())
        return path


@dataclass(frozen=True)
class Certificates:
    """What the secured servers and their clients use.

    Attributes:
        ca: The authority that clients trust.
        other_ca: One that has signed nothing.
        server: For ``localhost`` and 127.0.0.1.
        expired: The same, but its time is over.
        other_host: For another host name.
        client: For a client, by the same authority.
        locked_client: The same, its key encrypted with ``KEY_PASSPHRASE``.
        stranger: For a client, by the other authority.
    """

    ca: Certificate
    other_ca: Certificate
    server: Certificate
    expired: Certificate
    other_host: Certificate
    client: Certificate
    locked_client: Certificate
    stranger: Certificate


def make_certificates(folder: Path) -> Certificates:
    """Make them all with OpenSSL; takes about 0.3 s."""
    ca, other_ca = _authority(folder, "ca"), _authority(folder, "other-ca")
    client = _signed(folder, "client", ca, "DNS:client")
    return Certificates(
        ca=ca,
        other_ca=other_ca,
        server=_signed(folder, "server", ca, LOCAL_NAMES),
        expired=_signed(folder, "expired", ca, LOCAL_NAMES, days=-1),
        other_host=_signed(folder, "other-host", ca, "DNS:kafka.example.org"),
        client=client,
        locked_client=Certificate(client.crt, _locked(client.key, folder / "locked.key")),
        stranger=_signed(folder, "stranger", other_ca, "DNS:stranger"),
    )


def _authority(folder: Path, name: str) -> Certificate:
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    request = ["req", "-x509", *_KEY, "-noenc", "-days", "30", "-subj", f"/CN={name}"]
    request += ["-addext", "keyUsage=critical,keyCertSign"]
    _openssl([*request, "-keyout", str(made.key), "-out", str(made.crt)])
    return made


def _signed(
    folder: Path, name: str, authority: Certificate, alternative_names: str, days: int = 30
) -> Certificate:
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    request_path = folder / f"{name}.csr"
    request = ["req", *_KEY, "-noenc", "-subj", f"/CN={name}"]
    request += ["-addext", f"subjectAltName={alternative_names}"]
    _openssl([*request, "-keyout", str(made.key), "-out", str(request_path)])
    sign = ["x509", "-req", "-in", str(request_path), "-copy_extensions", "copy"]
    sign += ["-days", str(days), "-CA", str(authority.crt), "-CAkey", str(authority.key)]
    _openssl([*sign, "-out", str(made.crt)])
    return made


def _locked(key: Path, target: Path) -> Path:
    _openssl(
        ["pkcs8", "-topk8", "-in", str(key), "-out", str(target), "-passout", "env:PASSPHRASE"],
        {"PASSPHRASE": KEY_PASSPHRASE},
    )
    return target


def _openssl(arguments: Sequence[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        ["openssl", *arguments],
        env=os.environ | (environment or {}),
        check=True,
        capture_output=True,
        timeout=30,
    )
