"""Brightness of more than 8 bits, channels, orientation, several pictures a file, size."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.errors import ConfigurationError
from media import pixels
from media.brightness import Levels, own_range
from media.picture_files import (
    NotAPictureError,
    SeveralPicturesError,
    UnreadableInputError,
    opened_picture,
    page_numbers,
)
from media.pictures import read_image
from tests.tiff_files import GREY, RGB, discs, write_tiff
from tests.video_files import cut_tail, noise

TWIN = discs(np.uint8, 0, 255)
"""What every picture of two discs must look like, whatever its numbers were."""


def assert_twin(image: NDArray[np.uint8]) -> None:
    assert (image.dtype, image.shape) == (np.uint8, (*TWIN.shape, 3))
    np.testing.assert_array_equal(image, np.repeat(TWIN[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.uint16, 0, 4095),
        (np.uint16, 120, 900),
        (np.uint16, 0, 65_535),
        (np.int16, -300, 500),
        (np.uint32, 1, 4_000_000_000),
        (np.float32, 0.0, 1.0),
        (np.float32, -2.5, 1e6),
        (np.float64, 0.1, 0.2),
        (np.float64, -1.7e308, 1.7e308),
        (np.float32, -3.4e38, 3.4e38),
        (np.float64, 1e9, 1e9 + 1),
        (np.uint32, 4_000_000_000, 4_000_000_100),
        (np.int8, -100, 100),
    ],
)
def test_a_deep_picture_looks_like_its_8_bit_twin(
    dtype: Any, low: float, high: float, tmp_path: Path
) -> None:
    assert_twin(read_image(write_tiff(tmp_path / "a.tif", [discs(dtype, low, high)])))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_16_bit_picture_of_pillow_looks_like_its_8_bit_twin(name: str, tmp_path: Path) -> None:
    Image.fromarray(discs(np.uint16, 200, 3000)).save(tmp_path / name)
    assert_twin(read_image(tmp_path / name))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_keep_their_low_bits(channels: int, tmp_path: Path) -> None:
    grey = discs(np.uint16, 100, 3000)
    deep = np.stack([grey, grey // 2, grey // 4, np.full_like(grey, 65_535)][:channels], axis=2)
    expected = np.rint((deep[:, :, :3].astype(float) - 25) * 255 / (3000 - 25))
    cv2.imwrite(str(tmp_path / "a.png"), deep[:, :, [2, 1, 0, 3][:channels]])
    write_tiff(tmp_path / "a.tif", [deep])
    for name in ("a.png", "a.tif"):
        assert np.abs(read_image(tmp_path / name) - expected).max() <= 1, name


def test_single_hot_and_dead_pixels_do_not_set_the_range(tmp_path: Path) -> None:
    values = discs(np.uint16, 200, 1000)
    values[2, 2], values[40, 5] = 65_535, 0
    assert own_range(values) == (200, 1000)
    image = read_image(write_tiff(tmp_path / "a.tif", [values]))
    assert (image[2, 2, 0], image[40, 5, 0], image[16, 16, 0], image[0, 0, 0]) == (255, 0, 255, 0)


def test_levels_that_are_set_clip_and_one_alone_leaves_the_other_to_the_file(
    tmp_path: Path,
) -> None:
    path = write_tiff(tmp_path / "a.tif", [discs(np.uint16, 100, 1000)])

    def shown(levels: Levels) -> tuple[int, int]:
        image = read_image(path, levels=levels)
        return int(image[0, 0, 0]), int(image[16, 16, 0])

    assert shown(Levels(0, 4095)) == (6, 62)
    assert shown(Levels(400, 600)) == (0, 255)
    assert shown(Levels(white=2000)) == (0, 121)
    assert shown(Levels(black=0)) == (26, 255)
    assert shown(Levels(black=5000)) == (0, 0)
    assert shown(Levels(white=50)) == (255, 255)


def test_levels_leave_8_bits_alone(tmp_path: Path) -> None:
    Image.fromarray(discs(np.uint8, 40, 90)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", levels=Levels(0, 100))
    assert np.unique(image).tolist() == [40, 90]


def test_levels_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="black level is 9 and the white level 3"):
        Levels(9, 3)


@pytest.mark.parametrize("levels", [(float("nan"), None), (0, float("inf"))])
def test_levels_that_are_no_numbers_are_refused(levels: tuple[float, float | None]) -> None:
    with pytest.raises(ConfigurationError, match=r"level is (nan|inf), expected a number"):
        Levels(*levels)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("black", "white", "shown"), [(0, None, 0), (None, 0, 255)])
def test_a_level_at_which_a_flat_picture_lies_gives_no_warning(
    black: float | None, white: float | None, shown: int
) -> None:
    flat = np.zeros((9, 9), np.uint16)
    assert np.unique(Levels(black, white).apply(flat)).tolist() == [shown]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_in_which_zero_is_white_is_shown_so(dtype: Any, tmp_path: Path) -> None:
    assert_twin(read_image(write_tiff(tmp_path / "a.tif", [discs(dtype, 255, 0)], photometric=0)))


@pytest.mark.parametrize(("magic", "channels"), [("P5", 1), ("P6", 3)])
def test_a_portable_map_of_12_bits_keeps_its_numbers(
    magic: str, channels: int, tmp_path: Path
) -> None:
    grey = discs(np.uint16, 100, 3000)
    path = tmp_path / "a.pnm"
    pixels = np.repeat(grey.astype(">u2"), channels, axis=1)
    path.write_bytes(f"{magic}\n64 48\n4095\n".encode() + pixels.tobytes())
    assert_twin(read_image(path, levels=Levels(100, 3000)))


def test_brightness_beyond_the_bits_in_use_is_a_fault(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [discs(np.uint16, 100, 5000)])
    with pytest.raises(UnreadableInputError, match=r"brightness 100..5000, expected 0..4095"):
        read_image(path, levels=Levels.of_bits(12))


def test_one_brightness_everywhere_and_what_is_no_number_are_black(tmp_path: Path) -> None:
    flat = write_tiff(tmp_path / "flat.tif", [np.full((9, 9), 700, np.uint16)])
    assert not read_image(flat).any()
    holes = discs(np.float32, 3, 5)
    holes[:10] = np.nan
    holes[40:, 3:6] = np.inf
    image = read_image(write_tiff(tmp_path / "holes.tif", [holes]))
    assert (image[0, 0, 0], image[16, 16, 0], image[20, 0, 0]) == (0, 255, 0)


@pytest.mark.parametrize(
    ("shape", "dtype", "photometric", "expected"),
    [
        ((9, 9, 2), np.uint8, GREY, "has 2 channels of 8 bits"),
        ((9, 9, 3), np.uint16, GREY, "has 3 channels of 16 bits"),
        ((9, 9, 5), np.uint16, GREY, "save the channel that shows the objects"),
        ((9, 9, 6), np.uint16, RGB, "has 6 channels of 16 bits"),
        ((9, 9, 5), np.float32, GREY, "5 channels of 32 bits .floating point."),
        ((9, 9), np.uint64, GREY, "expected at most 32 bits"),
        ((9, 9), np.float16, GREY, "1 channel of 16 bits .floating point., expected 32 or 64"),
    ],
)
def test_channels_that_are_no_colours_are_named(
    shape: tuple[int, ...], dtype: Any, photometric: int, expected: str, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", [np.ones(shape, dtype)], photometric=photometric)
    with pytest.raises(UnreadableInputError, match=expected) as raised:
        read_image(path)
    assert not isinstance(raised.value, NotAPictureError)  # nobody takes it for a video


def test_of_colours_and_a_further_channel_the_colours_are_read(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (9, 9, 4), np.uint8)
    image = read_image(write_tiff(tmp_path / "a.tif", [values]))
    np.testing.assert_array_equal(image, values[:, :, :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    expected = {
        1: values, 2: values[:, ::-1], 3: values[::-1, ::-1], 4: values[::-1],
        5: values.transpose(1, 0, 2), 6: np.rot90(values, -1),
        7: values[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(values),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)

    write_tiff(tmp_path / "deep.tif", [values.astype(np.uint16)], orientation=orientation)
    shown = read_image(tmp_path / "deep.tif", levels=Levels(0, 255))
    np.testing.assert_array_equal(shown, expected)


def test_a_large_picture_is_converted_in_strips_to_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 255, (50, 30), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    whole = read_image(tmp_path / "a.png")
    monkeypatch.setattr(pixels, "_STRIP_PIXELS", 200)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), whole)


def save_frames(path: Path, count: int, **options: Any) -> Path:
    frames = [Image.new("RGB", (8, 6), (20 * number, 0, 0)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_of_several_pictures_none_is_taken_in_silence(name: str, tmp_path: Path) -> None:
    path = save_frames(tmp_path / name, 3)
    with pytest.raises(SeveralPicturesError, match="holds 3 pictures, expected one"):
        read_image(path)
    with pytest.raises(SeveralPicturesError), opened_picture(path):
        pass


def test_previews_are_no_pictures_of_their_own(tmp_path: Path) -> None:
    large, small = np.full((20, 20), 90, np.uint8), np.full((5, 5), 90, np.uint8)
    tiff = write_tiff(tmp_path / "a.tif", [large, small], reduced=[1])
    assert read_image(tiff).shape == (20, 20, 3)
    mpo = save_frames(tmp_path / "phone.mpo", 2, format="MPO")  # a photograph with its preview
    assert read_image(mpo).shape == (6, 8, 3)


def test_a_raw_file_of_a_camera_is_not_taken_for_its_preview(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.dng", [np.ones((9, 9, 3), np.uint8)], reduced=[0], raw=True)
    with pytest.raises(UnreadableInputError, match="raw file of a camera"):
        read_image(path)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    with pytest.raises(UnreadableInputError, match="is a pipe or a device; save it as a file"):
        read_image(pipe)
    with pytest.raises(UnreadableInputError, match="is a folder, expected a file"):
        read_image(tmp_path)
    with pytest.raises(UnreadableInputError, match="there is no such file"):
        read_image(tmp_path / "none.png")


def test_a_tiff_that_pillow_does_not_know_is_no_video(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [np.ones((9, 9), np.uint8)], photometric=32_844)
    with pytest.raises(UnreadableInputError, match="TIFF of a kind that is not read") as caught:
        read_image(path)
    assert not isinstance(caught.value, NotAPictureError)


def test_motion_jpeg_is_no_single_picture(tmp_path: Path) -> None:
    recording, photograph = tmp_path / "a.mjpeg", tmp_path / "with-depth.jpg"
    Image.new("L", (8, 6)).save(photograph)
    jpeg = photograph.read_bytes()
    recording.write_bytes(jpeg * 3)
    photograph.write_bytes(jpeg * 2)
    with pytest.raises(SeveralPicturesError, match="holds several pictures"):
        read_image(recording)
    assert read_image(photograph).shape == (6, 8, 3)


@pytest.mark.parametrize("count", [1, 6])
def test_an_avif_that_is_cut_is_no_shorter_picture(count: int, tmp_path: Path) -> None:
    frames = [Image.fromarray(picture) for picture in noise(count)]
    path = tmp_path / "a.avif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableInputError, match="AVIF picture that does not decode") as caught:
        read_image(cut_tail(path))
    assert not isinstance(caught.value, NotAPictureError)


def test_an_avif_that_lacks_its_index_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.new("RGB", (16, 16)).save(path)
    path.write_bytes(path.read_bytes().replace(b"iloc", b"free"))
    with pytest.raises(UnreadableInputError, match="it is broken, or ends early"):
        read_image(path)


def test_colours_of_16_bits_with_wrong_check_sums_say_so_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((9, 9, 3), 3000, np.uint16))
    data = bytearray(path.read_bytes())
    data[-16] ^= 1  # the sum of the pixels' last chunk
    path.write_bytes(data)
    with pytest.raises(UnreadableInputError, match="it is broken"):
        read_image(path)
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("error")
def test_brightness_far_beyond_the_levels_is_white(tmp_path: Path) -> None:
    far = discs(np.float64, 0, 1e300)
    assert Levels(0, 1e-9).apply(far).max() == 255


def test_a_heic_photograph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UnreadableInputError, match="HEIC photograph, which is not read; convert"):
        read_image(path)


def test_the_still_before_an_animated_png_is_not_part_of_it(tmp_path: Path) -> None:
    path = save_frames(tmp_path / "a.png", 3, default_image=True)
    with Image.open(path) as picture:
        assert page_numbers(picture) == [1, 2]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("height", "seen"), [(7_000, "20000x7000 = 140"), (10_000, "over 178")])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(
    height: int, seen: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, height)).save(path)
    with pytest.raises(UnreadableInputError, match=f"has {seen} megapixels, at most 134 are read"):
        read_image(path)


def test_a_large_photograph_is_read_without_a_raw_warning(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (12_000, 9_000)).save(path)
    code = "import sys; from media.pictures import read_image; print(read_image(sys.argv[1]).shape)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("(9000, 12000, 3)\n", "")


def test_a_broken_deep_tiff_says_so_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_tiff(tmp_path / "a.tif", [np.ones((40, 40, 3), np.uint16)])
    data = bytearray(path.read_bytes())
    place = data.index(b"\x11\x01\x04\x00\x01\x00\x00\x00")  # the strip's place in the file
    data[place + 8 : place + 12] = (len(data) - 100).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UnreadableInputError, match="it is broken, or ends early"):
        read_image(path)
    assert capfd.readouterr().err == ""
