"""In how many threads, and where, a camera's stream is decoded."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from av.codec.hwaccel import hwdevices_available

from producer import decoding, sources
from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.decoding import decode_threads
from producer.scene import Scene
from producer.settings import ProducerSettings
from producer.sources import AvSource
from tests.scenes import write_video

LIVE, FILE = "rtsp://h/s", "clip.mp4"


def camera(url: str, companions: int = 1, **values: object) -> Camera:
    made = load_cameras(ProducerSettings(), [f"a={url}"], {})[0].model_copy(update=values)
    return made.carried(companions, 1 << 23)


@pytest.mark.parametrize(
    ("companions", "cores", "threads"), [(1, 4, 4), (2, 4, 2), (4, 4, 1), (64, 4, 1), (1, 64, 8)]
)
def test_the_cameras_of_a_process_share_its_cores(
    companions: int, cores: int, threads: int
) -> None:
    assert decode_threads(camera(FILE, companions), cores) == (threads, "AUTO")


def test_threads_delay_a_live_camera_only_where_its_settings_ask_for_them() -> None:
    assert decode_threads(camera(LIVE), 4) == (4, "SLICE")
    assert decode_threads(camera(LIVE, 64, decode_threads=3), 4) == (3, "AUTO")


def test_the_list_tells_each_camera_how_many_there_are() -> None:
    listed = load_cameras(ProducerSettings(), [f"{name}=test:" for name in "abc"], {})
    assert [each.companions for each in listed] == [3, 3, 3]


def test_a_source_decodes_all_frames_in_as_many_threads_as_it_is_told(tmp_path: Path) -> None:
    scene = Scene(width=128, height=96, fps=12, seed=1)
    path = write_video(tmp_path / "a.mp4", scene, 12, codec="libx264")
    source = AvSource(camera(str(path), decode_threads=3), lambda: None)
    assert source.stream.codec_context.thread_count == 3
    assert len(list(source.pictures())) == 12
    source.close()


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="here is a graphics processor")
@pytest.mark.parametrize("device", ["cuda", "vaapi"])
def test_without_a_graphics_processor_a_camera_is_decoded_in_software_which_is_said(
    device: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if device == "vaapi" and device in hwdevices_available():
        pytest.skip("this build has it")
    decoding._device_fault.cache_clear()
    scene = Scene(width=128, height=96, fps=12, seed=1)
    path = write_video(tmp_path / "a.mp4", scene, 6, codec="libx264")
    with caplog.at_level(logging.WARNING):
        source = AvSource(camera(str(path), hwaccel=device), lambda: None)
        assert len(list(source.pictures())) == 6
        source.close()
    assert f"camera a: hwaccel {device} cannot be used" in caplog.text


@dataclass
class Context:
    """A decoder that has given a picture, as PyAV shows it."""

    pix_fmt: str
    is_hwaccel: bool = True
    name: str = "h264"


@pytest.mark.parametrize(
    ("device", "context", "said"),
    [
        ("cuda", Context("yuv422p10le"), "does not decode this stream: h264, yuv422p10le"),
        ("vaapi", Context("yuv420p", name="hevc"), "does not decode this stream: hevc, yuv420p"),
        ("cuda", Context("cuda"), ""),
        ("vaapi", Context("vaapi"), ""),
        ("cuda", Context("yuv420p", is_hwaccel=False), ""),  # which was said when it was opened
        (None, Context("yuv420p"), ""),
    ],
    ids=["profile", "vaapi", "on the device", "on vaapi's", "no device", "not asked for"],
)
def test_a_device_that_lacks_a_stream_s_profile_is_told_of_with_the_first_picture(
    device: str | None, context: Context, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        decoding.warn_of_fallback(camera(FILE, hwaccel=device), context)
    assert said in caplog.text
    assert bool(caplog.records) == bool(said)


def test_a_source_asks_once_where_its_pictures_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        sources, "warn_of_fallback", lambda camera, context: asked.append(context.pix_fmt)
    )
    scene = Scene(width=128, height=96, fps=12, seed=1)
    path = write_video(tmp_path / "a.mp4", scene, 6, codec="libx264")
    source = AvSource(camera(str(path)), lambda: None)
    assert len(list(source.pictures())) == 6
    source.close()
    assert asked == ["yuv420p"]
