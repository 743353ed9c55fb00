"""`segment` over real files, the real ONNX Runtime and the shipped clustering."""

import json
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
from contract.result import decode_result
from tests.tiny_model import CARD, tiny_model, write_artifact
from viewer.segment_files import output_names, segment

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
