"""Certificates that are renewed while a process runs, over real TLS on this machine."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from servers.tls import tls_context
from tests.certificates import Certificate, Certificates, make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def seen_by(made: Certificates) -> Iterator[Callable[[Certificate, ssl.SSLContext], str]]:
    """Connect to a server of any authority's clients, which says whose certificate it was shown."""

    def connect(server: Certificate, context: ssl.SSLContext) -> str:
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(server.crt, server.key)
        ours.verify_mode = ssl.CERT_REQUIRED
        for authority in (made.ca, made.other_ca):
            ours.load_verify_locations(authority.crt)
        shown: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(5)

            def answer() -> None:
                plain, _ = listening.accept()
                plain.settimeout(5)
                try:
                    with ours.wrap_socket(plain, server_side=True) as wrapped:
                        subject = wrapped.getpeercert()["subject"]
                        shown.append(dict(pair for (pair,) in subject)["commonName"])
                        wrapped.sendall(b"!")
                except OSError:
                    plain.close()

            thread = threading.Thread(target=answer)
            thread.start()
            try:
                with (
                    socket.create_connection(listening.getsockname(), 5) as plain,
                    context.wrap_socket(plain, server_hostname="localhost") as wrapped,
                ):
                    assert wrapped.recv(1) == b"!"
            finally:
                thread.join(10)
        return shown[0]

    return connect


class Mount:
    """A mounted Secret: files behind a link that the kubelet turns to another folder at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = 0

    def write(
        self, authority: Certificate, crt: Certificate, key: Certificate | None = None
    ) -> None:
        self.versions += 1
        version = self.folder / f"..{self.versions}"
        version.mkdir(parents=True)
        (version / "ca.crt").write_bytes(authority.crt.read_bytes())
        (version / "tls.crt").write_bytes(crt.crt.read_bytes())
        (version / "tls.key").write_bytes((key or crt).key.read_bytes())
        (self.folder / "new").symlink_to(version.name)
        (self.folder / "new").replace(self.folder / "data")

    def context(self) -> ssl.SSLContext:
        data = self.folder / "data"
        return tls_context(
            cafile=data / "ca.crt", certfile=data / "tls.crt", keyfile=data / "tls.key",
            password=None, check_hostname=True, prefix="WORKER_",
        )  # fmt: skip


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "mount")


Connect = Callable[[Certificate, ssl.SSLContext], str]


def test_the_next_connection_shows_the_renewed_certificate(
    made: Certificates, seen_by: Connect, mount: Mount
) -> None:
    mount.write(made.ca, made.client)
    context = mount.context()
    assert seen_by(made.server, context) == "client"
    mount.write(made.ca, made.stranger)
    assert seen_by(made.server, context) == "stranger"


def test_an_authority_that_was_replaced_is_trusted_no_more(
    made: Certificates, seen_by: Connect, mount: Mount
) -> None:
    mount.write(made.other_ca, made.client)
    context = mount.context()
    with pytest.raises(ssl.SSLCertVerificationError):
        seen_by(made.server, context)
    mount.write(made.ca, made.client)
    assert seen_by(made.server, context) == "client"
    mount.write(made.other_ca, made.client)
    with pytest.raises(ssl.SSLCertVerificationError):
        seen_by(made.server, context)


@pytest.mark.parametrize("fault", ["key of another", "empty", "away"])
def test_what_cannot_be_used_is_warned_of_once_and_the_old_is_kept(
    fault: str,
    made: Certificates,
    seen_by: Connect,
    mount: Mount,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mount.write(made.ca, made.client)
    context = mount.context()
    if fault == "key of another":
        mount.write(made.ca, made.stranger, made.client)
    elif fault == "empty":
        (mount.folder / "data" / "tls.crt").write_text("")
    else:
        (mount.folder / "data" / "tls.crt").unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert seen_by(made.server, context) == "client"
    (warning,) = caplog.records
    assert "the old ones are still used: WORKER_SSL_CERTFILE is" in warning.message
    mount.write(made.ca, made.stranger)
    assert seen_by(made.server, context) == "stranger"


def test_files_that_cannot_be_used_from_the_start_are_refused(
    made: Certificates, mount: Mount
) -> None:
    mount.write(made.ca, made.client, made.stranger)
    with pytest.raises(ConfigurationError, match="WORKER_SSL_CERTFILE is"):
        mount.context()


def test_unchanged_files_are_not_read_again(
    made: Certificates, seen_by: Connect, mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    mount.write(made.ca, made.client)
    context = mount.context()
    with caplog.at_level(logging.INFO):
        seen_by(made.server, context)
    assert not caplog.records
