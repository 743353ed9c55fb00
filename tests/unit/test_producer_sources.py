"""Files that FFmpeg reads, whole, damaged and foreign; and the synthetic scene as a source."""

import re
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg

from contract.errors import ConfigurationError
from producer import opening, sources
from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.opening import check_support
from producer.scene import Scene
from producer.settings import ProducerSettings
from producer.sources import AvSource, SourceError, open_source
from tests.scenes import write_video

SCENE = Scene(width=128, height=96, fps=12, seed=1)


def camera(url: Path | str) -> Camera:
    return load_cameras(ProducerSettings(), [f"a={url}"], {})[0]


def no_bad_packet() -> None:
    pytest.fail("a packet did not decode")


def blank(path: Path, numbers: list[int]) -> None:
    """Overwrite the pictures of these numbers of a file of JPEG pictures."""
    data = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"\xff\xd8\xff", data)]
    for number in numbers:
        end = data.index(b"\xff\xd9", starts[number])
        data = data[: starts[number]] + bytes(end - starts[number]) + data[end:]
    path.write_bytes(data)


def test_a_file_gives_its_frames_with_ascending_stamps_and_its_rate(tmp_path: Path) -> None:
    source = open_source(camera(write_video(tmp_path / "a.mp4", SCENE, 30)), no_bad_packet)
    pictures = list(source.pictures())
    source.close()
    assert source.fps == pytest.approx(12)
    stamps = [picture.stamp_seconds for picture in pictures]
    assert stamps == pytest.approx([number / 12 for number in range(30)], abs=1e-3)
    seen = pictures[20].image.to_ndarray(format="rgb24").astype(int)
    assert np.abs(seen - SCENE.render(20)[0]).mean() < 12


def test_a_damaged_file_gives_what_can_be_read_and_counts_the_rest(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", SCENE, 40, codec="mjpeg")
    blank(path, [10, 11, 25])
    bad: list[int] = []
    source = open_source(camera(path), lambda: bad.append(1))
    assert len(list(source.pictures())) == 40 - len(bad)
    assert len(bad) == 3


def test_a_stream_of_nothing_but_damage_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_BAD_PACKETS", 5)
    path = write_video(tmp_path / "a.mkv", SCENE, 20, codec="mjpeg")
    blank(path, list(range(1, 20)))
    bad: list[int] = []
    with pytest.raises(SourceError, match="5 packets in a row do not decode"):
        list(open_source(camera(path), lambda: bad.append(1)).pictures())
    assert len(bad) == 5


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100], ids=["empty", "text"])
def test_a_file_that_is_no_video_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot open: "):
        open_source(camera(path), no_bad_packet)


def test_a_file_without_a_video_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
    with pytest.raises(SourceError, match="no video stream"):
        open_source(camera(path), no_bad_packet)


def test_a_playlist_that_poses_as_a_file_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(SourceError):
        list(open_source(camera(path), no_bad_packet).pictures())


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "\x1b[31mhello\x1b[0m\n" * 200, "it is text"),
        ("a.nfo", "hello world\n" * 200, "it is text"),
        ("a.ans", "hello" * 500, "it is text"),
        (
            "a.mp4",
            "ffconcat version 1.0\nfile v.mp4\n",
            r"a playlist \(concat\) under",
        ),
        (
            "a.mp4",
            "#EXTM3U\n#EXTINF:1,\nv.mp4\n#EXT-X-ENDLIST\n",
            "not a video that FFmpeg can read",
        ),
        ("a.srt", "1\n00:00:00,000 --> 00:00:02,000\nhello\n\n", "no video stream"),
    ],
)
def test_text_and_playlists_in_disguise_are_no_cameras(
    name: str, content: str, expected: str, tmp_path: Path
) -> None:
    write_video(tmp_path / "v.mp4", SCENE, 2)
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SourceError, match=f"cannot open: .*{expected}"):
        open_source(camera(path), no_bad_packet)


def test_a_playlist_under_its_own_name_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", SCENE, 2)
    path = tmp_path / "a.ffconcat"
    path.write_text("ffconcat version 1.0\nfile v.mp4\n")
    source = open_source(camera(path), no_bad_packet)
    assert len(list(source.pictures())) == 2
    source.close()


@pytest.mark.parametrize("pattern", ["%02d.png", "*.png"])
def test_a_pattern_is_not_read_as_the_many_files_that_fit_it(pattern: str, tmp_path: Path) -> None:
    picture = av.VideoFrame.from_ndarray(SCENE.render(0)[0], format="rgb24").to_image()
    for number in range(3):
        picture.save(tmp_path / f"{number:02d}.png")
    with pytest.raises(SourceError, match="No such file or directory"):
        list(open_source(camera(tmp_path / pattern), no_bad_packet).pictures())


def test_options_that_ffmpeg_would_ignore_are_refused_for_each_camera() -> None:
    known = {"rtsp_transport": "tcp", "fflags": "nobuffer", "probesize": "5000", "headers": "X: y"}
    device = {"video_size": "640x480", "input_format": "mjpeg"}
    listed = [
        camera("rtsp://h/1").model_copy(update={"id": "a", "options": known}),
        camera("/dev/video0").model_copy(update={"id": "b", "options": device}),
        camera("test:").model_copy(
            update={"id": "c", "options": {"hwaccel": "cuda", "nonsense": "1"}}
        ),
        camera("test:").model_copy(update={"id": "d", "options": {"nobuffer": "1"}}),
    ]
    with pytest.raises(ConfigurationError) as caught:
        check_support(listed)
    first, second = caught.value.faults
    assert first.startswith("camera c: options: hwaccel, nonsense: no demuxer or protocol")
    assert second.startswith("camera d: options: nobuffer: ")
    check_support(listed[:2])


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_rtmp_is_known_to_this_build(scheme: str) -> None:
    check_support([camera(f"{scheme}://h/app/key")])


def test_an_error_never_quotes_the_address(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        AvSource(camera(tmp_path / "hunter2.mp4"), no_bad_packet)
    assert str(caught.value) == "cannot open: No such file or directory"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_scene_gives_its_frames_and_ends() -> None:
    source = open_source(camera("test:?size=128x96&fps=12&seed=1&frames=3"), no_bad_packet)
    pictures = list(source.pictures())
    assert [picture.stamp_seconds for picture in pictures] == pytest.approx([0, 1 / 12, 2 / 12])
    np.testing.assert_array_equal(pictures[2].image.to_ndarray(format="rgb24"), SCENE.render(2)[0])


def test_what_the_ffmpeg_build_lacks_is_told_for_each_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "_PROBES", {"srt": ("nosuchthing://h", None)})
    urls = ["a=srt://h:1", "b=test:", "c=srt://h:2"]
    with pytest.raises(ConfigurationError) as caught:
        check_support(load_cameras(ProducerSettings(), urls, {}))
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["camera a", "camera c"]
    monkeypatch.setattr(opening, "_PROBES", {"v4l2": ("/dev/null", "nosuchdevice")})
    with pytest.raises(ConfigurationError, match="no support for v4l2"):
        check_support([camera("/dev/video0")])


def test_frames_that_the_decoder_marks_as_corrupt_are_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", SCENE, 48, codec="mpeg2video")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 5 * 188] = b""  # five packets of the transport stream are lost
    path.write_bytes(data)
    pictures = list(open_source(camera(path), lambda: None).pictures())
    damaged = [picture.damage for picture in pictures]
    assert 0 < damaged.count("corrupt") < 12
    assert damaged[:12] == [None] * 12


def test_jpeg_pictures_of_a_file_that_are_cut_are_told(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mkv", SCENE, 6, codec="mjpeg")
    with av.open(str(whole)) as given, av.open(str(tmp_path / "b.mkv"), "w") as cut:
        stream = cut.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.size:
                data = bytes(packet)
                copy = av.Packet(data[: len(data) // 2] if number % 2 else data)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.stream = stream
                cut.mux(copy)
    pictures = list(open_source(camera(tmp_path / "b.mkv"), lambda: None).pictures())
    assert [picture.damage for picture in pictures] == [None, "cut"] * 3


@pytest.mark.parametrize("ending", ["avi", "mkv", "mjpeg"])
def test_pictures_of_motion_jpeg_are_passed_on_after_the_first(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    jpegs = [simplejpeg.encode_jpeg(SCENE.render(number)[0]) for number in range(6)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=12)
        video.width, video.height, video.pix_fmt = SCENE.width, SCENE.height, "yuvj420p"
        for number, data in enumerate(jpegs):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = video, number, number
            packet.time_base = Fraction(1, 12)
            container.mux(packet)
    source = open_source(camera(path), no_bad_packet)
    first, *others = source.pictures()
    source.close()
    assert first.jpeg is None
    assert first.image is not None
    assert [each.jpeg.data for each in others] == jpegs[1:]
    if ending != "mjpeg":
        assert [round(12 * each.stamp_seconds) for each in others] == [1, 2, 3, 4, 5]


def test_motion_jpeg_that_its_container_turns_is_not_passed_on(tmp_path: Path) -> None:
    flat, path = write_video(tmp_path / "a.mov", SCENE, 3, codec="mjpeg"), tmp_path / "b.mov"
    data = flat.read_bytes()
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    place = data.index(b"tkhd") + 44
    assert data[place : place + 36] == upright
    path.write_bytes(data[:place] + turned + data[place + 36 :])
    pictures = list(open_source(camera(path), no_bad_packet).pictures())
    assert len(pictures) == 3
    assert all(each.jpeg is None for each in pictures)
