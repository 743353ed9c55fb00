"""Cameras over the network: real servers that stream, die, hang, stay silent or are not there."""

import base64
import http.server
import logging
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from prometheus_client import CollectorRegistry

from contract.frame import Frame
from producer.camera_list import load_cameras
from producer.metrics import ProducerMetrics
from producer.outbox import Outbox
from producer.pacing import backoff_seconds
from producer.runner import CameraRunner
from producer.scene import Scene
from producer.settings import ProducerSettings
from producer.sources import open_source
from producer.watchdog import Watchdog
from stack.launch import free_ports
from tests.integration import rtsp_server

PASSWORD = "p@ss/w:rd"
WAIT_SECONDS = 90.0


class Cameras:
    """Real sources, runners and watchdog; frames are collected instead of published."""

    def __init__(self, *options: str, **values: object) -> None:
        limits = {
            "open_timeout_seconds": 6.0,
            "first_frame_timeout_seconds": 6.0,
            "stall_timeout_seconds": 2.0,
        }
        self.frames: dict[str, list[Frame]] = {}
        self.ages: dict[str, list[float]] = {}
        self.registry = CollectorRegistry()
        metrics = ProducerMetrics(self.registry)
        self.outbox = Outbox(lambda frame, reason: metrics.drop(frame.camera, reason))
        stop = threading.Event()
        runners = [
            CameraRunner(
                camera.model_copy(update=limits | values),
                self.outbox,
                metrics,
                time.monotonic,
                stop,
                backoff=lambda failures: backoff_seconds(failures, 0.1, 0.5, random.random()),
            )
            for camera in load_cameras(ProducerSettings(), options, {"PASSWORD": PASSWORD})
        ]
        self.watchdog = Watchdog(runners, metrics, time.monotonic, stop)
        self.watchdog.start()

    def until(self, condition: Callable[[], bool], timeout_seconds: float = WAIT_SECONDS) -> float:
        """Watch the cameras until ``condition`` holds; return how long it took, in seconds."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout_seconds, "waited in vain"
            self.watchdog.tick()
            frame = self.outbox.take(0.02)
            if frame is not None:
                self.frames.setdefault(frame.camera, []).append(frame)
                age = time.time() - frame.captured_at.timestamp()
                self.ages.setdefault(frame.camera, []).append(age)
        return time.monotonic() - began

    def count(self, camera: str) -> int:
        return len(self.frames.get(camera, []))

    def sessions(self, camera: str) -> list[str]:
        return list(dict.fromkeys(frame.session for frame in self.frames.get(camera, [])))

    def value(self, name: str, camera: str) -> float:
        return self.registry.get_sample_value(f"seedstream_{name}", {"camera": camera}) or 0.0

    def close(self) -> None:
        self.outbox.close()
        self.watchdog.stop(1.0)


@pytest.fixture
def cameras() -> Iterator[Callable[..., Cameras]]:
    opened: list[Cameras] = []

    def start(*options: str, **values: object) -> Cameras:
        opened.append(Cameras(*options, **values))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


StartCameras = Callable[..., Cameras]


@pytest.fixture(scope="module")
def _gstreamer() -> None:
    reason = rtsp_server.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield listener.getsockname()[1]


def image_of(frame: Frame) -> np.ndarray:
    return np.asarray(simplejpeg.decode_jpeg(frame.data))


@pytest.mark.usefixtures("_gstreamer")
def test_an_rtsp_camera_that_dies_and_comes_back_goes_on_in_a_new_session(
    cameras: StartCameras,
    tmp_path: Path,
) -> None:
    port = free_ports(1)[0]
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port):
        # A camera begins with a burst; none of it may be dropped: the numbers are checked below.
        watched = cameras(f"gate=rtsp://127.0.0.1:{port}/stream", buffer_frames=100)
        watched.until(lambda: watched.count("gate") >= 10)
        assert watched.value("camera_up", "gate") == 1
    watched.until(lambda: watched.value("camera_up", "gate") == 0)
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port):
        watched.until(lambda: len(watched.sessions("gate")) > 1)
        before = watched.count("gate")
        watched.until(lambda: watched.count("gate") >= before + 4)
    first, *_, last = watched.sessions("gate")
    assert first < last
    sequences = [frame.sequence for frame in watched.frames["gate"] if frame.session == last]
    assert sequences == list(range(len(sequences)))
    assert image_of(watched.frames["gate"][0]).shape == (240, 320, 3)
    assert watched.value("camera_reconnects_total", "gate") >= 1


@pytest.mark.usefixtures("_gstreamer")
def test_an_rtsp_camera_that_freezes_is_noticed_within_its_limit_and_comes_back(
    cameras: StartCameras,
    tmp_path: Path,
) -> None:
    port = free_ports(1)[0]
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port) as server:
        watched = cameras(f"gate=rtsp://127.0.0.1:{port}/stream")
        watched.until(lambda: watched.count("gate") >= 5)
        server.signal(signal.SIGSTOP)
        try:
            took = watched.until(lambda: watched.value("camera_up", "gate") == 0)
        finally:
            server.signal(signal.SIGCONT)
        # The limit is 2 s; the watchdog adds one, and what was buffered plays first.
        assert 1.5 < took < 15
        watched.until(lambda: len(watched.sessions("gate")) == 2)


@pytest.mark.usefixtures("_gstreamer")
def test_frames_that_wait_for_a_stalled_reader_are_as_old_as_they_are(
    cameras: StartCameras, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port):
        url = f"gate=rtsp://127.0.0.1:{port}/stream"
        watched = cameras(url, when_full="wait", buffer_frames=1, stall_timeout_seconds=10.0)
        watched.until(lambda: watched.count("gate") >= 30)
        assert max(watched.ages["gate"][-10:]) < 0.5
        threading.Event().wait(3.0)  # nobody takes a frame: they pile up before the decoder
        watched.until(lambda: watched.count("gate") >= 90 and max(watched.ages["gate"][-10:]) < 0.5)
    late = watched.ages["gate"][30:]
    # 15 frames a second: in those 3 s some 30 of them waited for more than one.
    assert sum(age > 1.0 for age in late) > 15
    assert max(late[-10:]) < 0.5
    times = [frame.captured_at for frame in watched.frames["gate"]]
    assert times == sorted(times)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times[20:])]
    assert max(gaps) < 0.5, "the stall leaves no hole"


@pytest.mark.usefixtures("_gstreamer")
def test_a_password_with_special_characters_works_and_no_log_tells_it(
    cameras: StartCameras, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    port = free_ports(1)[0]
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port, "admin", PASSWORD):
        watched = cameras(
            f"good=rtsp://admin:${{PASSWORD}}@127.0.0.1:{port}/stream",
            f"bad=rtsp://admin:hunter2@127.0.0.1:{port}/stream",
        )
        watched.until(
            lambda: (
                watched.count("good") >= 3 and watched.value("camera_reconnects_total", "bad") >= 2
            )
        )
    assert "401 Unauthorized" in caplog.text
    assert f"rtsp://127.0.0.1:{port}: " in caplog.text
    for secret in ("hunter2", PASSWORD, "p%40ss", "w%3Ard"):
        assert secret not in caplog.text


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_accepts_and_stays_silent_is_given_up_while_others_go_on(
    scheme: str, silent_port: int, cameras: StartCameras
) -> None:
    watched = cameras(
        f"mute={scheme}://127.0.0.1:{silent_port}/stream",
        "fine=test:?size=64x64&fps=20",
        open_timeout_seconds=1.0,
    )
    took = watched.until(lambda: watched.value("camera_reconnects_total", "mute") >= 2)
    assert took < 2 * (1.0 + 1.0 + 0.5) + 15
    assert watched.count("fine") > 10 * took
    assert watched.count("mute") == 0
    assert watched.watchdog.untried == []


def test_an_unreachable_camera_does_not_stop_the_others(cameras: StartCameras) -> None:
    port = free_ports(1)[0]
    watched = cameras(f"away=rtsp://127.0.0.1:{port}/stream", "fine=test:?size=64x64&fps=20")
    watched.until(lambda: watched.value("camera_reconnects_total", "away") >= 3)
    watched.until(lambda: watched.count("fine") >= 10)
    assert watched.value("camera_up", "away") == 0
    assert watched.value("camera_up", "fine") == 1


class _Mjpeg(http.server.BaseHTTPRequestHandler):
    """Multipart JPEG as cameras send it, behind a password, ending after 20 frames."""

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        scene = Scene(width=128, height=96, fps=20)
        for number in range(20):
            jpeg = simplejpeg.encode_jpeg(scene.render(number)[0])
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_http_camera_streams_and_its_end_begins_a_new_session(cameras: StartCameras) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mjpeg) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://admin:${{PASSWORD}}@127.0.0.1:{server.server_port}/video.mjpg"
            watched = cameras(f"door={url}")
            watched.until(lambda: len(watched.sessions("door")) >= 2)
            camera = load_cameras(ProducerSettings(), [f"door={url}"], {"PASSWORD": PASSWORD})[0]
            source = open_source(camera, lambda: None)
            stamps = {picture.stamp_seconds for picture in islice(source.pictures(), 3)}
            source.close()
        finally:
            server.shutdown()
    assert stamps == {None}, "FFmpeg would make them up, of a frame rate that it assumes"
    sent = Scene(width=128, height=96, fps=20).render(3)[0].astype(int)
    frame = next(frame for frame in watched.frames["door"] if frame.sequence == 3)
    assert np.abs(image_of(frame) - sent).mean() < 8


def test_a_udp_stream_is_read(cameras: StartCameras) -> None:
    port = free_ports(1)[0]
    watched = cameras(f"udp=udp://127.0.0.1:{port}")
    over = threading.Event()
    sender = threading.Thread(target=_send_udp, args=(port, over))
    sender.start()
    try:
        watched.until(lambda: watched.count("udp") >= 5)
    finally:
        over.set()
        sender.join()
    assert image_of(watched.frames["udp"][0]).shape == (96, 128, 3)


def _send_udp(port: int, over: threading.Event) -> None:
    scene = Scene(width=128, height=96, fps=20)
    url = f"udp://127.0.0.1:{port}?pkt_size=1316"
    with av.open(url, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 128, 96, "yuv420p", 5
        number = 0
        while not over.wait(0.04):
            picture = av.VideoFrame.from_ndarray(scene.render(number)[0], format="rgb24")
            container.mux(stream.encode(picture))
            number += 1


def test_ffmpeg_itself_prints_nothing_about_a_camera() -> None:
    """FFmpeg's own log goes past Python's: look at the process's real standard error."""
    port = free_ports(1)[0]
    program = (
        "from tests.integration.test_rtsp_cameras import Cameras\n"
        f"watched = Cameras('a=rtsp://admin:hunter2@127.0.0.1:{port}/s',"
        f" 'b=http://admin:hunter2@127.0.0.1:{port}/v?password=hunter2')\n"
        "again = lambda c: watched.value('camera_reconnects_total', c) >= 2\n"
        "watched.until(lambda: again('a') and again('b'))\n"
        "watched.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "hunter2" not in done.stdout + done.stderr
    assert "failure 1, trying again" in done.stderr
