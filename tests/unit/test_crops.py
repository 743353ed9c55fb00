import numpy as np
import pytest
import torch

from model.augment.compose import Composer
from model.augment.crops import Crops, batch_indices, collate
from model.data.data_set import BrokenSampleError
from model.data.labels import Labelled, Scene
from model.recipes.augmentation import Augment


def picture(seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (64, 64, 3), np.uint8)
    instances = np.zeros((64, 64), np.int32)
    instances[20:40, 20:40] = 1
    return Labelled(image, instances, (instances > 0).astype(np.uint8))


def crops(seed: int = 5, per_epoch: int = 12) -> Crops:
    scenes = [
        Scene([picture(n) for n in range(3)], 1.0, (0.5, 1.0)),
        Scene([picture(n) for n in range(3, 10)], 3.0, (0.5, 1.0)),
    ]
    return Crops(Composer(scenes, crop=32, augment=Augment()), per_epoch, [seed, 0])


def test_crop_number_n_does_not_depend_on_what_was_drawn_before():
    one, other = crops(), crops()
    for number in range(14):
        one[number]

    for a, b in zip(one[14], other[14], strict=True):
        assert a == b if isinstance(a, int) else torch.equal(a, b)


def test_another_seed_gives_other_crops():
    assert not torch.equal(crops(5)[0][0], crops(6)[0][0])


def test_a_crop_is_what_the_network_takes():
    image, instances, labels, number = crops()[3]

    assert image.shape == (3, 32, 32)
    assert (image.dtype, instances.dtype, labels.dtype) == (torch.uint8, torch.int32, torch.uint8)
    assert instances.shape == labels.shape == (32, 32)
    assert number == 3


def test_an_epoch_shares_its_crops_by_weight_and_takes_pictures_in_turn():
    row = crops(per_epoch=12)

    for epoch in range(3):
        places = [row.place(epoch * 12 + n) for n in range(12)]
        of_first = [p for s, p in places if s == 0]
        of_second = [p for s, p in places if s == 1]
        assert sorted(of_first) == [0, 1, 2]
        assert len(of_second) == 9
        assert set(of_second) == set(range(7))
    assert [row.place(n) for n in range(12)] != [row.place(12 + n) for n in range(12)]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_processes_share_each_batch_and_leave_nothing_out(world):
    parts = [batch_indices(2, 5, 8, rank, world) for rank in range(world)]

    for step, pieces in enumerate(zip(*parts, strict=True), 2):
        assert [n for piece in pieces for n in piece] == list(range(step * 8, step * 8 + 8))


class BrokenPictures:
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Labelled:
        raise BrokenSampleError("photo.jpg", "half a file")


def test_a_broken_picture_comes_back_as_its_error():
    row = Crops(Composer([Scene(BrokenPictures(), 1.0, (1.0, 1.0))], crop=32), 4, [0, 0])

    batch = collate([crops()[0], row[0]])

    assert isinstance(batch, BrokenSampleError)
    assert "photo.jpg: half a file" in str(batch)
