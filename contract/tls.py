"""Kafka clients and brokers: the TLS context of their connections.

Made here and not by kafka-python, which takes a file that it cannot use for a broker that is away.
"""

import ssl
from pathlib import Path

from contract.errors import ConfigurationError


def tls_context(
    *,
    cafile: Path | None,
    certfile: Path | None,
    keyfile: Path | None,
    password: str | None,
    check_hostname: bool,
    prefix: str,
) -> ssl.SSLContext:
    """Return a client's TLS context, TLS 1.2 or later.

    Args:
        cafile: PEM file of the authorities that sign the brokers; None takes the system's.
        certfile: PEM file of the client's certificate, for mutual TLS.
        keyfile: PEM file of its key.
        password: Password of the key.
        check_hostname: Whether a broker's certificate must name its host.
        prefix: Prefix of the environment variables that faults name, for instance ``WORKER_``.

    Raises:
        ConfigurationError: With every file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname
    faults = []
    try:
        if cafile is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile)
    except OSError as error:
        faults.append(_unusable(f"{prefix}SSL_CAFILE", cafile, error))
    try:
        if certfile is not None:
            # A password in any case: without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certfile, keyfile, password or "")
    except OSError as error:
        faults.append(
            _unusable(f"{prefix}SSL_CERTFILE", certfile, error)
            + f" ({prefix}SSL_KEYFILE is {keyfile}; is {prefix}SSL_PASSWORD right?)"
        )
    if faults:
        raise ConfigurationError(faults)
    return context


def _unusable(variable: str, path: object, error: OSError) -> str:
    return f"{variable} is {path}: {error.strerror or error}; expected a readable PEM file"
