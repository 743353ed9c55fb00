import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from contract.errors import InvalidMessageError
from contract.mask import decode_mask, encode_mask

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(crop=masks, left=st.integers(0, 3), top=st.integers(0, 3), more=st.integers(0, 3))
def test_pycocotools_reads_a_mask_encoded_from_its_crop(
    crop: npt.NDArray[np.bool_], left: int, top: int, more: int
) -> None:
    rows, columns = crop.shape
    whole = np.zeros((top + rows + more, left + columns + more), np.bool_)
    whole[top : top + rows, left : left + columns] = crop
    encoded = encode_mask(crop, whole.shape, (left, top))
    reference = coco.encode(np.asfortranarray(whole.astype(np.uint8)))
    assert encoded["counts"] == reference["counts"].decode()
    assert encoded["size"] == list(whole.shape)
    assert np.array_equal(coco.decode(encoded), whole)
    assert np.array_equal(decode_mask(encoded), whole)
    assert coco.area(reference) == crop.sum()


def test_a_large_mask_round_trips() -> None:
    y, x = np.ogrid[:1024, :2048]
    disc = (x - 900) ** 2 + (y - 500) ** 2 < 300**2
    assert np.array_equal(decode_mask(encode_mask(disc, disc.shape)), disc)


def test_a_crop_outside_its_image_is_refused() -> None:
    with pytest.raises(ValueError, match="not inside"):
        encode_mask(np.ones((3, 3), np.bool_), (4, 4), (2, 0))


@pytest.mark.parametrize("counts", ["", "ZZZZ", "0", "o" * 40])
def test_counts_that_do_not_fill_the_size_are_refused(counts: str) -> None:
    with pytest.raises(InvalidMessageError, match="add up"):
        decode_mask({"size": [4, 4], "counts": counts})
