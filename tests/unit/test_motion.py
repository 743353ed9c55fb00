import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.labels import IGNORE
from model.motion.background import difference, median_background
from model.motion.camera import Camera, Motion

HEIGHT, WIDTH = 120, 200
GROUND = (90, 120, 80)
COAT = (20, 20, 140)
SETTINGS = Motion(min_pixels=60, height_tolerance=None, girth=(0.1, 0.6))


def street(rng: np.random.Generator, *walkers: tuple[int, int, int, int]) -> np.ndarray:
    """A noisy frame of ground with rectangles (left, top, width, height) in coats."""
    frame = np.full((HEIGHT, WIDTH, 3), GROUND, np.float32)
    for left, top, width, height in walkers:
        frame[top : top + height, left : left + width] = COAT
    return np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def walk() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [street(rng, (10 + 8 * t, 30, 12, 36)) for t in range(20)]


def test_the_background_is_what_does_not_move(walk):
    background = median_background(walk)

    assert np.abs(background.astype(int) - GROUND).max() <= 3


def test_an_isolated_walker_becomes_one_instance_and_one_cut_out_per_frame(walk):
    scene, cut_outs = Camera(walk, 1, SETTINGS).label_frames(1.0, (1.0, 1.0))

    assert len(cut_outs) == len(walk)
    assert cut_outs[0].image.shape[:2] == pytest.approx((36, 12), abs=2)
    instances = scene.pictures[5].instances
    found = np.argwhere(instances > 0)
    assert set(np.unique(instances)) == {0, 1}
    assert found.min(axis=0) == pytest.approx((30, 50), abs=1)
    assert (scene.pictures[5].labels[instances > 0] == 1).all()


def test_a_pair_is_ignored_and_not_cut_out(walk):
    walk[7] = street(np.random.default_rng(1), (60, 30, 12, 36), (73, 30, 12, 36))

    scene, cut_outs = Camera(walk, 1, SETTINGS).label_frames(1.0, (1.0, 1.0))

    assert len(cut_outs) == len(walk) - 1
    assert scene.pictures[7].instances.max() == 0
    assert scene.pictures[7].labels[45, 66] == IGNORE


def test_what_touches_an_occluder_is_ignored(walk):
    post = (110, [(60, 0), (62, 0), (62, 110), (60, 110)])

    scene, _ = Camera(walk, 1, SETTINGS, occluders=[post]).label_frames(1.0, (1.0, 1.0))

    assert scene.pictures[6].labels[45, 64] == IGNORE
    assert scene.pictures[12].instances.max() == 1
    assert scene.front is not None
    assert scene.front[50, 61] == 110


def test_parked_things_are_labelled_in_every_frame(walk):
    van = (2, [(150, 80), (180, 80), (180, 100), (150, 100)])

    scene, _ = Camera(walk, 1, SETTINGS, parked=[van]).label_frames(1.0, (1.0, 1.0))

    assert all(picture.labels[90, 165] == 2 for picture in scene.pictures)


def test_one_cut_by_the_border_is_labelled_only_where_the_camera_allows_it(walk):
    walk[3] = street(np.random.default_rng(2), (0, 30, 12, 36))

    strict, _ = Camera(walk, 1, SETTINGS).label_frames(1.0, (1.0, 1.0))
    allowing = Motion(min_pixels=60, height_tolerance=None, girth=(0.1, 0.6), border=True)
    labelled, cut_outs = Camera(walk, 1, allowing).label_frames(1.0, (1.0, 1.0))

    assert strict.pictures[3].instances.max() == 0
    assert labelled.pictures[3].instances.max() == 1
    assert len(cut_outs) == len(walk) - 1


def test_a_change_of_exposure_is_no_motion():
    rng = np.random.default_rng(0)
    dark = (street(rng) * 0.85).astype(np.uint8)

    distance, _, _ = difference(dark, street(rng))

    assert np.median(distance) < 5


def test_the_perspective_is_found_and_what_does_not_fit_it_is_ignored():
    rng = np.random.default_rng(0)
    # Feet at row y, height 0.3 y: nearer walkers are taller; the last frame shows a giant.
    frames = []
    for t in range(24):
        bottom = 40 + 3 * t
        height = round(0.3 * bottom)
        frames.append(street(rng, (5 + 8 * t, bottom - height, height // 3, height)))
    frames.append(street(rng, (100, 30, 16, 48)))
    looks = Motion(min_pixels=20, girth=(0.1, 0.7), aspect=(0.2, 0.8), shoulders=0.8)
    camera = Camera(frames, 1, looks)

    scene, cut_outs = camera.label_frames(1.0, (1.0, 1.0))

    assert scene.perspective is not None
    assert scene.perspective[0] == pytest.approx(0.3, abs=0.05)
    assert scene.pictures[-1].instances.max() == 0
    assert len(cut_outs) >= 20


def test_too_few_frames_are_refused_with_the_number_needed():
    with pytest.raises(ConfigurationError, match="at least 10 frames"):
        Camera([np.zeros((8, 8, 3), np.uint8)] * 3, 1, Motion())


def test_a_perspective_needs_enough_objects(walk):
    with pytest.raises(ConfigurationError, match="at least 10 moving objects"):
        Camera(walk[:1] * 12, 1, Motion()).label_frames(1.0, (1.0, 1.0))
