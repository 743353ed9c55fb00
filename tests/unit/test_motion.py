from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.labels import IGNORE
from model.motion.background import Background, sample_count, steadiness
from model.motion.checks import (
    check_limits,
    check_outlines,
    check_steady,
    check_survey,
    find_sizes,
    survey,
)
from model.motion.fixed_camera import Camera, Sizes
from model.motion.motion_options import Options
from model.motion.options_file import load_options

HEIGHT, WIDTH = 120, 200
GROUND = (90, 120, 80)
COAT = (20, 20, 140)
LOOKS = {"min_pixels": 60, "height_tolerance": 0, "girth": [0.1, 0.6]}
VIDEO = "gate.mp4"


def street(seed: int, *walkers: tuple[int, int, int, int]) -> np.ndarray:
    """A noisy frame of ground with rectangles (left, top, width, height) in coats."""
    frame = np.full((HEIGHT, WIDTH, 3), GROUND, np.float32)
    for left, top, width, height in walkers:
        frame[top : top + height, left : left + width] = COAT
    noise = np.random.default_rng(seed).normal(0, 1.5, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def camera(frames, classes=("person", "vehicle"), **options) -> Camera:
    return Camera(Background.of(frames), options_for(**{"motion": LOOKS, **options}), classes)


def options_for(**values) -> Options:
    return load_options(None, **{"class": "person", **values})


def labels(of: Camera, frame: np.ndarray, sizes: Sizes | None = None):
    return of.label(frame, of.pieces(frame), sizes or Sizes())


@pytest.fixture
def walk() -> list[np.ndarray]:
    return [street(t, (10 + 8 * t, 30, 12, 36)) for t in range(20)]


def test_the_background_is_what_does_not_move(walk):
    assert np.abs(Background.of(walk).image.astype(int) - GROUND).max() <= 3


def test_a_change_of_exposure_is_no_motion(walk):
    dark = (street(0) * 0.85).astype(np.uint8)

    assert np.median(Background.of(walk).difference(dark).distance) < 5


def test_samples_of_the_background_stay_within_256_mib():
    assert sample_count(576, 768) == 80
    assert sample_count(2160, 3840) * 2160 * 3840 * 3 <= 400 << 20


def test_an_isolated_walker_becomes_one_instance_and_one_cut_out(walk):
    found = labels(camera(walk), walk[5])

    assert found.objects == len(found.cut_outs) == 1
    assert found.cut_outs[0].image.shape[:2] == pytest.approx((36, 12), abs=2)
    own = found.picture.instances == 1
    truth = np.zeros_like(own)
    truth[30:66, 50:62] = True
    assert (own & truth).sum() / (own | truth).sum() > 0.85
    assert (found.picture.labels[own] == 1).all()


def test_a_pair_is_ignored_and_not_cut_out(walk):
    found = labels(camera(walk), street(1, (60, 30, 12, 36), (71, 32, 12, 36)))

    assert (found.objects, found.cut_outs) == (0, [])
    assert found.picture.labels[45, 66] == IGNORE
    assert sum(found.unclear.values()) == 1


def test_what_touches_an_occluder_is_ignored(walk):
    post = {"foot": 110, "polygon": [(60, 0), (62, 0), (62, 110), (60, 110)]}
    behind = camera(walk, occluders=[post])

    assert labels(behind, walk[6]).unclear == {"at an occluder": 1}
    assert labels(behind, walk[12]).objects == 1
    assert behind.front[50, 61] == 110


def test_parked_things_are_labelled_in_every_frame(walk):
    van = {"class": "vehicle", "polygon": [(150, 80), (180, 80), (180, 100), (150, 100)]}

    picture = labels(camera(walk, parked=[van]), walk[0]).picture

    assert picture.labels[90, 165] == 2
    assert picture.instances[90, 165] == 1
    assert set(np.unique(picture.instances)) == {0, 1, 2}


def test_ignored_regions_hide_what_is_mostly_in_them(walk):
    region = [(0, 0), (100, 0), (100, 120), (0, 120)]
    seen = camera(walk, ignore=[region])

    assert labels(seen, walk[3]).unclear == {"in an ignored region": 1}
    outside = labels(seen, walk[15])
    assert outside.objects == 1
    assert (outside.picture.labels[:, :95] == IGNORE).all()


def test_one_cut_by_the_border_is_labelled_only_where_the_options_allow_it(walk):
    cut = street(2, (0, 30, 12, 36))

    strict = labels(camera(walk), cut)
    allowing = labels(camera(walk, motion={**LOOKS, "border": True}), cut)

    assert strict.objects == 0
    assert (allowing.objects, allowing.cut_outs) == (1, [])


def test_a_place_that_is_covered_half_of_the_time_is_ignored():
    frames = [street(t, (90, 30, 12, 36)) if t % 2 else street(t) for t in range(20)]
    seen = camera(frames)

    found = labels(seen, street(1, (91, 40, 12, 36)))

    assert found.unclear.total() == 1
    assert found.objects == 0
    assert found.picture.labels[50, 95] == IGNORE


def test_a_frame_in_which_everything_changed_has_no_pieces(walk):
    flash = np.where(np.indices((HEIGHT, WIDTH))[1][..., None] < 100, 255, 20)

    assert camera(walk).pieces(np.repeat(flash, 3, axis=2).astype(np.uint8)) is None


def test_two_vehicles_joined_are_larger_than_the_others(walk):
    seen = camera(
        walk,
        motion={**LOOKS, "largest": 1.6, "girth": [0.1, 2], "aspect": [0.1, 2], "shoulders": 5},
    )
    joined = street(1, (60, 30, 24, 36))

    assert labels(seen, joined, Sizes(typical=430)).unclear == {
        "larger than the others (largest)": 1
    }
    assert labels(seen, joined, Sizes(typical=800)).objects == 1


def test_the_perspective_is_found_and_what_does_not_fit_it_is_ignored():
    # Feet at row y, height 0.3 y: nearer walkers are taller.
    frames = []
    for t in range(24):
        bottom = 40 + 3 * t
        height = round(0.3 * bottom)
        frames.append(street(t, (5 + 8 * t, bottom - height, height // 3, height)))
    looks = {"min_pixels": 20, "girth": [0.1, 0.7], "aspect": [0.2, 0.8], "shoulders": 0.8}
    seen = camera(frames, motion=looks)

    sizes = find_sizes(VIDEO, survey(seen, frames), seen)

    assert sizes.line is not None
    assert sizes.line[0] == pytest.approx(0.3, abs=0.05)
    assert labels(seen, frames[10], sizes).objects == 1
    giant = street(99, (100, 30, 16, 48))
    assert labels(seen, giant, sizes).unclear == {
        "wrong height for its place (height_tolerance)": 1
    }


def test_a_shaking_camera_is_told_from_a_still_one():
    world = np.random.default_rng(0).integers(0, 255, (15, 25, 3), np.uint8)
    world = world.repeat(10, axis=0).repeat(10, axis=1)
    rng = np.random.default_rng(1)
    shaken = []
    for _ in range(20):
        top, left = rng.integers(8, 14, 2)
        shaken.append(world[top : top + HEIGHT, left : left + WIDTH])
    still = [world[10 : 10 + HEIGHT, 10 : 10 + WIDTH]] * 20

    assert steadiness(still, still[0]).shift < 0.1
    with pytest.raises(ConfigurationError, match="expected a fixed camera"):
        check_steady(VIDEO, shaken, camera(shaken))
    check_steady(VIDEO, still, camera(still))


def test_outlines_wholly_outside_the_picture_are_all_named():
    beyond = [(4000, 10), (4100, 10), (4100, 80)]
    reaching = [(-50, -50), (10, -50), (10, 10)]
    chosen = options_for(
        occluders=[{"foot": 90, "polygon": reaching}, {"foot": 90, "polygon": beyond}],
        parked=[{"class": "car", "polygon": beyond}],
        ignore=[beyond, reaching],
    )

    with pytest.raises(ConfigurationError) as caught:
        check_outlines(Path(VIDEO), chosen, HEIGHT, WIDTH)

    keys = ("occluders.1.polygon", "parked.0.polygon", "ignore.0")
    for fault, key in zip(caught.value.faults, keys, strict=True):
        assert f"{key} is [[4000.0, 10.0]" in fault
        assert f"outside the picture of {WIDTH}x{HEIGHT} pixels; expected" in fault


def test_a_smallest_object_above_the_largest_is_refused_for_the_pictures_size():
    chosen = options_for(motion={"min_pixels": 9000})  # the largest: a tenth of the picture

    check_limits(Path(VIDEO), chosen, 1080, 1920)
    with pytest.raises(ConfigurationError, match=r"min_pixels is 9000 .* 9000 to 2400 pixels"):
        check_limits(Path(VIDEO), chosen, HEIGHT, WIDTH)


def test_a_video_in_which_nothing_moves_is_refused():
    frames = [street(t) for t in range(20)]
    seen = camera(frames)

    with pytest.raises(ConfigurationError, match=r"nothing moves in 20 frames.*lower --threshold"):
        check_survey(VIDEO, survey(seen, frames), seen)


def test_a_video_in_which_the_wrong_things_move_is_refused_with_the_reasons(walk):
    seen = camera(walk, motion={**LOOKS, "min_pixels": 600})

    with pytest.raises(ConfigurationError, match=r"0 moving objects.*20 too small \(min_pixels\)"):
        check_survey(VIDEO, survey(seen, walk), seen)


def test_a_video_of_several_shots_is_refused(walk):
    other = [np.full((HEIGHT, WIDTH, 3), 240, np.uint8) for _ in range(9)]
    for frame in other:
        frame[:, :100] = 10
    seen = camera(walk)

    with pytest.raises(ConfigurationError, match=r"9 of 29 frames nearly everything"):
        check_survey(VIDEO, survey(seen, [*walk, *other]), seen)


def test_heights_without_perspective_are_refused_with_the_way_out():
    frames = [
        street(t, (10 + 8 * t, 30 + (t * 37) % 40, 5 + (t * 11) % 14, 15 + (t * 11) % 14 * 3))
        for t in range(20)
    ]
    looks = {"min_pixels": 20, "girth": [0.05, 0.9], "aspect": [0.1, 0.9], "shoulders": 1.0}
    seen = camera(frames, motion=looks)
    half = survey(seen, frames[::2])

    with pytest.raises(ConfigurationError, match="height_tolerance"):
        find_sizes(VIDEO, half, seen)
