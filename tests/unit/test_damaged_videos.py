"""Evaluation and labels from motion on videos that are damaged or change their size."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.evaluation.on_video import read_frames
from model.motion.motion_options import Options
from model.motion.stored_frames import store_frames
from tests.video_files import cut_every_second, noise, write_video


def cut_from(start: int, number: int, data: bytes) -> bytes:
    return cut_every_second(number, data) if number >= start else data


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Write 40 frames, of which those with the numbers 32, 34, ... (from 1) are cut."""
    return write_video(
        tmp_path / "bad.avi", noise(40), codec="mjpeg", change=lambda n, data: cut_from(31, n, data)
    )


def test_true_boxes_are_not_compared_with_a_damaged_frame(damaged: Path) -> None:
    assert [number for number, _ in read_frames(damaged, 2, 31)] == list(range(2, 32))
    with pytest.raises(ConfigurationError, match=r"frame 32 is damaged, expected whole frames 2"):
        list(read_frames(damaged, 2, 33))
    with pytest.raises(ConfigurationError, match="frame 32 is damaged"):
        list(read_frames(damaged, 32, 33))


def test_labels_from_motion_leave_damaged_frames_out_under_their_numbers(
    damaged: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = Options(**{"class": "person"}, first=1, step=1, max_frames=40)
    stored = store_frames(damaged, tmp_path / "frames", options, lambda *_: None)
    assert stored.numbers == (*range(1, 32), 33, 35, 37, 39)
    assert caplog.messages == [f"{damaged}: 5 damaged frames are left out"]


def test_labels_from_motion_need_one_size(tmp_path: Path) -> None:
    pictures = noise(25)
    first = write_video(tmp_path / "a.ts", pictures)
    second = write_video(tmp_path / "b.ts", [cv2.resize(each, (64, 64)) for each in pictures])
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    options = Options(**{"class": "person"}, first=1, step=1, max_frames=60)
    with pytest.raises(ConfigurationError, match=r"frame 26 has 64x64 pixels, those before it 96"):
        store_frames(both, tmp_path / "frames", options, lambda *_: None)
    assert np.all([path.suffix == f".{options.image}" for path in (tmp_path / "frames").iterdir()])
