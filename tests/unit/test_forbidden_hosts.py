"""No camera leads to link-local addresses, where clouds keep credentials, unless allowed."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from producer import forbidden_hosts
from producer.camera_list import load_cameras, one_camera
from producer.cameras import Camera
from producer.settings import ProducerSettings
from producer.sources import SourceError, open_source
from tests.fakes import jpeg

LOOKED_UP = socket.getaddrinfo


def camera(url: str, *, allowed: bool = False) -> Camera:
    settings = ProducerSettings(allow_link_local_cameras=allowed)
    return load_cameras(settings, [f"a={url}"], {})[0]


@contextmanager
def web_server(status: int, location: str = "") -> Iterator[tuple[str, list[str]]]:
    """Answer every request with a redirect or a picture; give the URL and what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b"" if location else jpeg()
            self.send_response(status)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/picture", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Host name -> its address at each question; the last one stays."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, *arguments: Any, **named: Any) -> Any:
        if host in known:
            answers = known[host]
            host = answers.pop(0) if len(answers) > 1 else answers[0]
        return LOOKED_UP(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("169.254.169.254", True),
        ("169.254.0.1", True),
        ("fe80::1", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::", True),
        ("127.0.0.1", False),
        ("10.0.0.7", False),
        ("fd00::7", False),
        ("64:ff9b::a00:7", False),
        ("gate.local", False),
    ],
)
def test_link_local_addresses_and_metadata_services_are_known(
    address: str, forbidden: bool
) -> None:
    assert forbidden_hosts.is_forbidden(address) is forbidden


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://169.254.43518/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "https://metadata.test/",
        "rtsp://169.254.169.254:80/",
        "rtmp://metadata.test/",
    ],
)
def test_a_camera_that_leads_there_is_refused_before_it_is_asked(
    url: str, names: dict[str, list[str]]
) -> None:
    names["metadata.test"] = ["169.254.169.254"]
    with pytest.raises(SourceError, match="PRODUCER_ALLOW_LINK_LOCAL_CAMERAS"):
        open_source(camera(url), lambda: None)


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "http://metadata.test/token"])
def test_a_redirect_that_leads_there_is_refused(location: str, names: dict[str, list[str]]) -> None:
    names["metadata.test"] = ["169.254.169.254"]
    with web_server(302, location) as (url, asked):
        with pytest.raises(SourceError, match=r"it leads to 169\.254\.169\.254"):
            open_source(camera(url), lambda: None)
        assert asked == ["/picture"]


def test_a_name_that_changes_after_it_was_checked_is_not_asked(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forbidden_hosts, "is_forbidden", "127.0.0.1".__eq__)
    with web_server(200) as (url, asked):
        # Checked before opening, and before connecting; then the third look-up, to connect.
        names["rebound.test"] = ["127.0.0.2", "127.0.0.2", "127.0.0.1"]
        with pytest.raises(SourceError, match=r"it leads to 127\.0\.0\.1"):
            open_source(camera(url.replace("127.0.0.1", "rebound.test")), lambda: None)
        assert asked == []


def test_where_it_is_allowed_such_a_camera_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forbidden_hosts, "is_forbidden", "127.0.0.1".__eq__)
    with web_server(200) as (url, asked):
        open_source(camera(url, allowed=True), lambda: None).close()
        assert asked == ["/picture"]
        with pytest.raises(SourceError):
            open_source(camera(url), lambda: None)
        assert asked == ["/picture"]


@pytest.mark.parametrize(
    "load",
    [
        lambda variables: one_camera("http://h/", environment=variables),
        lambda variables: one_camera("http://h/", None, ["fps=1"], variables),
    ],
)
def test_a_camera_that_is_probed_follows_the_producers_setting(
    load: Callable[[dict[str, str]], Camera],
) -> None:
    assert not load({}).link_local
    assert load({"PRODUCER_ALLOW_LINK_LOCAL_CAMERAS": "true"}).link_local
