"""Videos come out upright, with square pixels, whole; several pictures a file are a video too."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from media.brightness import Levels
from media.picture_files import UnreadableInputError
from media.videos import Video
from tests.tiff_files import discs, write_tiff
from tests.video_files import (
    corners,
    cut_every_second,
    cut_tail,
    noise,
    quarters,
    write_sound,
    write_video,
)

ONE = 1 << 16


def read(path: Path, levels: Levels | None = None) -> tuple[list[Any], Video, str]:
    """Return the good frames, the video that was read, and what it said at its end."""
    frames: list[Any] = []
    with Video(path, levels=levels or Levels()) as video:
        try:
            frames.extend(video)
        except UnreadableInputError as error:
            return frames, video, error.reason
    return frames, video, ""


def images(path: Path, levels: Levels | None = None) -> list[NDArray[np.uint8]]:
    frames, _, said = read(path, levels)
    assert said == ""
    return [frame.image for frame in frames]


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ((ONE, 0, 0, ONE), "RGBW"),
        ((0, ONE, -ONE, 0), "BRWG"),  # a phone held upright: a quarter clockwise
        ((-ONE, 0, 0, -ONE), "WBGR"),
        ((0, -ONE, ONE, 0), "GWRB"),
        ((-ONE, 0, 0, ONE), "GRWB"),  # a front camera: mirrored
        ((ONE, 0, 0, -ONE), "BWRG"),
        ((0, ONE, ONE, 0), "RBGW"),
    ],
)
def test_a_video_is_turned_and_mirrored_as_its_display_matrix_says(
    elements: tuple[int, int, int, int], expected: str, tmp_path: Path
) -> None:
    a, b, c, d = elements
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = write_video(tmp_path / "phone.mp4", [quarters()] * 2, matrix=matrix)
    for image in images(path):
        assert corners(image) == expected
        assert image.shape == ((96, 64, 3) if a == 0 else (64, 96, 3))


def test_wide_pixels_become_square(tmp_path: Path) -> None:
    square = np.zeros((64, 88, 3), np.uint8)
    square[16:48, 33:55] = 255  # 22 stored columns of 16:11 are 32 wide
    path = write_video(tmp_path / "pal.mp4", [square], pixel_aspect=Fraction(16, 11))
    (image,) = images(path)
    assert image.shape == (64, 128, 3)
    bright = image[:, :, 1] > 128
    assert (bright[32].sum(), bright[:, 64].sum()) == (32, 32)


def test_a_turned_video_with_wide_pixels_is_widened_first(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "both.mp4",
        [quarters(64, 88)],
        pixel_aspect=Fraction(16, 11),
        matrix=(0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    )
    (image,) = images(path)
    assert (image.shape, corners(image)) == ((128, 64, 3), "BRWG")


def test_the_cover_before_a_video_is_passed_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", [quarters()] * 3, covers=2)
    assert [corners(image) for image in images(path)] == ["RGBW"] * 3


def test_every_second_jpeg_cut_leaves_the_others(tmp_path: Path) -> None:
    for ending in ("avi", "mkv", "mov"):
        path = write_video(
            tmp_path / f"bad.{ending}", noise(12), codec="mjpeg", change=cut_every_second
        )
        frames, video, said = read(path)
        assert [frame.number for frame in frames] == [0, 2, 4, 6, 8, 10], ending
        assert [frame.seconds for frame in frames] == pytest.approx(
            [number / 25 for number in range(0, 12, 2)], abs=1e-3
        )
        assert (video.damaged, said) == (6, ""), ending


def test_jpegs_that_are_all_cut_are_named_as_damaged(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "bad.avi", noise(5), codec="mjpeg", change=lambda _, data: data[:300]
    )
    assert read(path)[2] == "a video (mjpeg) of which all 5 frames are damaged"


def test_packets_of_other_codecs_that_do_not_decode_are_left_out(tmp_path: Path) -> None:
    def spoil(number: int, data: bytes) -> bytes:
        return b"\x00" * len(data) if number == 3 else data

    path = write_video(tmp_path / "bad.mov", noise(9), codec="png", pixel_format="rgb24",
                       change=spoil)  # fmt: skip
    frames, video, said = read(path)
    assert (len(frames), video.damaged, said) == (8, 1, "")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"movflags": "+faststart"}),
        ("a.mov", "mjpeg", {"movflags": "+faststart"}),
        ("a.avi", "mjpeg", {}),
        ("a.mkv", "libx264", {}),
        ("a.flv", "flv", {}),
    ],
)
def test_a_file_with_a_cut_tail_says_what_is_missing(
    name: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = write_video(tmp_path / name, noise(72), codec=codec, **options)
    assert read(path)[2] == ""
    frames, _, said = read(cut_tail(path))
    assert 35 <= len(frames) <= 48
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert said.startswith(f"72 frames expected, {len(frames)} read")
    assert said.endswith("the file ends early")


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_a_few_frames_that_a_matroska_lacks_are_missed(codec: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", noise(40), codec=codec)
    assert read(path)[2] == ""
    found, _, said = read(cut_tail(path, 0.97))
    assert 36 <= len(found) < 40
    assert said.endswith("the file ends early")


def test_a_name_with_a_colon_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "cam1:front.mp4", noise(3))
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("cam1:front.mp4"))[0]) == 3


def test_a_cut_fragmented_mp4_says_that_it_ends_early(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noise(72), movflags="frag_every_frame+empty_moov")
    assert read(path)[2] == ""
    frames, video, said = read(cut_tail(path))
    assert 35 <= len(frames) <= 48
    assert video.damaged == 1
    assert said.endswith(f"{len(frames)} read, 1 damaged: the file ends early")


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path: Path) -> None:
    import av

    whole = write_video(tmp_path / "whole.mp4", noise(30))
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        first = packets[10].pts
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, copy
            target.mux(packet)
    frames, video, said = read(trimmed)
    assert (video.damaged, said) == (0, "")
    assert 15 <= len(frames) <= 25


def test_grey_of_16_bits_is_stretched_to_the_range_of_its_first_frame(tmp_path: Path) -> None:
    frames = [discs(np.uint16, 100, 2000), discs(np.uint16, 100, 1050)]
    path = write_video(tmp_path / "a.mkv", frames, codec="ffv1", pixel_format="gray16le")
    values = [np.unique(image).tolist() for image in images(path)]
    assert values == [[0, 255], [0, 128]]
    values = [np.unique(image).tolist() for image in images(path, Levels(100, 1050))]
    assert values == [[0, 255], [0, 255]]


def save_frames(path: Path, count: int, **options: Any) -> Path:
    frames = [Image.new("RGB", (32, 24), (250, 0, 20 * number)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_every_frame_of_an_animation_is_read_at_its_time(name: str, tmp_path: Path) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    path = save_frames(tmp_path / name, 4, duration=[200, 300, 0, 100], **options)
    frames, video, said = read(path)
    assert (video.length, said) == (4, "")
    assert [int(frame.image[3, 3, 2]) for frame in frames] == [0, 20, 40, 60]
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.2, 0.5, 0.6])


def test_pages_of_16_bits_share_one_range(tmp_path: Path) -> None:
    pages = [discs(np.uint16, 100, 2000), discs(np.uint16, 100, 1050)]
    path = write_tiff(tmp_path / "stack.tif", pages)
    assert [np.unique(image).tolist() for image in images(path)] == [[0, 255], [0, 128]]


def test_an_animation_that_breaks_gives_what_came_before(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture) for picture in noise(6)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    found, _, said = read(cut_tail(path))
    assert 2 <= len(found) <= 4
    assert f"{len(found)} read: the next does not decode" in said


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_that_is_cut_gives_the_pages_before(dtype: Any, tmp_path: Path) -> None:
    path = cut_tail(write_tiff(tmp_path / "a.tif", [discs(dtype, 0, 200)] * 5), 0.7)
    found, _, said = read(path)
    assert len(found) == 3
    assert "3 read: the next does not decode" in said


def test_a_page_of_16_bits_that_breaks_leaves_those_before(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [discs(np.uint16, 0, 2000)] * 2)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"\x11\x01\x04\x00\x01\x00\x00\x00")  # the second strip's place
    data[place + 8 : place + 12] = (len(data) - 100).to_bytes(4, "little")
    path.write_bytes(data)
    found, _, said = read(path)
    assert [np.unique(frame.image).tolist() for frame in found] == [[0, 255]]
    assert "2 pictures expected, 1 read: the next does not decode" in said


def test_a_compressed_page_that_is_cut_prints_nothing_raw(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.fromarray(picture) for picture in noise(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    found, _, said = read(path)
    assert len(found) == 1
    assert "the next does not decode" in said
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("height", [7_000, 10_000])
def test_every_page_is_held_to_the_largest_size(height: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    small, large = Image.new("1", (8, 8)), Image.new("1", (20_000, height))
    small.save(path, save_all=True, append_images=[large], compression="group4")
    found, _, said = read(path)
    assert len(found) == 1
    assert "1 read: the next has" in said
    assert "megapixels, at most 134 are read" in said


def test_pages_of_colours_of_16_bits_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [np.ones((9, 9, 3), np.uint16)] * 2)
    with pytest.raises(UnreadableInputError, match="save each as a file of its own"):
        Video(path)


def test_a_recording_that_was_cut_before_its_index_says_so(tmp_path: Path) -> None:
    path = cut_tail(write_video(tmp_path / "a.mp4", noise(9)))
    with pytest.raises(UnreadableInputError, match="cut before its index"):
        Video(path)
    noisy = tmp_path / "noise.mp4"
    noisy.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UnreadableInputError, match="neither an image nor a video"):
        Video(noisy)


def test_a_file_without_video_says_what_it_has(tmp_path: Path) -> None:
    song = write_sound(tmp_path / "song.m4a")
    with pytest.raises(UnreadableInputError, match=r"has only audio \(aac\), expected"):
        Video(song)
    album = write_sound(tmp_path / "album.mp4", covers=1)
    with pytest.raises(UnreadableInputError, match=r"has only audio \(aac\) and a cover picture"):
        Video(album)


def test_sound_of_an_unknown_kind_is_still_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "song.mp4")
    data = path.read_bytes()
    sample = data.index(b"mp4a", data.index(b"stsd"))
    path.write_bytes(data[:sample] + b"zzzz" + data[sample + 4 :].replace(b"esds", b"free", 1))
    with pytest.raises(UnreadableInputError, match=r"has only audio \(of an unknown kind\)"):
        Video(path)


def test_a_heic_photograph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UnreadableInputError, match="HEIC photograph, which is not read; convert"):
        Video(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_text_under_the_name_of_a_picture_is_neither(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"not a picture")
    _, _, said = read(path)
    assert said.endswith("neither an image nor a video")


@pytest.mark.parametrize("content", [b"neither\n" * 40, b"\x1b[31mred\x1b[0m\n" * 40, b"\0" * 99])
def test_text_is_no_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UnreadableInputError, match="neither an image nor a video"):
        Video(path)
