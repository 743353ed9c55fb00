"""What is behind an HTTP address: recordings, playlists, snapshots and streams of JPEG pictures."""

import base64
import hashlib
import io
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote
from urllib.request import parse_http_list, parse_keqv_list

import av
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from contract.frame import Frame
from producer.http_client import may_know
from producer.motion_gate import MotionSettings
from producer.scene import Scene
from tests.http_cameras import Handler, http_cameras, send, serve_file, stream
from tests.integration.test_rtsp_cameras import Cameras, StartCameras, cameras  # noqa: F401
from tests.scenes import write_video

SCENE = Scene(width=128, height=96, fps=12, seed=1)
JPEGS = [simplejpeg.encode_jpeg(SCENE.render(number)[0]) for number in range(20)]


def shows(frame: Frame, number: int) -> bool:
    seen = np.asarray(simplejpeg.decode_jpeg(frame.data)).astype(int)
    return bool(np.abs(seen - SCENE.render(number)[0]).mean() < 10)


def finished(watched: Cameras) -> Callable[[], bool]:
    return lambda: watched.watchdog.finished and watched.outbox.empty


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", SCENE, 24).read_bytes()


def test_a_recording_over_http_is_played_once_to_its_end_at_its_pace(
    recording: bytes,
    cameras: StartCameras,  # noqa: F811
) -> None:
    with http_cameras({"/a.mp4": serve_file(recording, "video/mp4")}) as server:
        watched = cameras(f"gate={server.url('/a.mp4')}")
        took = watched.until(finished(watched))
    assert [frame.sequence for frame in watched.frames["gate"]] == list(range(24))
    assert len(watched.sessions("gate")) == 1
    assert 23 / 12 - 0.2 < took < 20
    assert all(shows(watched.frames["gate"][number], number) for number in (0, 12, 23))
    assert watched.watchdog.failed == []


def test_a_recording_over_http_is_thinned_by_its_own_time_and_repeats_if_it_shall(
    recording: bytes,
    cameras: StartCameras,  # noqa: F811
) -> None:
    with http_cameras({"/a.mp4": serve_file(recording, "video/mp4")}) as server:
        watched = cameras(f"gate={server.url('/a.mp4')}", fps=4, loop=True, pace="fast")
        watched.until(lambda: len(watched.sessions("gate")) >= 2)
    first = watched.sessions("gate")[0]
    numbers = [frame.sequence for frame in watched.frames["gate"] if frame.session == first]
    assert 8 <= len(numbers) <= 9
    assert numbers[-1] > 18


@pytest.mark.parametrize("whole", [True, False])
def test_a_recording_of_which_the_server_tells_no_size_ends_when_it_hangs_up(
    whole: bool,
    tmp_path: Path,
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        for number in range(48):
            image = av.VideoFrame.from_ndarray(SCENE.render(number)[0], format="rgb24")
            container.mux(video.encode(image))
        container.mux(video.encode())
    recording = (tmp_path / "a.mp4").read_bytes()

    def answer(handler: Handler) -> None:
        stream(handler, "video/mp4")
        handler.wfile.write(recording if whole else recording[: len(recording) * 2 // 3])

    with http_cameras({"/a.mp4": answer}) as server:
        watched = cameras(f"gate={server.url('/a.mp4')}", pace="fast")
        watched.until(finished(watched))
    if whole:
        assert watched.watchdog.failed == []
        assert watched.count("gate") == 48, "also those that the decoder holds back"
        assert len(watched.sessions("gate")) == 1
    else:
        assert watched.watchdog.failed == ["gate"]
        assert "it ended too early: 48 frames expected" in caplog.text


def test_a_playlist_with_an_end_ends(tmp_path: Path, cameras: StartCameras) -> None:  # noqa: F811
    options = {"hls_time": "1", "hls_playlist_type": "vod", "hls_list_size": "0"}
    with av.open(str(tmp_path / "a.m3u8"), "w", format="hls", options=options) as container:
        video = container.add_stream("mpeg2video", rate=12)
        video.width, video.height, video.pix_fmt, video.gop_size = 128, 96, "yuv420p", 6
        for number in range(24):
            image = av.VideoFrame.from_ndarray(SCENE.render(number)[0], format="rgb24")
            container.mux(video.encode(image))
        container.mux(video.encode())
    answers = {
        f"/{path.name}": serve_file(
            path.read_bytes(),
            "application/vnd.apple.mpegurl" if path.suffix == ".m3u8" else "video/mp2t",
        )
        for path in tmp_path.iterdir()
    }
    assert len(answers) >= 3, "a playlist and several segments"
    with http_cameras(answers) as server:
        watched = cameras(f"gate={server.url('/a.m3u8')}", pace="fast")
        watched.until(finished(watched))
    assert watched.count("gate") == 24
    assert len(watched.sessions("gate")) == 1


def test_a_playlist_without_an_end_is_live(tmp_path: Path, cameras: StartCameras) -> None:  # noqa: F811
    segment = write_video(tmp_path / "a.ts", SCENE, 24, codec="mpeg2video").read_bytes()

    def playlist(handler: Handler) -> None:
        number = int(time.monotonic() - began)
        lines = [f"#EXTINF:2,\n{each}.ts\n" for each in range(number, number + 3)]
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{number}\n"
        send(handler, (text + "".join(lines)).encode(), "application/vnd.apple.mpegurl")

    began = time.monotonic()
    answers = {f"/{number}.ts": serve_file(segment, "video/mp2t") for number in range(60)}
    with http_cameras({"/a.m3u8": playlist, **answers}) as server:
        watched = cameras(f"gate={server.url('/a.m3u8')}", stall_timeout_seconds=8.0)
        watched.until(lambda: watched.count("gate") > 24)
        assert not watched.watchdog.finished


def test_a_live_stream_of_fragments_is_not_taken_for_a_recording(
    cameras: StartCameras,  # noqa: F811
) -> None:
    fragments = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(fragments, "w", format="mp4", options=options) as container:
        video = container.add_stream("mpeg4", rate=12)
        video.width, video.height, video.pix_fmt, video.gop_size = 128, 96, "yuv420p", 6
        for number in range(48):
            image = av.VideoFrame.from_ndarray(SCENE.render(number)[0], format="rgb24")
            container.mux(video.encode(image))
        container.mux(video.encode())

    def live(handler: Handler) -> None:
        stream(handler, "video/mp4")
        handler.wfile.write(fragments.getvalue())

    with http_cameras({"/live.mp4": live}) as server:
        watched = cameras(f"gate={server.url('/live.mp4')}")
        watched.until(lambda: len(watched.sessions("gate")) >= 2)
    assert not watched.watchdog.finished, "its end is a loss, after which it is opened again"


def test_a_server_that_answers_players_alone_is_left_to_ffmpeg(
    recording: bytes,
    cameras: StartCameras,  # noqa: F811
) -> None:
    def answer(handler: Handler) -> None:
        if handler.headers["User-Agent"].startswith("Lavf"):
            serve_file(recording, "video/mp4")(handler)
        else:
            send(handler, b"who are you?", "text/plain", 403)

    with http_cameras({"/a.mp4": answer}) as server:
        watched = cameras(f"gate={server.url('/a.mp4')}", pace="fast")
        watched.until(finished(watched))
    assert watched.count("gate") == 24


def multipart(
    jpegs: list[bytes],
    *,
    boundary: str = "boundary=frame",
    first: bool = True,
    dashes: str = "--",
    type: bool = True,
    length: bool = True,
    pause: float = 0.02,
) -> Callable[[Handler], None]:
    """Return what sends pictures as one kind of camera does."""

    def answer(handler: Handler) -> None:
        stream(handler, f"multipart/x-mixed-replace; {boundary}")
        for number, jpeg in enumerate(jpegs):
            head = [f"{dashes}frame"] if number or first else []
            head += ["Content-Type: image/jpeg"] if type else []
            head += [f"Content-Length: {len(jpeg)}"] if length else []
            handler.wfile.write("\r\n".join([*head, "", ""]).encode() + jpeg + b"\r\n")
            time.sleep(pause)

    return answer


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"first": False},
        {"dashes": ""},
        {"boundary": "boundary=--frame"},
        {"boundary": 'boundary="frame"'},
        {"boundary": "x=y"},
        {"type": False},
        {"length": False},
        {"type": False, "length": False, "first": False, "dashes": ""},
    ],
    ids=str,
)
def test_every_kind_of_multipart_stream_that_cameras_send_is_read(
    variant: dict[str, object],
    cameras: StartCameras,  # noqa: F811
) -> None:
    with http_cameras({"/v": multipart(JPEGS[:5], **variant)}) as server:  # type: ignore[arg-type]
        watched = cameras(f"door={server.url('/v')}")
        watched.until(lambda: watched.count("door") >= 5)
    assert all(shows(frame, frame.sequence) for frame in watched.frames["door"][:5])


def test_pictures_of_a_stream_are_published_byte_by_byte_unless_they_are_to_be_scaled(
    cameras: StartCameras,  # noqa: F811
) -> None:
    with http_cameras({"/v": multipart(JPEGS[:5])}) as server:
        watched = cameras(f"door={server.url('/v')}")
        scaled = cameras(f"small={server.url('/v')}", max_side=64)
        watched.until(lambda: watched.count("door") >= 5)
        scaled.until(lambda: scaled.count("small") >= 5)
    assert [frame.data for frame in watched.frames["door"][:5]] == JPEGS[:5]
    assert {(frame.width, frame.height) for frame in watched.frames["door"]} == {(128, 96)}
    assert {(frame.width, frame.height) for frame in scaled.frames["small"]} == {(64, 48)}


def test_a_broken_picture_is_decoded_and_encoded_again_so_that_workers_can_read_it(
    cameras: StartCameras,  # noqa: F811
) -> None:
    broken = JPEGS[1][: len(JPEGS[1]) * 2 // 3].rstrip(b"\xff") + JPEGS[1][-2:]
    with pytest.raises(ValueError, match="premature"):
        simplejpeg.decode_jpeg(broken)
    with http_cameras({"/v": multipart([JPEGS[0], broken, JPEGS[2]])}) as server:
        watched = cameras(f"door={server.url('/v')}")
        watched.until(lambda: watched.count("door") >= 3)
    assert all(simplejpeg.decode_jpeg(frame.data).any() for frame in watched.frames["door"])


def test_pictures_come_without_waiting_for_the_next_one(cameras: StartCameras) -> None:  # noqa: F811
    sent: list[float] = []

    def answer(handler: Handler) -> None:
        stream(handler, "multipart/x-mixed-replace; boundary=frame")
        sent.append(time.time())
        handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + JPEGS[0])
        server.over.wait(20)

    with http_cameras({"/v": answer}) as server:
        watched = cameras(f"door={server.url('/v')}", stall_timeout_seconds=10.0)
        watched.until(lambda: watched.count("door") == 1)
        assert time.time() - sent[0] < 10, "half the time until the connection ends"


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("length", [True, False])
def test_pictures_that_are_cut_are_counted_said_once_and_dropped_as_the_camera_says(
    drop: bool,
    length: bool,
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    halves = [jpeg[: len(jpeg) // 2] if n % 2 else jpeg for n, jpeg in enumerate(JPEGS)]
    with http_cameras({"/v": multipart(halves, length=length)}) as server:
        watched = cameras(f"door={server.url('/v')}", drop_corrupt=drop, buffer_frames=100)
        watched.until(lambda: len(watched.sessions("door")) >= 2)
    first = watched.sessions("door")[0]
    numbers = [frame.sequence for frame in watched.frames["door"] if frame.session == first]
    assert numbers == list(range(0, 20, 2)) if drop else list(range(20))
    labels = {"camera": "door", "reason": "cut"}
    damaged = watched.registry.get_sample_value("seedstream_frames_damaged_total", labels)
    dropped = watched.registry.get_sample_value(
        "seedstream_frames_dropped_total", {"camera": "door", "reason": "damaged"}
    )
    assert damaged is not None
    assert damaged >= 10
    assert dropped == (damaged if drop else 0)
    assert 1 <= caplog.text.count("is damaged (its data ends too early)") <= 2, "once a session"


def test_a_recording_with_a_cut_tail_fails_with_what_is_missing(
    tmp_path: Path,
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("a.avi", "b.mkv"):
        path = write_video(tmp_path / name, SCENE, 72, codec="mjpeg")
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    watched = cameras(f"a={tmp_path / 'a.avi'}", f"b={tmp_path / 'b.mkv'}", pace="fast")
    watched.until(finished(watched))
    assert sorted(watched.watchdog.failed) == ["a", "b"]
    for name in ("a", "b"):
        assert 40 <= watched.count(name) <= 44
        assert len(watched.sessions(name)) == 1, "reading it again gives no more"
        told = f"it ended too early: 72 frames expected, {watched.count(name)} read"
        also = f"it ended too early: 72 frames expected, {watched.count(name) + 1} read"
        assert told in caplog.text or also in caplog.text, "the last one may be cut, and dropped"


def test_a_recording_with_gaps_has_not_ended_too_early(
    tmp_path: Path,
    cameras: StartCameras,  # noqa: F811
) -> None:
    path = tmp_path / "gaps.avi"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 128, 96, "yuvj420p"
        video.codec_context.time_base = Fraction(1, 10)
        for number in (0, 1, 2, 10, 19):
            image = av.VideoFrame.from_ndarray(SCENE.render(number)[0], format="rgb24")
            image.pts, image.time_base = number, Fraction(1, 10)
            container.mux(video.encode(image))
        container.mux(video.encode())
    watched = cameras(f"a={path}", pace="fast")
    watched.until(finished(watched))
    assert watched.watchdog.failed == [], "its header counts 20 frames, of which 15 are repeated"
    assert watched.count("a") == 5


class Snapshots:
    """A camera's snapshot: which pictures it shows, and how it answers."""

    def __init__(self, *, etag: bool = False, kind: str = "image/jpeg") -> None:
        self.number = 0
        self.status = 200
        self.etag = etag
        self.kind = kind
        self.times: list[float] = []
        self.statuses: list[int] = []

    def __call__(self, handler: Handler) -> None:
        self.times.append(time.monotonic())
        tag = f'"{self.number}"'
        status = self.status
        if status == 200 and self.etag and handler.headers.get("If-None-Match") == tag:
            status = 304
        self.statuses.append(status)
        if status == 304:
            handler.send_response(304)
            handler.end_headers()
        elif status == 200:
            send(handler, JPEGS[self.number], self.kind, **({"ETag": tag} if self.etag else {}))
        else:
            send(handler, b"busy", "text/plain", status)


def test_a_snapshot_is_polled_at_steady_times_in_one_session_over_one_connection(
    cameras: StartCameras,  # noqa: F811
) -> None:
    snapshots = Snapshots()

    def answer(handler: Handler) -> None:
        snapshots(handler)
        snapshots.number += 1

    with http_cameras({"/snap.jpg": answer}) as server:
        watched = cameras(f"door={server.url('/snap.jpg')}", poll_seconds=0.2)
        watched.until(lambda: watched.count("door") >= 10)
        assert server.connections == 1
    assert len(watched.sessions("door")) == 1
    assert [frame.sequence for frame in watched.frames["door"][:10]] == list(range(10))
    assert all(shows(frame, frame.sequence) for frame in watched.frames["door"][:10])
    gaps = [later - earlier for earlier, later in pairwise(snapshots.times[:10])]
    assert 0.15 < sorted(gaps)[len(gaps) // 2] < 0.3
    assert snapshots.times[9] - snapshots.times[0] == pytest.approx(9 * 0.2, abs=0.3)


def test_a_picture_that_has_not_changed_is_published_as_often_as_its_motion_gate_owes(
    cameras: StartCameras,  # noqa: F811
) -> None:
    snapshots = Snapshots(etag=True)
    with http_cameras({"/snap": snapshots}) as server:
        watched = cameras(
            f"door={server.url('/snap')}",
            poll_seconds=0.1,
            motion=MotionSettings(keep_alive_seconds=0.5),
        )
        watched.until(lambda: watched.count("door") >= 5)
    assert len(watched.sessions("door")) == 1
    moments = [frame.captured_at.timestamp() for frame in watched.frames["door"]]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.49
    assert sorted(gaps)[len(gaps) // 2] < 0.75
    assert all(shows(frame, 0) for frame in watched.frames["door"])
    assert snapshots.statuses.count(200) == 1


def test_noise_that_stops_does_not_delay_what_a_motion_gate_owes(
    cameras: StartCameras,  # noqa: F811
) -> None:
    still = SCENE.render(0)[0]
    noisy = [simplejpeg.encode_jpeg(still, quality=quality) for quality in range(86, 90)]
    asked: list[float] = []

    def answer(handler: Handler) -> None:
        asked.append(time.monotonic())
        send(handler, (noisy + [JPEGS[0]] * 200)[len(asked) - 1], "image/jpeg")

    with http_cameras({"/snap": answer}) as server:
        watched = cameras(
            f"door={server.url('/snap')}",
            poll_seconds=0.2,
            motion=MotionSettings(keep_alive_seconds=1.0, hold_seconds=0),
        )
        watched.until(lambda: watched.count("door") >= 3)
    moments = [frame.captured_at.timestamp() for frame in watched.frames["door"]]
    # The last noisy picture is 0.6 s old; counted from there the next would come 1.6 s later.
    assert 0.99 <= moments[1] - moments[0] < 1.45
    assert watched.value("frames_captured_total", "door") >= 10, "the gate has seen each of them"


@pytest.mark.parametrize("etag", [True, False])
def test_a_picture_that_has_not_changed_is_not_published_again(
    etag: bool,
    cameras: StartCameras,  # noqa: F811
) -> None:
    snapshots = Snapshots(etag=etag)
    with http_cameras({"/snap": snapshots}) as server:
        watched = cameras(
            f"door={server.url('/snap')}", poll_seconds=0.1, stall_timeout_seconds=0.5
        )
        watched.until(lambda: len(snapshots.times) >= 20)
        assert watched.count("door") == 1
        assert watched.value("camera_up", "door") == 1, "a picture may stay for as long as it likes"
        snapshots.number = 7
        watched.until(lambda: watched.count("door") == 2)
    assert shows(watched.frames["door"][1], 7)
    assert len(watched.sessions("door")) == 1
    assert (304 in snapshots.statuses) == etag


def test_a_snapshot_that_was_read_half_written_is_asked_for_until_it_is_whole(
    cameras: StartCameras,  # noqa: F811
) -> None:
    asked: list[str | None] = []

    def answer(handler: Handler) -> None:
        asked.append(handler.headers.get("If-Modified-Since"))
        if asked[-1] is not None:
            handler.send_response(304)
            handler.end_headers()
            return
        jpeg = JPEGS[3] if len(asked) > 3 else JPEGS[3][: len(JPEGS[3]) // 2]
        send(handler, jpeg, "image/jpeg", Last_Modified="Sat, 28 Nov 2026 10:00:00 GMT")

    with http_cameras({"/snap": answer}) as server:
        watched = cameras(f"door={server.url('/snap')}", poll_seconds=0.1)
        watched.until(lambda: watched.count("door") == 1 and len(asked) > 6)
    assert shows(watched.frames["door"][0], 3)
    assert all(asked[5:]), "and for a whole one only if it changes"


def test_a_snapshot_without_type_and_length_is_one_where_the_camera_says_so(
    cameras: StartCameras,  # noqa: F811
) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + JPEGS[len(server.requests) % 20])
        handler.close_connection = True

    with http_cameras({"/snap": answer}) as server:
        watched = cameras(f"door={server.url('/snap')}", poll_seconds=0.1)
        watched.until(lambda: watched.count("door") >= 3)
    assert len(watched.sessions("door")) == 1


def test_a_snapshot_that_never_ends_is_named_and_not_read_to_the_largest_picture(
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = 0

    def answer(handler: Handler) -> None:
        nonlocal sent
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
        while not server.over.is_set():
            sent += handler.wfile.write(JPEGS[0])

    with http_cameras({"/snap": answer}) as server:
        watched = cameras(f"door={server.url('/snap')}", poll_seconds=0.1)
        watched.until(lambda: watched.value("decode_errors_total", "door") >= 2)
    assert "more than 16 JPEG pictures" in caplog.text
    assert sent < 3 * 16_000_000


def test_failed_snapshots_are_counted_and_asked_for_ever_later_in_the_same_session(
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    snapshots = Snapshots()
    with http_cameras({"/snap": snapshots}) as server:
        watched = cameras(
            f"door={server.url('/snap')}", poll_seconds=0.1, stall_timeout_seconds=60.0
        )
        watched.until(lambda: watched.count("door") == 1)
        snapshots.status = 503
        watched.until(lambda: watched.value("decode_errors_total", "door") >= 4)
        snapshots.status, snapshots.number = 200, 5
        watched.until(lambda: watched.count("door") == 2)
    failed = [
        when
        for when, status in zip(snapshots.times, snapshots.statuses, strict=True)
        if status != 200
    ]
    gaps = [later - earlier for earlier, later in pairwise(failed)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 4 * 0.1
    assert len(watched.sessions("door")) == 1
    assert caplog.text.count("snapshot: the server answers 503 Service Unavailable") == 1


def test_a_snapshot_that_fails_for_too_long_is_a_lost_camera(
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    snapshots = Snapshots()
    with http_cameras({"/snap": snapshots}) as server:
        watched = cameras(
            f"door={server.url('/snap')}", poll_seconds=0.1, stall_timeout_seconds=0.5
        )
        watched.until(lambda: watched.count("door") == 1)
        snapshots.status = 404
        watched.until(lambda: watched.value("camera_up", "door") == 0)
        assert "no picture for 0.5 s: the server answers 404 Not Found" in caplog.text
        snapshots.status = 200
        watched.until(lambda: len(watched.sessions("door")) == 2)


def digest_response(fields: dict[str, str], password: str) -> str:
    """Return what RFC 7616 expects of a GET with these fields."""

    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    who = hashed(f"{fields['username']}:{fields['realm']}:{password}")
    what = hashed(f"GET:{fields['uri']}")
    return hashed(
        f"{who}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}:{what}"
    )


@pytest.mark.parametrize("scheme", ["basic", "digest"])
@pytest.mark.parametrize("path", ["/snap.jpg", "/video"])
def test_a_password_is_proved_as_the_server_asks_and_asked_for_once(
    scheme: str,
    path: str,
    cameras: StartCameras,  # noqa: F811
) -> None:
    password, refused = 'p@ss/w"rd', []

    def behind(content: Callable[[Handler], None]) -> Callable[[Handler], None]:
        def answer(handler: Handler) -> None:
            kind, _, rest = handler.headers.get("Authorization", "").partition(" ")
            if scheme == "basic":
                right = rest == base64.b64encode(f"admin:{password}".encode()).decode()
                challenge = 'Basic realm="camera"'
            else:
                fields = parse_keqv_list(parse_http_list(rest)) if kind == "Digest" else {}
                right = bool(fields) and fields["response"] == digest_response(fields, password)
                right = right and fields["uri"] == handler.path
                challenge = 'Digest realm="camera", nonce="abc", qop="auth", algorithm=SHA-256'
            if not right:
                refused.append(handler.path)
                send(handler, b"who?", "text/plain", 401, WWW_Authenticate=challenge)
                return
            content(handler)

        return answer

    snapshots = Snapshots()

    def next_one(handler: Handler) -> None:
        snapshots(handler)
        snapshots.number += 1

    answers = {"/snap.jpg": behind(next_one), "/video": behind(multipart(JPEGS, pause=0.1))}
    with http_cameras(answers) as server:
        credentials = f"admin:{quote(password, safe='')}"
        url = server.url(f"{path}?user=x&q=a b", credentials).replace(" ", "%20")
        watched = cameras(f"door={url}", poll_seconds=0.1 if path == "/snap.jpg" else None)
        watched.until(lambda: watched.count("door") >= 5)
    assert len(refused) == 1
    assert len(watched.sessions("door")) == 1


@pytest.mark.parametrize("credentials", ["", "guest:hunter3"])
def test_a_redirect_is_followed_and_the_password_goes_to_no_other_host(
    credentials: str,
    cameras: StartCameras,  # noqa: F811
) -> None:
    with http_cameras({"/video": multipart(JPEGS)}) as other:

        def move(handler: Handler) -> None:
            send(handler, b"", "text/plain", 302, Location=other.url("/video", credentials))

        with http_cameras({"/old": move}) as server:
            watched = cameras(f"door={server.url('/old', 'admin:hunter2')}")
            watched.until(lambda: watched.count("door") >= 3)
    assert all("Authorization" not in headers for _, headers in other.requests)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://admin:hunter2@host/TOKEN", "redirects to an address that is not HTTP"),
        ("http://[::1/TOKEN", "redirects to an address that is not HTTP"),
        ("http://admin:hunter2@127.0.0.1:1/TOKEN", "cannot open: Connection refused"),
        ("/old?TOKEN", "more than 5 redirects"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_a_reason_without_the_address(
    location: str,
    reason: str,
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    def move(handler: Handler) -> None:
        send(handler, b"", "text/plain", 302, Location=location)

    with http_cameras({"/old": move}) as server:
        watched = cameras(f"door={server.url('/old')}")
        watched.until(
            lambda: watched.value("camera_up", "door") == 0 and "failure 1" in caplog.text
        )
    assert reason in caplog.text
    assert not any(secret in caplog.text for secret in ("hunter2", "TOKEN"))


def test_a_server_that_redirects_into_the_clear_does_not_get_the_password_there() -> None:
    home = "https://camera.example/snap.jpg"
    assert may_know("https://camera.example/other", home)
    assert not may_know("http://camera.example/snap.jpg", home)
    assert not may_know("https://camera.example:8443/snap.jpg", home)
    assert may_know("https://camera.example/snap.jpg", "http://camera.example/snap.jpg")


def test_a_first_picture_that_hangs_is_told_by_the_reader_and_not_by_the_watchdog(
    cameras: StartCameras,  # noqa: F811
) -> None:
    def video(handler: Handler) -> None:
        stream(handler, "multipart/x-mixed-replace; boundary=frame")
        handler.wfile.write(b"--frame\r\n\r\n" + JPEGS[0][:100])
        server.over.wait(20)

    def snapshot(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(JPEGS[0])))
        handler.end_headers()
        handler.wfile.write(JPEGS[0][:100])
        server.over.wait(20)

    limits = {"first_frame_timeout_seconds": 0.5, "stall_timeout_seconds": 20.0}
    with http_cameras({"/video": video, "/snap": snapshot}) as server:
        watched = cameras(
            f"a={server.url('/video')}", f"b={server.url('/snap')}", poll_seconds=None, **limits
        )
        watched.until(
            lambda: (
                watched.value("camera_reconnects_total", "a") >= 1
                and watched.value("decode_errors_total", "b") >= 1
            )
        )
        for name in ("a", "b"):
            assert watched.value("camera_threads_abandoned_total", name) == 0


def test_a_jpeg_of_a_kind_that_ffmpeg_does_not_know_costs_no_thread(
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = bytearray(JPEGS[0])
    frame = odd.index(b"\xff\xc0")
    odd[frame + 11], odd[frame + 14] = 0x44, 0x12  # how the components are sampled
    with http_cameras({"/v": multipart([bytes(odd), *JPEGS[:3]])}) as server:
        watched = cameras(f"door={server.url('/v')}")
        watched.until(lambda: watched.count("door") >= 3)
    assert watched.value("decode_errors_total", "door") >= 1
    assert len(watched.sessions("door")) == 1
    assert "died" not in caplog.text


def test_a_snapshot_that_dribbles_costs_its_limit_and_no_more(cameras: StartCameras) -> None:  # noqa: F811
    def dribble(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.send_header("Content-Length", str(len(JPEGS[0])))
        handler.end_headers()
        for byte in JPEGS[0]:
            handler.wfile.write(bytes([byte]))
            if server.over.wait(0.1):
                return

    with http_cameras({"/snap.jpg": dribble}) as server:
        watched = cameras(
            f"door={server.url('/snap.jpg')}",
            first_frame_timeout_seconds=0.5,
            stall_timeout_seconds=0.5,
        )
        took = watched.until(lambda: watched.value("camera_reconnects_total", "door") >= 1)
        assert watched.value("camera_threads_abandoned_total", "door") == 0
    assert took < len(JPEGS[0]) * 0.1 / 4


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("text/html", b"<html>log in</html>", "the answer is of type text/html"),
        ("image/jpeg", b"\xff\xd8\xff\xe0 not really a picture", "the picture does not decode"),
    ],
)
def test_an_answer_that_is_no_picture_is_told(
    kind: str,
    body: bytes,
    reason: str,
    cameras: StartCameras,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    with http_cameras({"/snap.jpg": lambda handler: send(handler, body, kind)}) as server:
        watched = cameras(f"door={server.url('/snap.jpg')}", poll_seconds=0.1)
        watched.until(lambda: reason in caplog.text)
    assert watched.count("door") == 0


def test_a_png_snapshot_is_read_too(cameras: StartCameras) -> None:  # noqa: F811
    file = io.BytesIO()
    Image.fromarray(SCENE.render(3)[0]).save(file, "PNG")
    answers = {"/snap": lambda handler: send(handler, file.getvalue(), "image/png")}
    with http_cameras(answers) as server:
        watched = cameras(f"door={server.url('/snap')}")
        watched.until(lambda: watched.count("door") == 1)
    assert shows(watched.frames["door"][0], 3)


def test_a_snapshot_that_is_turned_by_its_exif_is_published_upright(
    cameras: StartCameras,  # noqa: F811
) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(np.rot90(SCENE.render(3)[0])).save(file, "JPEG", exif=exif, quality=95)
    answers = {"/snap": lambda handler: send(handler, file.getvalue(), "image/jpeg")}
    with http_cameras(answers) as server:
        watched = cameras(f"door={server.url('/snap')}")
        watched.until(lambda: watched.count("door") == 1)
    assert shows(watched.frames["door"][0], 3)
