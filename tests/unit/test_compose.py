import numpy as np
import pytest

from model.augment.compose import CROWD, LEAST_VISIBLE, Composer, PictureCutOuts, StoredCutOuts
from model.augment.windows import cut_window
from model.data.labels import IGNORE, CutOut, Labelled, Scene
from model.recipes.augmentation import Augment, CopyPaste, Light

DARK = Light(share=0, blur_share=0, noise_share=0, jpeg_share=0)
PLAIN = Augment(centered=0, flip_horizontal=False, light=DARK)


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
    composer = Composer([scene(empty(), perspective=(0.0, 40.0))], [person()], crop=96)
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
    crowded = CROWD.model_copy(update={"copy_paste": CopyPaste(objects=20)})
    composer = Composer([scene(picture, perspective=(0.0, 60.0))], wide, 96, crowded)
    left = []
    for seed in range(40):
        crop = composer.draw(np.random.default_rng(seed))
        left.append(int((crop.instances == 1).sum()))

    assert min(pixels for pixels in left if pixels) >= LEAST_VISIBLE * 400
    assert 0 in left
    assert max(left) == 400


def test_a_window_beyond_the_picture_is_ignored_there():
    composer = Composer([Scene([empty(40, 40)], 1.0, (1.0, 1.0))], crop=64, augment=PLAIN)

    crop = composer.draw(np.random.default_rng(0))

    assert (crop.labels == IGNORE).sum() == 64 * 64 - 40 * 40


def test_a_picture_is_scaled_to_the_crop():
    picture = empty(128, 128)
    picture.instances[32:64, 32:64] = 7
    picture.labels[32:64, 32:64] = 2
    composer = Composer([Scene([picture], 1.0, (0.5, 0.5))], crop=64, augment=PLAIN)

    crop = composer.draw(np.random.default_rng(0))

    assert (crop.instances == 7).sum() == 16 * 16
    assert (crop.labels[crop.instances == 7] == 2).all()


def with_object(height: int = 128, width: int = 128) -> Labelled:
    picture = empty(height, width)
    picture.instances[100:110, 20:40] = 3
    picture.labels[100:110, 20:40] = 1
    picture.image[100:110, 20:40] = 250
    return picture


def test_a_window_lies_around_an_object():
    around = PLAIN.model_copy(update={"centered": 1.0})
    composer = Composer([scene(with_object())], crop=32, augment=around)

    for seed in range(5):
        crop = composer.draw(np.random.default_rng(seed))
        rows, columns = np.nonzero(crop.instances)
        assert len(rows) == 200
        assert 14 <= rows.mean() <= 17
        assert 14 <= columns.mean() <= 17


def test_a_scale_of_one_is_how_the_model_sees_the_picture():
    picture = with_object(256, 128)
    place = Scene([picture], 1.0, (1.0, 1.0), fit=(128, 64))
    around = PLAIN.model_copy(update={"centered": 1.0})

    crop = Composer([place], crop=64, augment=around).draw(np.random.default_rng(0))

    assert (crop.instances > 0).sum() == 50  # 10 x 20 pixels at half the size


def test_a_turned_crop_keeps_objects_and_their_labels_together():
    turned = PLAIN.model_copy(update={"centered": 1.0, "rotate": 1.0})
    composer = Composer([scene(with_object())], crop=48, augment=turned)

    angles = set()
    for seed in range(6):
        crop = composer.draw(np.random.default_rng(seed))
        assert ((crop.instances > 0) == (crop.labels == 1)).all()
        inside = crop.image[crop.instances > 0].mean()
        assert inside > 200
        assert (crop.instances == 3).sum() == pytest.approx(200, abs=25)
        rows = np.flatnonzero((crop.instances == 3).any(axis=1))
        angles.add(len(rows))
    assert len(angles) > 2


def test_turned_crops_show_the_borders_of_the_picture_as_often_as_straight_ones():
    picture = empty(128, 128)
    picture.instances[:] = 1
    picture.instances[4:-4, 4:-4] = 0
    picture.labels[:] = picture.instances
    place = scene(picture)
    shares = []
    for rotate in (0.0, 1.0):
        anywhere = PLAIN.model_copy(update={"centered": 0.0, "rotate": rotate})
        composer = Composer([place], crop=48, augment=anywhere)
        crops = [composer.draw(np.random.default_rng(seed)) for seed in range(80)]
        shares.append(np.mean([(crop.instances > 0).sum() >= 60 for crop in crops]))
        assert all(((crop.instances > 0) == (crop.labels == 1)).all() for crop in crops)
    straight, turned = shares
    assert straight > 0.5
    assert turned > 0.8 * straight


def test_a_window_beyond_the_border_keeps_what_stands_in_front_in_its_place():
    picture = empty(64, 64)
    front = np.zeros((64, 64), np.int32)
    front[:8, 10:20] = 40
    place = Scene([picture], 1.0, (1.0, 1.0), front=front)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        anywhere = PLAIN.model_copy(update={"centered": 0.0})
        window = cut_window(place, picture, 32, anywhere, rng, margin=0.25)
        assert -8 <= window.top <= 40
        rows = np.flatnonzero((window.front > 0).any(axis=1))
        if len(rows):
            assert rows[0] == max(-window.top, 0)
            assert window.front.max() == 40 - window.top
        assert (window.picture.labels[: max(-window.top, 0)] == IGNORE).all()


def test_upside_down_only_where_it_is_allowed():
    picture = empty(64, 64)
    picture.image[:20] = 200
    for allowed in (False, True):
        place = Scene([picture], 1.0, (1.0, 1.0), upside_down=allowed)
        composer = Composer([place], crop=64, augment=PLAIN)
        tops = {int(composer.draw(np.random.default_rng(s)).image[:20].mean()) for s in range(12)}
        assert tops == ({200, 60} if allowed else {200})


def test_pasted_classes_follow_their_shares():
    pool = [person()] * 50 + [CutOut(person().image, person().alpha, 2)]
    source = StoredCutOuts(pool, {1: 0.25, 2: 0.75})
    rng = np.random.default_rng(0)

    labels = [source.choose(rng).label for _ in range(400)]

    assert labels.count(2) / 400 == pytest.approx(0.75, abs=0.07)


def test_objects_of_other_pictures_are_cut_out_whole():
    source = PictureCutOuts([with_object()])

    cut_out = source.choose(np.random.default_rng(0))

    assert cut_out.image.shape == (10, 20, 3)
    assert (cut_out.image == 250).all()
    assert (cut_out.alpha == 255).all()


def test_an_object_cut_by_the_border_is_not_pasted():
    picture = empty(64, 64)
    picture.instances[:10, :10] = 1
    picture.labels[:10, :10] = 1

    assert PictureCutOuts([picture]).choose(np.random.default_rng(0)) is None


def test_without_a_perspective_an_object_keeps_about_its_own_size():
    options = PLAIN.model_copy(update={"copy_paste": CopyPaste(objects=8)})
    composer = Composer([scene(empty(96, 96))], [person(24, 8)], 96, options)
    heights = []
    for seed in range(30):
        crop = composer.draw(np.random.default_rng(seed))
        for number in np.unique(crop.instances)[1:]:
            rows = np.flatnonzero((crop.instances == number).any(axis=1))
            if rows[0] > 0 and rows[-1] < 95:
                heights.append(len(rows))

    assert np.median(heights) == pytest.approx(24, abs=2)
