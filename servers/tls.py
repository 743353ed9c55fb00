"""TLS to a server: our context, and what a failed handshake says that a person must mend."""

import contextlib
import socket
import ssl
from pathlib import Path

from contract.errors import ConfigurationError
from servers.refusals import About, Refusal, causes
from servers.tls_renewal import RenewedContext

_HOST_NAME = (62, 63, 64)
"""OpenSSL: the certificate is for another host name, mail address or IP address."""

_TIME = (9, 10)
"""OpenSSL: not yet valid, expired."""

_CLIENT_CERTIFICATE_MISSING = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE")
_PROTOCOL = (
    "HTTP_REQUEST",
    "INSUFFICIENT_SECURITY",
    "NO_PROTOCOLS_AVAILABLE",
    "PROTOCOL_VERSION",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_SSL_VERSION",
    "WRONG_VERSION_NUMBER",
)


def tls_context(
    *,
    cafile: Path | None,
    certfile: Path | None,
    keyfile: Path | None,
    password: str | None,
    check_hostname: bool,
    prefix: str,
) -> ssl.SSLContext:
    """Return a client's TLS context, TLS 1.2 or later, which follows its files when they change.

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

    def read() -> ssl.SSLContext:
        return _read(cafile, certfile, keyfile, password, check_hostname, prefix)

    files = [path for path in (cafile, certfile, keyfile) if path is not None]
    return RenewedContext(read, files) if files else read()


def _read(
    cafile: Path | None,
    certfile: Path | None,
    keyfile: Path | None,
    password: str | None,
    check_hostname: bool,
    prefix: str,
) -> ssl.SSLContext:
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


def tls_refusal(error: BaseException) -> Refusal | None:
    """Return what a person must mend, None if the failure says nothing of the kind.

    A connection that just ends may belong to a server that restarts, so it is no refusal.

    Args:
        error: What a client raised; what it was raised from counts too.
    """
    for each in causes(error):
        if isinstance(each, ssl.SSLError) and (found := _refusal(each)) is not None:
            return found
    return None


def _refusal(error: ssl.SSLError) -> Refusal | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message
        if error.verify_code in _HOST_NAME:
            return Refusal(About.HOST_NAME, f"the server's certificate is for another one: {said}")
        if error.verify_code in _TIME:
            return Refusal(About.CERTIFICATE, f"the server's is not valid now: {said}")
        return Refusal(
            About.CA, f"the server's certificate is not signed by one that we trust: {said}"
        )
    reason = error.reason or ""
    words = reason.lower().replace("_", " ")
    if any(word in reason for word in _PROTOCOL):
        return Refusal(About.PROTOCOL, f"the server does not speak TLS as we do: {words}")
    if "_ALERT_" not in reason or "INTERNAL_ERROR" in reason or "CLOSE_NOTIFY" in reason:
        return None
    if reason.endswith(_CLIENT_CERTIFICATE_MISSING):
        return Refusal(About.CLIENT_CERTIFICATE, f"the server demands one that it trusts: {words}")
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "ACCESS_DENIED" in reason:
        return Refusal(About.CLIENT_CERTIFICATE, f"the server does not accept ours: {words}")
    return Refusal(About.PROTOCOL, f"the server ended the TLS handshake: {words}")


def unverified_context() -> ssl.SSLContext:
    """Return a context that takes any certificate: to see what answers, never to send a secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def answers_tls(address: tuple[str, int], timeout_seconds: float) -> bool:
    """Return whether a server answers a TLS handshake, whatever its certificate.

    Args:
        address: Host and port.
        timeout_seconds: How long each step may take.
    """
    with (
        contextlib.suppress(OSError, UnicodeError),
        socket.create_connection(address, timeout_seconds) as plain,
    ):
        try:
            with unverified_context().wrap_socket(plain, server_hostname=address[0]):
                return True
        except ssl.SSLError as error:
            return "_ALERT_" in (error.reason or "")
    return False


def _unusable(variable: str, path: object, error: OSError) -> str:
    return f"{variable} is {path}: {error.strerror or error}; expected a readable PEM file"
