"""Videos of the producer's scene, whose every object is known, become data sets."""

import json
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from contract.errors import ConfigurationError
from model.data.labels import IGNORE
from model.data.open import open_data_set
from model.motion.composed import write_composed
from model.motion.make import label_from_motion
from model.motion.options_file import load_options
from model.motion.scene_store import read_scenes
from producer.scene import Scene
from seedstream.cli import build
from stack.interrupts import EXIT_INTERRUPTED
from tests.scenes import write_video

FRAMES = 60
STREET = Scene(width=480, height=360, objects=2, seed=4, fps=5)
LOOKS = {"height_tolerance": 0}


def options(class_name: str = "person", **values):
    return load_options(None, **{"class": class_name, "motion": LOOKS, **values})


def write_frames(path: Path, frames) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            image = np.ascontiguousarray(frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "street 1.avi", STREET, FRAMES)


@pytest.fixture(scope="module")
def made(video, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "street"
    (summary,) = label_from_motion({video: options()}, out, command="seedstream ...")
    return out, summary


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_masks_are_those_of_the_known_objects(made):
    out, summary = made
    data = open_data_set(out)
    overlaps, wrong_background = [], 0
    for index, name in enumerate(data.names):
        picture = data.read(index)
        _, truth = STREET.render(int(name.rpartition("/")[2]) - 1)
        for number in np.unique(picture.instances)[1:]:
            own = picture.instances == number
            best = np.bincount(truth[own]).argmax()
            overlaps.append((own & (truth == best)).sum() / (own | (truth == best)).sum())
        wrong_background += int(((picture.labels == 0) & (truth > 0)).sum() > 200)

    assert len(data) == summary.frames == FRAMES
    assert len(overlaps) == summary.objects > FRAMES
    # No object loses pixels; the colour, at half resolution in the video, adds half of one around.
    assert np.median(overlaps) > 0.86
    assert np.quantile(overlaps, 0.05) > 0.75
    assert wrong_background == 0


def test_the_data_set_says_how_it_was_made(made):
    out, summary = made
    card = json.loads((out / "dataset.json").read_text())
    scene = json.loads((out / "scenes/street-1/scene.json").read_text())

    assert card["classes"] == ["person"]
    assert card["made_by"] == ["seedstream ..."]
    # The end with 15 % of the objects; 9 frames if all had as many.
    assert 9 <= summary.validation <= 12
    held = range(FRAMES + 1 - summary.validation, FRAMES + 1)
    assert card["validation"] == [f"street-1/{number:06d}" for number in held]
    assert list(open_data_set(out, split="validation").names) == card["validation"]
    assert len(open_data_set(out, split="train")) == FRAMES - summary.validation
    assert scene["size"] == [360, 480]
    assert scene["options"]["class"] == "person"
    assert scene["objects"] == summary.objects
    assert [path.name for path in out.parent.iterdir()] == ["street"], "the stage was left behind"


def test_cut_outs_come_from_frames_that_teach(made):
    out, summary = made
    (scene,) = read_scenes(out)

    assert len(scene.cut_outs) == summary.cut_outs < summary.objects
    assert scene.front is None
    assert all(cut_out.alpha.max() == 255 for cut_out in scene.cut_outs)


def test_a_second_video_and_class_are_added(made, video, tmp_path):
    out = tmp_path / "both"
    label_from_motion({video: options()}, out)
    before = {path: (out / path).read_bytes() for path in tree(out) - {"dataset.json"}}
    other = tmp_path / "yard.avi"
    other.write_bytes(video.read_bytes())

    label_from_motion({other: options("visitor", preset="person", step=2)}, out, add=True)

    data = open_data_set(out)
    assert data.classes == ("person", "visitor")
    assert len(data) == FRAMES + FRAMES // 2
    yard = next(i for i, name in enumerate(data.names) if name.startswith("yard/"))
    assert set(np.unique(data.read(yard).labels)) <= {0, 2, IGNORE}
    assert {cut_out.label for cut_out in read_scenes(out)[1].cut_outs} == {2}
    assert all((out / path).read_bytes() == content for path, content in before.items())


def test_what_is_there_is_neither_written_over_nor_added_to_twice(made, video):
    out, _ = made
    before = tree(out)

    with pytest.raises(ConfigurationError, match="add to it with --add"):
        label_from_motion({video: options()}, out)
    with pytest.raises(ConfigurationError, match="has a scene 'street-1' already"):
        label_from_motion({video: options()}, out, add=True)
    assert tree(out) == before


def test_refused_videos_are_all_named_and_leave_nothing_behind(video, tmp_path):
    rng = np.random.default_rng(0)
    world = np.pad(STREET.render(0)[0], ((20, 20), (20, 20), (0, 0)), mode="reflect")
    corners = rng.integers(0, 40, (30, 2))
    shaken = [world[y : y + 360, x : x + 480] for y, x in corners]
    shaking = write_frames(tmp_path / "shaking.avi", shaken)
    still = write_frames(tmp_path / "still.avi", [STREET.render(0)[0]] * 30)
    short = write_frames(tmp_path / "short.avi", [STREET.render(0)[0]] * 5)
    text = tmp_path / "notes.avi"
    text.write_text("no video")
    wanted = [video, shaking, still, short, text, tmp_path / "missing.avi"]

    with pytest.raises(ConfigurationError) as caught:
        label_from_motion(dict.fromkeys(wanted, options()), tmp_path / "out" / "street")

    faults = caught.value.faults
    assert len(faults) == 5
    messages = (
        "fixed camera",
        "nothing moves",
        "5 usable frames",
        "neither an image nor a video",
        "no such file",
    )
    for fault, path, part in zip(faults, wanted[1:], messages, strict=True):
        assert path.name in fault
        assert part in fault
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_is_mostly_taken_needs_a_named_background(tmp_path):
    ground = Scene(width=320, height=240, objects=0, seed=1).render(0)[0]
    frames = []
    for number in range(60):
        frame = ground.copy()
        if number >= 15:  # comes in frame 16, stands 37 frames, leaves
            left = 150 + 9 * max(0, number - 52)
            frame[100:180, left : left + 30] = (20, 40, 160)
        frames.append(frame)
    desk = write_frames(tmp_path / "desk.avi", frames)
    looks = {**LOOKS, "girth": [0.1, 0.6], "shoulders": 0.6}

    with pytest.raises(ConfigurationError, match=r"taken for background.*--background"):
        label_from_motion({desk: options(motion=looks)}, tmp_path / "a")
    (summary,) = label_from_motion(
        {desk: options(motion=looks, background=(1, 14))}, tmp_path / "b", force=True
    )  # a single visitor is too few to be believed

    assert summary.objects >= 43
    assert summary.ignored < 0.01


def test_a_video_that_ends_before_the_last_frame_asked_for_is_refused(video, tmp_path):
    with pytest.raises(ConfigurationError, match=r"ends after frame 60, expected 90"):
        label_from_motion({video: options(last=90)}, tmp_path / "out")


def test_of_a_long_video_frames_are_spread_evenly_and_memory_stays_bounded(tmp_path):
    scene = Scene(width=320, height=240, objects=2, seed=4, fps=25)
    long = write_video(tmp_path / "long.avi", scene, 1200)
    tracemalloc.start()  # numpy tells it about its arrays

    label_from_motion({long: options(max_frames=100)}, tmp_path / "out")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    names = open_data_set(tmp_path / "out").names
    assert [int(name[-6:]) for name in names] == list(range(1, 1201, 12))
    frame = 320 * 240 * 3
    assert peak < 300 * frame, "the 1200 frames of the video seem to be held"


def test_composed_pictures_are_a_plain_data_set(made, tmp_path):
    out, _ = made
    write_composed(out, tmp_path / "a", 4, 0, lambda *_: None)
    write_composed(out, tmp_path / "b", 4, 0, lambda *_: None)

    data = open_data_set(tmp_path / "a")
    pictures = list(data)
    assert [picture.image.shape for picture in pictures] == [(360, 360, 3)] * 4
    assert sum(picture.instances.max() for picture in pictures) > 4
    assert all(((p.instances > 0) == (p.labels == 1)).all() for p in pictures)
    for path in tree(tmp_path / "a"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_composed_pictures_repeat_what_is_doubtful_about_the_labels(made, tmp_path):
    out, summary = made
    write_composed(out, tmp_path / "composed", 1, 0, lambda *_: None)

    warnings = open_data_set(tmp_path / "composed").warnings()
    assert summary.warnings, "a minute of two objects is not above all doubt"
    assert list(warnings) == [f"street-1: {text}" for text in summary.warnings]


def test_composed_pictures_are_there_whole_or_not_at_all(made, tmp_path, monkeypatch):
    out, _ = made
    monkeypatch.setattr("cv2.imwrite", lambda *_: False)

    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_composed(out, tmp_path / "composed", 1, 0, lambda *_: None)

    assert list(tmp_path.iterdir()) == []


def test_the_end_that_is_asked_for_leaves_nothing_behind(video, tmp_path):
    arguments = ["label-from-motion", str(video), "--out", str(tmp_path / "out")]
    arguments += ["--class", "person", "--height-tolerance", "0"]
    process = subprocess.Popen([sys.executable, "-m", "seedstream", *arguments])
    try:
        while not list(tmp_path.glob(".out-*/images")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    finally:
        process.kill()

    assert code == EXIT_INTERRUPTED
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_data_set_sheets_and_summary(video, tmp_path):
    out = tmp_path / "out"
    arguments = ["label-from-motion", str(video), "--out", str(out), "--class", "person"]
    arguments += ["--height-tolerance", "0", "--last", "40", "--compose", "1"]

    result = CliRunner().invoke(build(arguments), arguments, catch_exceptions=False)

    assert result.exit_code == 0, result.output
    assert "40 frames of 480x360, 6 of them validate" in result.output
    sheet = cv2.imread(str(out / "scenes/street-1/sheet.jpg"))
    assert sheet is not None
    assert sheet.std() > 10
    assert cv2.imread(str(out / "scenes/street-1/cutouts.jpg")) is not None
    assert len(open_data_set(tmp_path / "out-composed")) == 1


def test_people_of_a_real_street_are_found(shared_data, tmp_path):
    street = shared_data / "video" / "opencv_vtest_576p_80s.avi"

    (summary,) = label_from_motion(
        {street: load_options(None, last=60, **{"class": "person"})}, tmp_path / "out"
    )

    assert summary.objects / summary.frames > 2
    slope, intercept = summary.perspective
    assert 300 * slope + intercept == pytest.approx(88, rel=0.1)
    assert 0 < summary.ignored < 0.1
