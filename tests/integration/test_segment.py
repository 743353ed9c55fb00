"""`segment` over real files, the real ONNX Runtime and the shipped clustering."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError
from contract.mask import decode_mask
from contract.result import Result, decode_result
from media.brightness import Levels
from tests.tiff_files import write_tiff
from tests.tiny_model import CARD, tiny_model, write_artifact
from tests.video_files import cut_every_second, cut_tail, write_sound
from tests.video_files import write_video as write_video_of
from viewer.segment_files import output_names, segment
from viewer.segment_outputs import UnwritableOutputError

SIZE = (96, 160)
SPOTS = ((30, 40), (60, 110))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = msgspec.structs.replace(CARD, height=SIZE[0], width=SIZE[1])
    folder = tmp_path_factory.mktemp("model") / "tiny" / "1"
    return write_artifact(folder, tiny_model(height=SIZE[0], width=SIZE[1]), card)


def picture(shift: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Two white discs of 10 pixels radius on black."""
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros((*size, 3), np.uint8)
    for row, column in SPOTS:
        image[(y - row) ** 2 + (x - column - shift) ** 2 <= 100] = 255
    return image


def write_video(path: Path, frames: int, fps: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width = SIZE
        for number in range(frames):
            image = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def test_an_image_gives_a_map_a_document_and_an_overlay(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "yard.png"
    Image.fromarray(picture()).save(source)
    out = tmp_path / "out"
    assert segment([source], model, out, provider="cpu", show_progress=False) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "yard.instances.png",
        "yard.json",
        "yard.overlay.jpg",
    ]
    result = decode_result((out / "yard.json").read_bytes())
    assert (result.camera, result.sequence, result.width, result.height) == ("yard", 0, 160, 96)
    assert [(each.class_name, each.center) for each in result.instances] == [
        ("person", (40.0, 30.0)),
        ("person", (110.0, 60.0)),
    ]
    with Image.open(out / "yard.instances.png") as image:
        assert image.mode == "I;16"
        numbers = np.asarray(image)
    assert numbers.shape == SIZE
    for each in result.instances:
        np.testing.assert_array_equal(numbers == each.id, decode_mask(each.mask))
    with Image.open(out / "yard.overlay.jpg") as overlay:
        assert overlay.size == (160, 96)


def test_a_video_gives_a_document_a_line_and_an_overlay_video(tmp_path: Path, model: Path) -> None:
    source = write_video(tmp_path / "street.mp4", frames=7)
    out = tmp_path / "out"
    assert segment([source], model, out, provider="cpu", batch_size=3, show_progress=False) == 0
    assert sorted(path.name for path in out.iterdir()) == ["street.jsonl", "street.overlay.mp4"]
    results = [decode_result(line) for line in (out / "street.jsonl").read_bytes().splitlines()]
    assert [result.sequence for result in results] == list(range(7))
    assert len({result.session for result in results}) == 1
    seconds = [(each.captured_at - results[0].captured_at).total_seconds() for each in results]
    assert seconds == pytest.approx([number / 5 for number in range(7)], abs=0.001)
    columns = [result.instances[0].center[0] for result in results]
    assert columns == pytest.approx(range(40, 47), abs=1)
    with av.open(str(out / "street.overlay.mp4")) as overlay:
        assert len(list(overlay.decode(video=0))) == 7


def test_unreadable_files_are_named_and_the_others_go_on(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.jpg"
    Image.fromarray(picture()).save(good, quality=95)
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(good.read_bytes()[:600])
    text = tmp_path / "notes.txt"
    text.write_text("neither\n" * 40)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 20)
    whole = write_video(tmp_path / "whole.mp4", frames=5)
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    missing = tmp_path / "missing.png"
    broken = [truncated, text, noise, headless, missing, tmp_path]
    out = tmp_path / "out"
    code = segment([*broken, good], model, out, provider="cpu", show_progress=False)
    assert code == 1
    said = capsys.readouterr().err
    for path in broken:
        assert f"seedstream: {path}: " in said
    assert sorted(path.name for path in out.iterdir()) == [
        "good.instances.png",
        "good.json",
        "good.overlay.jpg",
    ]


def test_the_score_threshold_is_applied(tmp_path: Path, model: Path) -> None:
    image = picture()
    image[:, 80:] = image[:, 80:] // 255 * 240  # a score of 0.94
    source = tmp_path / "two.png"
    Image.fromarray(image).save(source)
    counts = []
    for score in (0.5, 0.97):
        segment([source], model, tmp_path / "out", score, "cpu", show_progress=False)
        document = json.loads((tmp_path / "out" / "two.json").read_text())
        counts.append(len(document["instances"]))
    assert counts == [2, 1]


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to show
    Image.fromarray(picture()).save(source, quality=95, exif=exif)
    segment([source], model, tmp_path, provider="cpu", show_progress=False)
    result = decode_result((tmp_path / "phone.json").read_bytes())
    assert (result.width, result.height) == (96, 160)


def test_a_missing_model_ends_before_any_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model here"):
        segment([tmp_path / "a.png"], tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_inputs_of_one_name_do_not_overwrite_each_other() -> None:
    paths = [Path("a/x.jpg"), Path("b/x.png"), Path("x.mp4"), Path("y.jpg"), Path("x-2.jpg")]
    assert output_names(paths) == ["x", "x-2", "x-3", "y", "x-2-2"]


def test_names_that_leave_no_room_for_endings_are_shortened(tmp_path: Path, model: Path) -> None:
    sources = [tmp_path / f"{letter * 125}{'x' * end}.png" for letter in "aü" for end in (1, 0)]
    for source in sources:
        Image.fromarray(picture()).save(source)
    out = tmp_path / "out"
    assert segment([*sources, *sources], model, out, provider="cpu", show_progress=False) == 0
    assert len(list(out.glob("*.json"))) == 8


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """Let no file grow beyond some bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_of_a_picture_that_finds_no_room_no_half_file_is_left(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "out"
    Image.fromarray(picture()).save(source)
    with files_of_at_most(1000), pytest.raises(UnwritableOutputError, match="cannot be written to"):
        segment([source], model, out, provider="cpu", show_progress=False)
    assert "a.overlay.jpg" not in {path.name for path in out.iterdir()}
    assert not [path for path in out.iterdir() if path.name.endswith(".partial")]


def test_of_a_video_that_finds_no_room_whole_lines_are_left(tmp_path: Path, model: Path) -> None:
    source, out = write_video(tmp_path / "a.mp4", frames=20), tmp_path / "out"
    with files_of_at_most(2000), pytest.raises(UnwritableOutputError, match="cannot be written to"):
        segment([source], model, out, provider="cpu", show_progress=False)
    assert [path.name for path in out.iterdir()] == ["a.jsonl"]
    assert 1 <= len(lines(out, "a")) < 20


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, model: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with pytest.raises(ConfigurationError, match=r"--out .*taken: expected a folder"):
        segment([tmp_path / "a.png"], model, taken, provider="cpu", show_progress=False)


def lines(out: Path, name: str) -> list[Result]:
    return [decode_result(line) for line in (out / f"{name}.jsonl").read_bytes().splitlines()]


def overlay_frames(out: Path, name: str) -> list[NDArray[np.uint8]]:
    with av.open(str(out / f"{name}.overlay.mp4")) as overlay:
        return [frame.to_ndarray(format="rgb24") for frame in overlay.decode(video=0)]


def centers(result: Result) -> list[tuple[float, float]]:
    return [each.center for each in result.instances]


@pytest.mark.parametrize("highest", [255, 4095, 65_535])
def test_a_16_bit_picture_gives_what_its_8_bit_twin_gives(
    highest: int, tmp_path: Path, model: Path
) -> None:
    Image.fromarray(picture()).save(tmp_path / "twin.png")
    deep = picture()[:, :, 0].astype(np.uint16) // 255 * highest
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    inputs = [tmp_path / name for name in ("twin.png", "deep.png", "deep.tif")]
    assert segment(inputs, model, tmp_path, provider="cpu", show_progress=False) == 0
    twin, png, tif = (
        decode_result((tmp_path / f"{name}.json").read_bytes())
        for name in ("twin", "deep", "deep-2")
    )
    assert len(twin.instances) == 2
    assert png.instances == tif.instances == twin.instances


def test_set_levels_are_kept(tmp_path: Path, model: Path) -> None:
    Image.fromarray(picture()[:, :, 0].astype(np.uint16) * 10).save(tmp_path / "dim.png")
    segment([tmp_path / "dim.png"], model, tmp_path, provider="cpu", levels=Levels(0, 65_535),
            show_progress=False)  # fmt: skip
    assert not decode_result((tmp_path / "dim.json").read_bytes()).instances


def test_a_video_of_a_phone_is_segmented_upright(tmp_path: Path, model: Path) -> None:
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter clockwise
    lying = np.rot90(picture()).copy()
    path = write_video_of(tmp_path / "phone.mp4", [lying] * 2, matrix=matrix)
    assert segment([path], model, tmp_path, provider="cpu", show_progress=False) == 0
    for result in lines(tmp_path, "phone"):
        assert (result.width, result.height) == (160, 96)
        assert centers(result) == [pytest.approx((40, 30), abs=1), pytest.approx((110, 60), abs=1)]
    assert overlay_frames(tmp_path, "phone")[0].shape == (96, 160, 3)


def test_a_video_that_changes_its_size_keeps_all_results(tmp_path: Path, model: Path) -> None:
    first = write_video_of(tmp_path / "a.ts", [picture()] * 4)
    second = write_video_of(tmp_path / "b.ts", [picture(0, (96, 128))] * 3)
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    assert segment([path], model, tmp_path, provider="cpu", show_progress=False) == 0
    found = lines(tmp_path, "both")
    sizes = [(result.width, result.height) for result in found]
    assert sizes == [(160, 96)] * 4 + [(128, 96)] * 3
    assert [len(result.instances) for result in found] == [2] * 7
    frames = overlay_frames(tmp_path, "both")
    assert [frame.shape for frame in frames] == [(96, 160, 3)] * 7
    assert frames[-1][:, :14].max() < 20  # fitted between black bars


def test_what_was_read_of_a_cut_video_is_kept_and_said(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.avi"
    cut_tail(write_video_of(path, [picture(n) for n in range(72)], codec="mjpeg"))
    assert segment([path], model, tmp_path, provider="cpu", batch_size=4, show_progress=False) == 1
    count = len(lines(tmp_path, "cut"))
    assert 35 <= count <= 48
    assert len(overlay_frames(tmp_path, "cut")) == count
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path}: 72 frames expected, {count} read" in said
    assert "(what was read is kept)" in said


def test_cut_frames_are_left_out_counted_and_said_once(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [picture(n) for n in range(12)]
    path = write_video_of(tmp_path / "bad.avi", pictures, codec="mjpeg", change=cut_every_second)
    assert segment([path], model, tmp_path, provider="cpu", show_progress=False) == 1
    assert [result.sequence for result in lines(tmp_path, "bad")] == [0, 2, 4, 6, 8, 10]
    assert all(len(result.instances) == 2 for result in lines(tmp_path, "bad"))
    assert capsys.readouterr().err == (
        f"seedstream: {path}: 12 frames, 6 of them damaged (cut, or not decodable) and left out\n"
    )


def test_every_frame_of_an_animation_and_every_page_is_segmented(
    tmp_path: Path, model: Path
) -> None:
    pages = [Image.fromarray(picture(shift)[:, :, 0]) for shift in (0, 5, 10)]
    inputs = [tmp_path / name for name in ("a.gif", "b.webp", "c.png", "d.tif")]
    for path in inputs:
        pages[0].save(path, save_all=True, append_images=pages[1:])
    assert segment(inputs, model, tmp_path, provider="cpu", show_progress=False) == 0
    for path in inputs:
        found = lines(tmp_path, path.stem)
        assert [centers(each)[0] for each in found] == [
            pytest.approx((40 + shift, 30), abs=1) for shift in (0, 5, 10)
        ], path
        assert len(overlay_frames(tmp_path, path.stem)) == 3


def test_a_file_without_pictures_gives_its_reason(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = write_sound(tmp_path / "song.m4a")
    channels = write_tiff(tmp_path / "channels.tif", [np.ones((9, 9, 5), np.uint16)], photometric=1)
    assert segment([song, channels], model, tmp_path / "out", provider="cpu",
                   show_progress=False) == 1  # fmt: skip
    said = capsys.readouterr().err
    assert f"{song}: has only audio (aac)" in said
    assert f"{channels}: has 5 channels of 16 bits" in said
    assert not list((tmp_path / "out").iterdir())


def test_tiles_find_what_a_large_picture_loses_and_too_many_tiles_are_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in [("large", (288, 480)), ("huge", (2000, 2400)), ("small", SIZE)]:
        Image.fromarray(picture(size=size)).save(tmp_path / f"{name}.png")
    inputs = [tmp_path / f"{name}.png" for name in ("large", "huge", "small")]
    found = {}
    for resize in ("letterbox", "tile"):
        out = tmp_path / resize
        code = segment(inputs, model, out, provider="cpu", resize=resize, show_progress=False)  # type: ignore[arg-type]
        found[resize] = (code, {p.stem: len(_instances(p)) for p in sorted(out.glob("*.json"))})
    assert found == {
        "letterbox": (0, {"huge": 0, "large": 0, "small": 2}),
        "tile": (1, {"large": 2, "small": 2}),
    }
    said = " ".join(capsys.readouterr().err.split())
    assert "huge.png: 2400x2000 pixels need 560 tiles of 160x96, expected at most 512" in said


def _instances(document: Path) -> list[object]:
    return list(decode_result(document.read_bytes()).instances)
