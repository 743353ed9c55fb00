import cv2
import numpy as np
import pytest
import torch

from contract.errors import ConfigurationError
from model.augment.compose import Composer
from model.data.labels import IGNORE, CutOut, Labelled, Scene
from model.data.old_datasets import Crops, Photographs, read_frames


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for grey in range(0, 200, 20):
        writer.write(np.full((24, 32, 3), (grey, 0, 0), np.uint8))  # OpenCV's order: blue first
    writer.release()
    return path


def test_frames_are_counted_from_one_and_are_rgb(video):
    frames = read_frames(video, first=2, last=6, step=2)

    assert [int(frame[..., 2].mean()) for frame in frames] == pytest.approx([20, 60, 100], abs=6)
    assert all(frame[..., 0].mean() < 12 for frame in frames)


def test_a_video_that_ends_early_is_named_with_what_was_found(video):
    with pytest.raises(ConfigurationError, match=r"clip.avi: .*1\.\.300.* 10 frames"):
        read_frames(video, first=1, last=300, step=1)


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"gone\.avi"):
        read_frames(tmp_path / "gone.avi", 1, None, 1)


def test_polygons_become_instances_and_the_smaller_lies_on_top(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), np.zeros((100, 200, 3), np.uint8))
    (tmp_path / "labels" / "a.txt").write_text(
        "0 0.4 0.4 0.5 0.4 0.5 0.6 0.4 0.6\n"  # person, small
        "2 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n"  # car, large
        "1 0.0 0.0 0.05 0.0 0.05 0.05 0.0 0.05\n"  # bicycle: ignored
        "16 0.95 0.95 1 0.95 1 1 0.95 1\n"  # dog: background
    )
    photographs = Photographs(
        images="images", polygons="labels", classes={0: 1, 2: 2, 1: IGNORE}, weight=1, scale=(1, 1)
    )

    scene, cut_outs = photographs.load(tmp_path)

    (picture,) = scene.pictures
    assert picture.image.shape == (100, 200, 3)
    assert picture.labels[50, 90] == 1
    assert picture.labels[20, 30] == 2
    assert picture.instances[50, 90] != picture.instances[20, 30] > 0
    assert picture.labels[2, 4] == IGNORE
    assert picture.labels[97, 195] == 0
    assert cut_outs == []


def test_a_folder_without_photographs_is_refused(tmp_path):
    photographs = Photographs(images="none", polygons="none", classes={}, weight=1, scale=(1, 1))

    with pytest.raises(ConfigurationError, match="no photographs"):
        photographs.load(tmp_path)


def test_crop_number_n_does_not_depend_on_where_a_run_was_resumed():
    rng = np.random.default_rng(0)
    picture = Labelled(
        rng.integers(0, 255, (64, 64, 3), np.uint8),
        np.zeros((64, 64), np.int32),
        np.zeros((64, 64), np.uint8),
    )
    cut_out = CutOut(np.full((20, 8, 3), 9, np.uint8), np.full((20, 8), 255, np.uint8), 1)
    composer = Composer([Scene([picture], 1.0, (1.0, 1.0))], [cut_out], crop=32)

    whole, resumed = Crops(composer, 5, 0, 20), Crops(composer, 5, 12, 8)

    assert len(resumed) == 8
    for one, other in zip(whole[14], resumed[2], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(whole[14][0], whole[13][0])
    assert whole[0][0].shape == (3, 32, 32)
    assert 0 <= float(whole[0][0].min()) <= float(whole[0][0].max()) <= 1
