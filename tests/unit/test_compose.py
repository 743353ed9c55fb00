import numpy as np
import pytest

from model.augment.compose import LEAST_VISIBLE, Composer
from model.data.labels import IGNORE, CutOut, Labelled, Scene


def person(height: int = 30, width: int = 10, colour: int = 200) -> CutOut:
    image = np.full((height, width, 3), colour, np.uint8)
    return CutOut(image, np.full((height, width), 255, np.uint8), 1)


def empty(height: int = 96, width: int = 128) -> Labelled:
    shape = (height, width)
    image = np.full((*shape, 3), 60, np.uint8)
    return Labelled(image, np.zeros(shape, np.int32), np.zeros(shape, np.uint8))


def scene(picture: Labelled, **kwargs) -> Scene:
    return Scene([picture], 1.0, (1.0, 1.0), **kwargs)


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_fits_the_contract_of_the_loss(seed):
    composer = Composer([scene(empty(), perspective=(0.0, 30.0))], [person()], crop=64)

    crop = composer.draw(np.random.default_rng(seed))

    assert crop.image.shape == (64, 64, 3)
    assert crop.image.dtype == np.uint8
    assert crop.instances.shape == crop.labels.shape == (64, 64)
    assert set(np.unique(crop.labels)) <= {0, 1, IGNORE}
    assert ((crop.instances > 0) == (crop.labels == 1)).all()


def test_the_same_seed_gives_the_same_crop():
    composer = Composer([scene(empty())], [person()], crop=64)

    one, other = (composer.draw(np.random.default_rng(3)) for _ in range(2))

    assert (one.image == other.image).all()
    assert (one.instances == other.instances).all()


def test_people_are_as_tall_as_the_perspective_says():
    composer = Composer(
        [scene(empty(), perspective=(0.0, 40.0))], [person()], crop=96, other_share=0
    )
    heights = []
    for seed in range(40):
        crop = composer.draw(np.random.default_rng(seed))
        for number in np.unique(crop.instances)[1:]:
            rows = np.flatnonzero((crop.instances == number).any(axis=1))
            if rows[0] > 0 and rows[-1] < 95:
                heights.append(len(rows))

    assert max(heights) <= 46
    assert np.median(heights) == pytest.approx(38, abs=6)


def test_whoever_stands_farther_is_hidden_by_a_post():
    front = np.zeros((96, 96), np.int32)
    front[:, 40:60] = 1000  # the post's foot is below every pasted foot
    composer = Composer(
        [scene(empty(96, 96), perspective=(0.0, 30.0), front=front)], [person()], crop=96
    )
    for seed in range(10):
        crop = composer.draw(np.random.default_rng(seed))
        post = np.s_[:, 42:54]  # the flip may mirror columns: 40..60 covers 36..56 as well
        assert (crop.instances[post] == 0).all()


def test_one_that_is_almost_hidden_is_ignored():
    picture = empty(96, 96)
    picture.instances[20:60, 30:40] = 1
    picture.labels[20:60, 30:40] = 1
    wide = [person(60, 30)]
    composer = Composer([scene(picture, perspective=(0.0, 60.0))], wide, crop=96, pasted=20)
    left = []
    for seed in range(40):
        crop = composer.draw(np.random.default_rng(seed))
        left.append(int((crop.instances == 1).sum()))

    assert min(pixels for pixels in left if pixels) >= LEAST_VISIBLE * 400
    assert 0 in left
    assert max(left) == 400


def test_a_window_beyond_the_picture_is_ignored_there():
    composer = Composer([Scene([empty(40, 40)], 1.0, (1.0, 1.0))], [person()], crop=64, pasted=0)

    crop = composer.draw(np.random.default_rng(0))

    assert (crop.labels == IGNORE).sum() == 64 * 64 - 40 * 40


def test_a_picture_is_scaled_to_the_crop():
    picture = empty(128, 128)
    picture.instances[32:64, 32:64] = 7
    picture.labels[32:64, 32:64] = 2
    composer = Composer([Scene([picture], 1.0, (0.5, 0.5))], [person()], crop=64, pasted=0)

    crop = composer.draw(np.random.default_rng(0))

    assert (crop.instances == 7).sum() == 16 * 16
    assert (crop.labels[crop.instances == 7] == 2).all()
