"""Why a camera does not open: the reason is the true one, and tells no secret."""

import re
import time
from contextlib import closing

import pytest

from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.settings import ProducerSettings
from producer.sources import SourceError, open_source
from stack.launch import free_ports
from tests.integration.scripted_rtsp import (
    Handler,
    close,
    dribble,
    hang,
    reset,
    rtsp,
    say,
    served,
)

LIMIT_SECONDS = 1.0


def camera(url: str, **values: object) -> Camera:
    limits = {"open_timeout_seconds": LIMIT_SECONDS, "stall_timeout_seconds": 1.0}
    return load_cameras(ProducerSettings(), [f"a={url}"], {})[0].model_copy(update=limits | values)


def why(camera: Camera) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(camera, lambda: None)
    return str(caught.value)


def unauthorized(*challenges: bytes) -> Handler:
    lines = b"".join(b"WWW-Authenticate: %s\r\n" % challenge for challenge in challenges)
    return rtsp({"DESCRIBE": b"401 Unauthorized\r\n" + lines})


MD5 = b'Digest realm="cam", nonce="abc"'
SHA = b'Digest realm="cam", nonce="abc", algorithm=SHA-256'


SILENT = r"it fell silent, or its answer did not end within (0\.[5-9]|[1-9]\d*\.\d) s"
"""The limit is 0.5 s; a busy machine waits longer, and the reason says how long."""


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (hang, "it accepts the connection and does not answer OPTIONS"),
        (close, "it closes the connection instead of answering OPTIONS"),
        (reset, "it closes the connection instead of answering OPTIONS"),
        (dribble, "its answer to OPTIONS does not end in time"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it does not speak RTSP but HTTP"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "it does not speak RTSP but something else"),
        (rtsp({"OPTIONS": b"503 Service Unavailable"}), "it answers OPTIONS with 503 Service Un"),
        (rtsp({"DESCRIBE": hang}), "it accepts the connection and does not answer DESCRIBE"),
        (rtsp({"DESCRIBE": close}), "it closes the connection instead of answering DESCRIBE"),
        (rtsp({"DESCRIBE": dribble}), "its answer to DESCRIBE does not end in time"),
        (rtsp({"DESCRIBE": b"453 Not Enough Bandwidth"}), "453 Not Enough Bandwidth"),
        (rtsp({"DESCRIBE": b"404 Not Found"}), "404 Not Found"),
        (rtsp({"SETUP": hang}), SILENT),
        (rtsp({"SETUP": close}), "it answers, then closes the connection while the stream is set"),
        (rtsp({"SETUP": b"461 Unsupported Transport"}), "over tcp: try transport: udp"),
        (rtsp({"PLAY": hang}), SILENT),
        (rtsp({"PLAY": close}), "it answers, then closes the connection while the stream is set"),
        (unauthorized(MD5), "401 Unauthorized .*it refuses the user name or the password"),
        (unauthorized(SHA), "asks for digest authentication with SHA-256, FFmpeg knows MD5 alone"),
        (unauthorized(MD5, SHA), "asks for digest authentication with SHA-256"),
        (unauthorized(SHA, MD5), "it refuses the user name or the password"),
    ],
)
def test_an_rtsp_camera_that_does_not_open_is_told_apart(handle: Handler, expected: str) -> None:
    with served(handle) as port:
        began = time.monotonic()
        reason = why(camera(f"rtsp://admin:hunter2@127.0.0.1:{port}/TOKEN?key=TOKEN"))
        took = time.monotonic() - began
    assert re.search(expected, reason)
    assert "Invalid data" not in reason
    assert "hunter2" not in reason
    assert "TOKEN" not in reason
    assert took < LIMIT_SECONDS + 10


def test_a_camera_that_is_gone_is_told_so() -> None:
    port = free_ports(1)[0]
    for scheme in ("rtsp", "RTSP", "rtmp", "HTTP"):
        url = f"{scheme}://127.0.0.1:{port}/"
        assert why(camera(url)) == "cannot open: Connection refused"


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("credentials", "expected"),
    [("", "it asks for a user name and password"), ("u:hunter2@", "it refuses the user name or")],
)
def test_a_camera_that_wants_another_password_is_told_so(
    scheme: str, credentials: str, expected: str
) -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + MD5 + b"\r\n\r\n"
    with served(unauthorized(MD5) if scheme == "rtsp" else say(answer)) as port:
        reason = why(camera(f"{scheme}://{credentials}127.0.0.1:{port}/s"))
    assert "401 Unauthorized" in reason
    assert expected in reason
    assert "hunter2" not in reason


@pytest.mark.parametrize("scheme", ["http", "rtmp"])
@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (hang, r"it was silent for too long|it sent nothing, or too little, for 0\.\d s"),
        (dribble, r"it was silent for too long|it sent nothing, or too little, for 0\.\d s"),
        (close, "it closed the connection without an answer|Connection reset by peer"),
    ],
)
def test_a_camera_over_http_or_rtmp_that_does_not_answer_is_told_so(
    scheme: str, handle: Handler, expected: str
) -> None:
    with served(handle) as port:
        assert re.search(expected, why(camera(f"{scheme}://127.0.0.1:{port}/app/KEY")))


def test_a_page_instead_of_a_video_is_told_so() -> None:
    page = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html></html>"
    with served(say(page)) as port:
        assert "it sends no video that FFmpeg can read" in why(camera(f"http://127.0.0.1:{port}/"))


def test_a_host_that_no_resolver_knows_is_told_so() -> None:
    assert "is the host's name right?" in why(camera("rtsp://no-such-camera.invalid/s"))


def test_a_camera_that_falls_silent_after_the_start_is_lost_for_silence() -> None:
    with served(rtsp({})) as port:
        source = open_source(camera(f"rtsp://127.0.0.1:{port}/s"), lambda: None)
        with closing(source), pytest.raises(SourceError, match="it was silent for too long"):
            list(source.pictures())
