"""The camera list: what it accepts, what it refuses, and that it never tells a secret."""

import re
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from producer.addresses import file_path, public
from producer.camera_list import load_cameras
from producer.cameras import LONGEST_TIMEOUT_SECONDS, Camera
from producer.settings import MAX_CAMERAS, ProducerSettings
from producer.sources import SourceError, open_source


def load(
    text: str, tmp_path: Path, options: list[str] | None = None, **variables: str
) -> list[Camera]:
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    return load_cameras(ProducerSettings(config=path), options or [], variables)


def faults(
    text: str, tmp_path: Path, options: list[str] | None = None, **variables: str
) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path, options, **variables)
    return caught.value.faults


def test_a_value_comes_from_the_camera_else_the_defaults_else_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "defaults: {jpeg_quality: 80, fps: 5}\n"
        "cameras:\n"
        "  - {id: a, url: 'test:'}\n"
        "  - {id: b, url: 'test:', jpeg_quality: 70, fps: null}\n"
    )
    first, second, third = load_cameras(ProducerSettings(config=path, fps=3), ["c=test:"], {})
    assert (first.jpeg_quality, first.fps) == (80, 5)
    assert (second.jpeg_quality, second.fps) == (70, None)
    assert (third.id, third.jpeg_quality, third.fps) == ("c", 80, 5)
    (alone,) = load_cameras(ProducerSettings(fps=3), ["d=test:"], {})
    assert (alone.jpeg_quality, alone.fps) == (90, 3)


@pytest.mark.parametrize(
    ("url", "kind", "live", "waits"),
    [
        ("rtsp://h/s", "rtsp", True, False),
        ("rtsps://h:322/s", "rtsp", True, False),
        ("rtmp://h/live/1", "rtmp", True, False),
        ("rtmps://h/live/1", "rtmp", True, False),
        ("http://h/video.mjpg", "http", True, False),
        ("udp://239.0.0.1:5000", "udp", True, False),
        ("udp://@:5000", "udp", True, False),
        ("srt://h:9000", "srt", True, False),
        ("/dev/video0", "v4l2", True, False),
        ("v4l2:/dev/video0", "v4l2", True, False),
        ("clips/a.mp4", "file", False, True),
        ("clips/a:b.mp4", "file", False, True),
        ("file:///srv/a.mp4", "file", False, True),
        ("test:", "test", False, False),
    ],
)
def test_the_address_tells_the_kind_of_source(url: str, kind: str, live: bool, waits: bool) -> None:
    camera = load_cameras(ProducerSettings(), [f"a={url}"], {})[0]
    assert (camera.kind, camera.live, camera.waits) == (kind, live, waits)


def test_all_faults_of_the_file_and_the_options_come_at_once_each_with_its_camera(
    tmp_path: Path,
) -> None:
    found = faults(
        "defaults: {colour: red}\n"
        "cameras:\n"
        "  - {id: gate, url: 'rtsp://h/s', fps: -1, tranport: udp}\n"
        "  - {id: 'bad id', url: 'test:'}\n"
        "  - {url: 'gopher://h/'}\n"
        "  - {id: gate, url: 'test:?size=1x1'}\n"
        "  - {id: yard, url: 'rtsp://h/s', loop: true}\n"
        "  - just text\n"
        "extra: 1\n",
        tmp_path,
        ["nourl", "door=rtsp://"],
    )
    text = "\n".join(found)
    for expected in (
        "unknown keys extra",
        "defaults: unknown key 'colour'",
        "camera gate: fps: Input should be greater than 0, found -1",
        "camera gate: tranport: Extra inputs are not permitted",
        "camera bad id: id: not a camera id",
        "camera number 3, without an id: id: Field required",
        "unknown kind of source 'gopher:'",
        "size of test: is 1x1",
        "loop is for files, this is rtsp",
        "camera 6: expected a mapping, found str",
        "camera gate: the id is used 2 times",
        "--camera, number 1: expected ID=URL",
        "--camera door: url: not a URL with a host",
    ):
        assert expected in text
    assert len(found) == 13


def test_no_camera_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no camera"):
        load_cameras(ProducerSettings(), [], {})


def test_more_cameras_than_one_process_carries_are_refused() -> None:
    options = [f"c{number}=test:" for number in range(MAX_CAMERAS + 1)]
    with pytest.raises(ConfigurationError, match=f"at most {MAX_CAMERAS}"):
        load_cameras(ProducerSettings(), options, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "expected a mapping with 'cameras', found list"),
        ("", "expected a mapping with 'cameras', found nothing"),
        ("cameras: {a: 1}", "cameras: expected a list, found dict"),
        ("defaults: 3\ncameras: []", "defaults: expected a mapping, found int"),
        ("cameras: [\n  {id: a, url: 'rtsp://u:hunter2@h/'\n", "line 3: not YAML"),
        (
            "cameras: [{id: a, url: 'http://h/v'}]\ncameras: [{id: b, url: 'http://h/v'}]",
            "line 2: cameras stands on line 1 and again on line 2 of one mapping: only one can",
        ),
        (
            "cameras:\n- id: a\n  url: 'http://h/v'\n  fps: 1\n  fps: 2",
            "line 5: fps stands on line 4 and again on line 5",
        ),
        (
            "cameras: [{'rtsp://u:hunter2@h/': 1, 'rtsp://u:hunter2@h/': 2}]",
            "line 1: (not shown) stands on line 1 and again on line 1",
        ),
    ],
)
def test_a_file_that_is_no_camera_list_is_refused_without_quoting_it(
    text: str, expected: str, tmp_path: Path
) -> None:
    found = "\n".join(faults(text, tmp_path))
    assert expected in found
    assert "hunter2" not in found


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: cannot read the camera list: No su"):
        load_cameras(ProducerSettings(config=tmp_path / "none.yaml"), [], {})


def test_variables_are_replaced_and_encoded_inside_credentials(tmp_path: Path) -> None:
    camera = load(
        "cameras: [{id: a, url: 'rtsp://${USER}:${PASS}@${HOST}/s'}]",
        tmp_path,
        USER="admin",
        PASS="p@ss/w:rd",
        HOST="10.0.0.7:554",
    )[0]
    assert camera.url.get_secret_value() == "rtsp://admin:p%40ss%2Fw%3Ard@10.0.0.7:554/s"


def test_a_variable_that_is_not_set_is_a_fault(tmp_path: Path) -> None:
    found = faults("cameras: [{id: a, url: 'rtsp://u:${PASS}@h/s'}]", tmp_path)
    assert any("camera a: the variable PASS is not set" in fault for fault in found)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7:554/s", "rtsp://10.0.0.7:554"),
        ("rtsps://10.0.0.1:7441/TOKEN?enableSrtp", "rtsps://10.0.0.1:7441"),
        ("rtsp://h/live/admin/SECRET/", "rtsp://h"),
        ("rtsp://admin:hunter2@10.0.0.7/s", "rtsp://10.0.0.7"),
        ("rtsp://admin:hun@ter2@10.0.0.7/s", "rtsp://10.0.0.7"),
        ("rtsp://admin:hun/ter2@10.0.0.7/s", "rtsp://10.0.0.7"),
        ("http://h/v.cgi?user=admin&pwd=hunter2", "http://h"),
        ("http://h?pwd=hunter2", "http://h"),
        ("http://h:80/v.cgi?mail=me@home", "http://h:80"),
        ("rtsp://h/user=admin&password=hunter2&c=1.sdp", "rtsp://h"),
        ("RTMP://h/app/KEY", "RTMP://h"),
        ("srt://:9000?passphrase=hunter2", "srt://:9000"),
        ("udp://@239.0.0.1:5000", "udp://239.0.0.1:5000"),
        ("/srv/clip.mp4", "/srv/clip.mp4"),
        ("/srv/a?b#c.mp4", "/srv/a?b#c.mp4"),
        ("file:///srv/a?b.mp4", "file:///srv/a?b.mp4"),
        ("test:?seed=2", "test:?seed=2"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert public(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:hun/ter2@10.0.0.7/s",
        "rtsp://admin:12/34@10.0.0.7/",
        "rtsp://admin:1#2@10.0.0.7",
        "rtsp://admin:1?2@10.0.0.7",
        "rtsp://admin:p@ss/34@10.0.0.7/",
        "rtsp://adm/in:34@10.0.0.7/",
        "https://TOK/34@10.0.0.7/",
        "rtsp://admin:[34]@10.0.0.7/",
        "rtsp://admin:34@",
        "rtsp://admin:34@:554/s",
        "rtsp:/admin:34@10.0.0.7/",
        "rtsp:admin:34@10.0.0.7",
    ],
)
def test_a_raw_password_is_refused_with_what_to_do_without_telling_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        load_cameras(ProducerSettings(), [f"a={url}"], {})
    for secret in ("ter2", "34", "2@", "TOK"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (" ", "is empty, expected rtsp:"),
        ("//admin:hunter2@10.0.0.7/s", "looks like a URL without its SCHEME://"),
        ("RTSP//admin:hunter2@10.0.0.7/s", "looks like a URL without its SCHEME://"),
        ("rtsp;//hunter2/s", "looks like a URL without its SCHEME://"),
        ("http//10.0.0.7/hunter2", "looks like a URL without its SCHEME://"),
        (" rtsp://10.0.0.7/hunter2", "looks like a URL without its SCHEME://"),
        ("10.0.0.7:554/hunter2", "looks like a URL without its SCHEME://"),
        ("10.0.0.7/hunter2", "looks like a URL without its SCHEME://"),
        ("my_admin:hunter2@10.0.0.7/s", "looks like a URL without its SCHEME://"),
        ("file://admin:hunter2@10.0.0.7/s", "looks like a URL without its SCHEME://"),
        ("/admin:hunter2@10.0.0.7/s", "looks like a URL without its SCHEME://"),
        ("~admin:hunter2@10.0.0.7", "looks like a URL without its SCHEME://"),
        ("admin@10.0.0.7/hunter2", "looks like a URL without its SCHEME://"),
        ("@gate.local:hunter2/s", "looks like a URL without its SCHEME://"),
        ("//gate.local/hunter2", "looks like a URL without its SCHEME://"),
        ("[fe80::1]/hunter2", "looks like a URL without its SCHEME://"),
        (r"\\admin:hunter2@10.0.0.7", "looks like a URL without its SCHEME://"),
        (r"rtsp\\10.0.0.7\hunter2", "looks like a URL without its SCHEME://"),
        (r"rtsp:\\admin:hunter2@10.0.0.7", "not a URL with a host"),
        ("rtsp：//admin:hunter2@10.0.0.7", "looks like a URL without its SCHEME://"),
        ("admin：hunter2@10.0.0.7", "looks like a URL without its SCHEME://"),
        ("test:admin:hunter2@10.0.0.7", "there is a '@' in it"),
        ("v4l2:admin:hunter2@10.0.0.7", "there is a '@' in it"),
        ("hunter2:pw@10.0.0.7/s", "unknown kind of source, expected rtsp:"),
        ("rtsp://admin:hunter2 x@10.0.0.7/s", "a URL holds no spaces"),
        ("rtsp://10.0.0.7/hunter2\n", "a URL holds no spaces"),
    ],
)
def test_a_misspelt_url_is_refused_and_neither_quoted_nor_taken_for_a_file(
    url: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        load_cameras(ProducerSettings(), [f"a={url}"], {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://h:80/v.cgi?mail=me@home",
        "rtsp://u:p%2Fw@h/live/%40home",
        "rtsp://admin:hun@ter2@10.0.0.7/s",
        "udp://@239.0.0.1:5000",
        "srt://:9000?mode=listener",
        "./10.0.0.7/a:b@c.mp4",
        "/srv/10:30@gate.mp4",
        "file:///srv/10:30@gate.mp4",
        "clips//http.mp4",
        "rtsp/a.mp4",
    ],
)
def test_an_address_that_only_looks_strange_is_accepted(url: str) -> None:
    assert load_cameras(ProducerSettings(), [f"a={url}"], {})[0].source_url == url


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("file:///{0}/a%20b.mp4", "{0}/a b.mp4"),
        ("file://localhost{0}/a%20b.mp4", "{0}/a b.mp4"),
        ("FILE:{0}/a%20b.mp4", "{0}/a b.mp4"),
        ("file://{0}/c%20d.mp4", "{0}/c%20d.mp4"),
        ("{0}/c%20d.mp4", "{0}/c%20d.mp4"),
        ("{0}/a%20b.mp4", "{0}/a%20b.mp4"),
        ("~/a b.mp4", "{0}/a b.mp4"),
        ("file:~/a%20b.mp4", "{0}/a b.mp4"),
        ("{0}/e?f.mp4", "{0}/e?f.mp4"),
    ],
)
def test_a_file_is_found_as_its_name_is_written(
    url: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a b.mp4", "c%20d.mp4", "e?f.mp4"):
        (tmp_path / name).touch()
    path = file_path(url.format(tmp_path))
    assert path.replace("//", "/") == found.format(tmp_path)


def test_no_text_about_a_camera_tells_its_password(tmp_path: Path) -> None:
    camera = load(
        "cameras: [{id: a, url: 'rtsp://u:hunter2@h/hunter2', substream: 'http://u:hunter2@h/', "
        "stream: main, options: {headers: 'Authorization: hunter2'}}]",
        tmp_path,
    )[0]
    dumped = camera.model_dump_json(exclude={"options"})
    assert "hunter2" not in f"{camera!r} {camera} {camera.address} {dumped}"
    found = faults(
        "cameras: [{id: a, url: 'rtp://u:hunter2@h/s', pass: hunter2, options: [hunter2], fps: x}]",
        tmp_path,
        ["b=ftp://u:hunter2@h/", "u:hunter2@h"],
    )
    assert "hunter2" not in "\n".join(found)
    assert len(found) == 6


@pytest.mark.parametrize(
    "text",
    [
        "cameras: [{id: 'rtsp://u:hunter2@h/hunter2', url: gate}]",
        "cameras: [{id: a, url: 'test:', 'rtsp://h/hunter2': b}]",
        "cameras: [{id: a, url: 'test:', 'u:hunter2@h': b}]",
        "cameras: [{id: '//u:hunter2@h', url: 'test:'}, {id: '//u:hunter2@h', url: 'test:'}]",
        "defaults: {'rtsp://h/hunter2': 1}\ncameras: [{id: a, url: 'test:'}]",
        "'rtsp://h/hunter2': 1",
        "cameras: [{id: a, url: 'test:', user: u, password: *hunter2}]",
        "cameras: [{id: a, url: 'test:', user: u, password: !hunter2}]",
        "cameras: [{id: a, url: 'test:', user: u, password: [hunter2]}]",
        "cameras: [{id: a, url: 'rtsp://h/', substream: [hunter2], user: {x: hunter2}}]",
    ],
)
def test_a_list_with_an_address_or_password_in_the_wrong_place_is_refused_without_quoting_it(
    text: str, tmp_path: Path
) -> None:
    assert "hunter2" not in "\n".join(faults(text, tmp_path))


@pytest.mark.parametrize(
    "option", ["rtsp://u:pw@h/hunter2?x=1", "//u:hunter2@h/?x=1", "u:hunter2@h/=1", "hunter2@h=1"]
)
def test_an_option_without_an_id_is_refused_without_quoting_it(option: str) -> None:
    with pytest.raises(ConfigurationError, match="--camera, number 1: expected ID=URL") as caught:
        load_cameras(ProducerSettings(), [option], {})
    assert "hunter2" not in str(caught.value)


def test_the_example_is_a_list_that_loads() -> None:
    path = Path(__file__).parents[2] / "producer" / "cameras.example.yaml"
    cameras = load_cameras(
        ProducerSettings(config=path), [], {"GATE_PASSWORD": "a/b", "DRIVE_PASSWORD": "c/d"}
    )
    assert [camera.kind for camera in cameras] == [
        "rtsp", "rtsp", "http", "udp", "v4l2", "file", "file", "test",
    ]  # fmt: skip
    assert cameras[0].url.get_secret_value() == "rtsp://viewer:a%2Fb@10.0.0.7:554/stream"
    assert cameras[1].source_url == "rtsp://viewer:c%2Fd@10.0.0.9/Streaming/Channels/102"


def test_what_replaced_a_removed_setting_is_in_the_list_or_a_setting_or_a_constant() -> None:
    assert not ProducerSettings.removed.keys() & ProducerSettings.model_fields.keys()
    for name, instead in ProducerSettings.removed.items():
        source = instead.removeprefix("follows from PRODUCER_").lower()
        assert (
            instead.startswith("fixed")
            or source in ProducerSettings.model_fields
            or ("camera list" in instead and name in Camera.model_fields)
        ), name


def test_user_and_password_may_hold_any_characters_and_are_encoded_into_the_url(
    tmp_path: Path,
) -> None:
    first, second, third = load(
        "defaults: {user: ad:min, password: '12/3#4@${MORE}'}\n"
        "cameras:\n"
        "  - {id: a, url: 'rtsp://10.0.0.7:554/s'}\n"
        "  - {id: b, url: 'https://h/v?x=1', password: null}\n"
        "  - {id: c, url: 'rtsp://u:p@h/s', user: null, password: null}\n",
        tmp_path,
        MORE="%ü",
    )
    assert first.source_url == "rtsp://ad%3Amin:12%2F3%234%40%25%C3%BC@10.0.0.7:554/s"
    assert second.source_url == "https://ad%3Amin:@h/v?x=1"
    assert third.source_url == "rtsp://u:p@h/s"
    assert "3#4" not in f"{first!r} {first.model_dump_json()}"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("RTSP://u:P@H/S", "rtsp://u:P@H/S"),
        ("Https://H/S", "https://H/S"),
        ("File:/srv/A.mp4", "file:/srv/A.mp4"),
        ("Clips/A.mp4", "Clips/A.mp4"),
    ],
)
def test_a_scheme_may_be_written_in_capitals(url: str, read: str) -> None:
    assert load_cameras(ProducerSettings(), [f"a={url}"], {})[0].source_url == read


def test_a_substream_is_read_instead_of_the_main_one_unless_that_is_asked_for(
    tmp_path: Path,
) -> None:
    both = "url: 'rtsp://h/main', substream: 'http://h/sub'"
    sub, main, alone = load(
        f"defaults: {{user: me, password: p}}\n"
        f"cameras: [{{id: a, {both}}}, {{id: b, {both}, stream: main}}, {{id: c, url: rtsp://h/1}}]",
        tmp_path,
    )
    assert (sub.source_url, sub.kind) == ("http://me:p@h/sub", "http")
    assert (main.source_url, main.kind) == ("rtsp://me:p@h/main", "rtsp")
    assert alone.source_url == "rtsp://me:p@h/1"


def test_what_the_picture_needs_is_read_from_the_list(tmp_path: Path) -> None:
    (camera,) = load(
        "cameras: [{id: a, url: 'http://h/snap.jpg', rotate: 90, aspect: '16:9', "
        "crop: [0, 8, 64, 48], poll_seconds: 2, drop_corrupt: true}]",
        tmp_path,
    )
    assert (camera.rotate, camera.aspect, camera.crop) == (90, "16:9", (0, 8, 64, 48))
    assert (camera.poll_seconds, camera.drop_corrupt) == (2.0, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("rotate: 45", "rotate: Input should be 0, 90, 180 or 270"),
        ("aspect: 16:9", "aspect: put it in quotes"),
        ("aspect: '16:0'", 'aspect: expected "W:H"'),
        ("crop: [0, 0, 64]", "crop.3: Field required"),
        ("crop: [0, -1, 64, 64]", r"crop: expected \[x, y, width, height\] in pixels"),
        ("crop: [0, 0, 64, 8]", r"crop: expected \[x, y, width, height\] in pixels"),
        ("poll_seconds: 1", "poll_seconds is for http and https, this is rtsp"),
        ("stall_timeout_seconds: .inf", "stall_timeout_seconds: .* less than or equal to 1800"),
        ("open_timeout_seconds: 1e10", "open_timeout_seconds: .* less than or equal to 1800"),
        ("first_frame_timeout_seconds: 1801", "first_frame_timeout_seconds: .* equal to 1800"),
        ("stall_timeout_seconds: .nan", "stall_timeout_seconds: Input should be"),
        ("password: hunter2", "password needs user"),
        ("user: u, password: 01234", "password: not text for YAML: put it in quotes$"),
        ("user: yes", "user: not text for YAML: put it in quotes$"),
        ("substream: 'gopher://h/'", "substream: unknown kind of source"),
        ("user: u, substream: clip.mp4", "user and password are for RTSP and HTTP, this is file"),
        ("user: u, substream: 'rtsp://v:hunter2@h/'", "user and password stand in the URL as well"),
    ],
)
def test_a_field_that_does_not_fit_is_refused(fields: str, expected: str, tmp_path: Path) -> None:
    (found,) = faults(f"cameras: [{{id: a, url: 'rtsp://h/s', {fields}}}]", tmp_path)
    assert re.search(expected, found)
    assert "hunter2" not in found


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "rtmp", "http", "https"])
def test_the_longest_times_are_such_as_every_kind_of_source_takes(
    scheme: str, tmp_path: Path
) -> None:
    """FFmpeg calls what is longer 'Numerical result out of range'."""
    longest = f"_timeout_seconds: {LONGEST_TIMEOUT_SECONDS}"
    (camera,) = load(
        f"cameras: [{{id: a, url: '{scheme}://127.0.0.1:1/x', open{longest}, stall{longest}, "
        f"first_frame{longest}}}]",
        tmp_path,
    )
    with pytest.raises(SourceError, match="Connection refused"):
        open_source(camera, lambda: None)
