"""The TLS context of the connection to Kafka."""

import ssl

from contract.errors import ConfigurationError
from contract.kafka import KafkaConnection


def tls_context(settings: KafkaConnection) -> ssl.SSLContext | None:
    """Return the TLS context of the connection; None for a protocol without TLS.

    Made here and not by kafka-python, which takes a file that it cannot use for a broker that is
    away.

    Raises:
        ConfigurationError: With every file that cannot be used.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.ssl_check_hostname
    faults = []
    try:
        if settings.ssl_cafile is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(settings.ssl_cafile)
    except OSError as error:
        faults.append(_unusable("PRODUCER_SSL_CAFILE", settings.ssl_cafile, error))
    secret = settings.ssl_password
    # A password in any case: without one OpenSSL would ask for it on the terminal.
    password = "" if secret is None else secret.get_secret_value()
    try:
        if settings.ssl_certfile is not None:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
    except OSError as error:
        faults.append(
            _unusable("PRODUCER_SSL_CERTFILE", settings.ssl_certfile, error)
            + f" (PRODUCER_SSL_KEYFILE is {settings.ssl_keyfile}; is PRODUCER_SSL_PASSWORD right?)"
        )
    if faults:
        raise ConfigurationError(faults)
    return context


def _unusable(variable: str, path: object, error: OSError) -> str:
    return f"{variable} is {path}: {error.strerror or error}; expected a readable PEM file"
