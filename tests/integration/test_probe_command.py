"""``seedstream probe``: what a camera gives, before it is put in the list."""

import contextlib
import http.server
import json
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import simplejpeg

from contract.errors import UnavailableError
from contract.process import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_OK
from producer import camera_probe
from producer.camera_list import one_camera
from producer.camera_pictures import SourceError
from producer.camera_probe import probe
from producer.probe_report import CameraReport
from producer.scene import Scene
from stack.launch import free_ports
from tests import video_files
from tests.fork_server import run_seedstream
from tests.integration import rtsp_server
from tests.integration.scripted_rtsp import Handler, close, dribble, hang, rtsp, served
from tests.scenes import write_video

SCENE = Scene(width=128, height=96, fps=12, seed=1)
PASSWORD = "p@ss/w:rd"
PICTURE = simplejpeg.encode_jpeg(SCENE.render(0)[0])


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_seedstream("probe", *arguments, env=environment)


def report(url: Path | str, *fields: str, seconds: float = 1.0) -> CameraReport:
    return probe(one_camera(str(url), None, fields), seconds)[0]


def write_streams(path: Path) -> Path:
    """Write a file of a small picture, and a large one of wide pixels and a key frame every 6."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("mpeg4", rate=12) for _ in range(2)]
        for stream, size in zip(streams, ((64, 48), (128, 96)), strict=True):
            stream.width, stream.height = size
            stream.pix_fmt, stream.gop_size = "yuv420p", 6
        streams[1].sample_aspect_ratio = Fraction(16, 11)
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(SCENE.render(number)[0], format="rgb24")
            for stream in streams:
                small = frame.reformat(width=stream.width, height=stream.height)
                container.mux(stream.encode(small))
        for stream in streams:
            container.mux(stream.encode())
    return path


def test_a_file_is_told_with_the_stream_that_is_used_its_rate_and_its_shape(tmp_path: Path) -> None:
    seen = report(write_streams(tmp_path / "a.mkv"), seconds=10)
    assert seen.nature == "recording"
    assert [(s.type, s.codec, s.width, s.used, s.note) for s in seen.streams] == [
        ("video", "mpeg4", 64, False, "smaller"),
        ("video", "mpeg4", 128, True, "the largest"),
    ]
    assert (seen.picture.width, seen.picture.height) == (128, 96)
    assert seen.picture.pixel_aspect == "16:11"
    assert (seen.picture.published_width, seen.picture.published_height) == (186, 96)
    assert seen.picture.color_range == "limited (assumed)"
    assert (seen.rate.frames, seen.rate.key_frame_interval) == (24, 6)
    assert seen.rate.nominal_fps == pytest.approx(12)
    assert seen.rate.measured_fps == pytest.approx(12, rel=0.01)


def test_a_phones_video_is_told_as_it_is_shown_and_its_cover_is_not_used(tmp_path: Path) -> None:
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # clockwise
    pictures = [video_files.quarters()] * 3
    path = video_files.write_video(tmp_path / "a.mp4", pictures, matrix=turned, covers=1)
    seen = report(path)
    notes = sorted((s.used, s.note) for s in seen.streams)
    assert notes == [(False, "a cover picture"), (True, "the only video stream")]
    assert (seen.picture.width, seen.picture.height, seen.picture.quarter_turns) == (96, 64, 1)
    assert (seen.picture.published_width, seen.picture.published_height) == (64, 96)


def test_the_settings_that_are_tried_are_those_of_the_list(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", SCENE, 5)
    seen = report(path, "rotate=90", "crop=0,16,64,80")
    assert seen.picture.quarter_turns == 1
    assert report(path, "aspect=16:9").picture.pixel_aspect == "4:3"
    assert (seen.picture.published_width, seen.picture.published_height) == (64, 80)
    config = tmp_path / "cameras.yaml"
    config.write_text(f"defaults: {{rotate: 180}}\ncameras: [{{id: gate, url: {path}}}]\n")
    assert probe(one_camera("gate", config), 1)[0].picture.quarter_turns == 2
    assert probe(one_camera("gate", config, ["rotate=270"]), 1)[0].picture.quarter_turns == 3


def test_the_picture_is_the_one_that_would_be_published(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", SCENE, 5)
    picture = tmp_path / "a.jpg"
    done = run(str(path), "--picture", str(picture), "--set", "max_side=64", "--json")
    assert done.returncode == EXIT_OK, done.stderr
    assert json.loads(done.stdout)["picture"]["published_bytes"] == picture.stat().st_size
    assert simplejpeg.decode_jpeg(picture.read_bytes()).shape == (48, 64, 3)


class _Snapshot(http.server.BaseHTTPRequestHandler):
    """The same picture for ever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_snapshot_is_told_as_one() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Snapshot) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/snap.jpg"
        seen = report(url, "poll_seconds=0.2", seconds=0.5)
        server.shutdown()
    assert (seen.nature, seen.container, seen.rate.frames) == ("snapshot", None, 1)
    assert seen.rate.nominal_fps is None
    assert seen.rate.measured_fps is None
    assert any("did not change" in remark for remark in seen.remarks)


class _Pictures(_Snapshot):
    """JPEG pictures, ten a second."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE)
                self.wfile.write(b"\r\n")
                time.sleep(0.1)


def test_a_stream_of_pictures_announces_no_rate_that_it_could_fall_short_of() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pictures) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        done = run(f"http://127.0.0.1:{server.server_port}/video", "--seconds=0.5")
        server.shutdown()
    assert done.returncode == EXIT_OK, done.stderr
    assert "kind        live stream" in done.stdout
    assert "rate        nominal none, measured " in done.stdout
    assert "key frames  every frame" in done.stdout
    assert "remark" not in done.stdout


def test_a_camera_that_keeps_no_limit_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hang_on(*_: object) -> None:
        ended.wait(60)
        raise SourceError("over")

    monkeypatch.setattr(camera_probe, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(camera_probe, "open_source", hang_on)
    limits = [f"{phase}_timeout_seconds=0.2" for phase in ("open", "first_frame", "stall")]
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"rtsp://h: no answer within 0\.8 s"):
        report("rtsp://u:hunter2@h/hunter2", *limits, seconds=0.2)
    assert time.monotonic() - began < 30
    ended.set()


def test_suggestions_fit_what_was_seen(tmp_path: Path) -> None:
    large = Scene(width=1920, height=1080, fps=30, seed=1)
    seen = report(write_video(tmp_path / "a.mp4", large, 5))
    assert seen.suggested == {"max_side": 1280, "fps": 10}
    assert report(write_video(tmp_path / "b.mp4", SCENE, 5)).suggested == {}


def test_the_scene_is_told_as_one_and_read_no_longer_than_asked() -> None:
    seen = report("test:?size=64x64&fps=10", seconds=1)
    assert (seen.nature, seen.rate.frames, seen.streams) == ("scene", 11, ())


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (close, "it closes the connection instead of answering OPTIONS"),
        (dribble, "its answer to OPTIONS does not end in time"),
        (rtsp({"DESCRIBE": hang}), "does not answer DESCRIBE"),
        (rtsp({}), "it was silent for too long"),
    ],
)
def test_a_camera_that_does_not_open_gives_its_true_reason_in_time(
    handle: Handler, expected: str
) -> None:
    server: AbstractContextManager[int] = served(handle)
    with server as port:
        done = run(
            f"rtsp://admin:hunter2@127.0.0.1:{port}/TOKEN",
            "--set=open_timeout_seconds=1",
            "--set=first_frame_timeout_seconds=1",
            "--set=stall_timeout_seconds=1",
        )
    assert done.returncode == EXIT_FAILED
    assert done.stderr.startswith(f"seedstream: rtsp://127.0.0.1:{port}: ")
    assert expected in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "TOKEN" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rtsp://admin:1/hunter2@h/"], "percent-encoded"),
        (["test:", "--set", "turbo=hunter2"], "turbo: Extra inputs are not permitted"),
        (["test:", "--set", "options.hwaccel=hunter2"], "options: hwaccel: no demuxer"),
        (["test:", "--set", "hunter2"], "--set: expected FIELD=VALUE"),
        (["rtsp://u:hunter2@h/", "--set", "user=me"], "stand in the URL as well"),
        (["rtsp://u:${UNSET}@h/hunter2"], "the variable UNSET is not set"),
        (["gate", "--config", "none.yaml"], "none.yaml: cannot read the camera list"),
        (["test:?size=64x64", "--picture", "/nowhere/a.jpg"], "--picture /nowhere/a.jpg: No such"),
    ],
)
def test_what_cannot_be_tried_is_a_clear_fault_that_tells_no_secret(
    arguments: list[str], expected: str
) -> None:
    done = run(*arguments, "--seconds=0.1")
    assert done.returncode == EXIT_CONFIGURATION
    assert expected in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_live_camera_is_told_as_one_and_its_password_is_not(tmp_path: Path) -> None:
    reason = rtsp_server.missing()
    if reason:
        pytest.skip(reason)
    port = free_ports(1)[0]
    with rtsp_server.rtsp_server(tmp_path / "rtsp.log", port, "admin", PASSWORD):
        url, secret = f"rtsp://127.0.0.1:{port}/stream", "--set=password=${CAMERA_PASSWORD}"
        done = run(url, "--set=user=admin", secret, "--json", CAMERA_PASSWORD=PASSWORD)
        text = run(url, "--set=user=admin", secret, "--seconds=1", CAMERA_PASSWORD=PASSWORD)
    assert done.returncode == EXIT_OK, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["address"], seen["nature"]) == (f"rtsp://127.0.0.1:{port}", "live")
    assert [(s["codec"], s["used"]) for s in seen["streams"]] == [("h264", True)]
    assert (seen["picture"]["width"], seen["picture"]["height"]) == (320, 240)
    assert seen["rate"]["measured_fps"] == pytest.approx(15, rel=0.1)
    assert seen["rate"]["key_frame_interval"] == 15
    for line in ("kind        live stream", "streams     0 video h264", "rate        nominal"):
        assert line in text.stdout
    for told in (done, text):
        for secret in (PASSWORD, "p%40ss"):
            assert secret not in told.stdout + told.stderr
