import numpy as np
import pytest

from model.augment.compose import Composer
from model.augment.fading import fade_objects
from model.data.labels import Labelled, Scene
from model.recipes.augmentation import Augment, Fade, Light


def two_nuclei(ground: int = 10, bright: int = 200) -> Labelled:
    """Two squares that touch at column 16, on even ground."""
    image = np.full((32, 32, 3), ground, np.uint8)
    instances = np.zeros((32, 32), np.int32)
    instances[8:24, 6:16], instances[8:24, 16:26] = 1, 2
    image[instances > 0] = bright
    return Labelled(image, instances, (instances > 0).astype(np.uint8))


def brightness(crop: Labelled, image: np.ndarray) -> list[float]:
    return [float(image[crop.instances == number].mean()) for number in (0, 1, 2)]


@pytest.mark.parametrize(("ground", "bright"), [(10, 200), (200, 10)])
def test_one_nucleus_fades_towards_the_ground_and_its_neighbour_stays(ground, bright) -> None:
    crop = two_nuclei(ground, bright)
    fade = Fade(share=1.0, objects=0.5, contrast=(0.25, 0.25))

    seen = [
        brightness(crop, fade_objects(crop, fade, np.random.default_rng(seed)))
        for seed in range(12)
    ]

    dim = pytest.approx(ground + 0.25 * (bright - ground), abs=1)
    assert [ground, dim, bright] in seen
    assert [ground, bright, dim] in seen
    assert brightness(crop, crop.image) == [ground, bright, bright], "the crop is as it was"


def test_the_glow_around_a_faded_object_fades_with_it() -> None:
    crop = two_nuclei()
    crop.image[7, 6:16] = 100  # just outside

    image = fade_objects(
        crop, Fade(share=1.0, objects=1.0, contrast=(0.2, 0.2)), np.random.default_rng(0)
    )

    assert image[7, 8:14].max() < 60


def test_the_share_says_how_many_crops_have_faded_objects() -> None:
    crop, rng = two_nuclei(), np.random.default_rng(0)
    fade = Fade(share=0.3, objects=1.0)
    changed = sum(fade_objects(crop, fade, rng) is not crop.image for _ in range(400))
    assert 90 < changed < 150


def test_nothing_fades_where_nothing_is_ground() -> None:
    crop = two_nuclei()
    crop.labels[:] = 1

    assert fade_objects(crop, Fade(share=1.0), np.random.default_rng(0)) is crop.image


def test_composed_crops_fade_and_recipes_without_it_draw_what_they_drew() -> None:
    plain = Augment(light=Light(share=0, blur_share=0, noise_share=0, jpeg_share=0))
    faded = plain.model_copy(update={"fade": Fade(share=1.0, objects=1.0, contrast=(0.2, 0.2))})
    crops = []
    for augment in (plain, faded):
        composer = Composer(
            [Scene([two_nuclei()], weight=1.0, scale=(1.0, 1.0))], crop=32, augment=augment
        )
        crops.append(composer.draw_from(0, 0, np.random.default_rng(5)))

    assert np.array_equal(crops[0].instances, crops[1].instances)
    assert crops[0].image.max() == 200
    assert crops[1].image.max() < 60
