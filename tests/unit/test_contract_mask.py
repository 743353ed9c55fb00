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
    assert np.array_equal(decode_mask(encoded, (left, top, columns, rows)), crop)
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


@given(
    whole=masks,
    box=st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 8), st.integers(0, 8)),
)
def test_any_box_of_a_mask_is_what_the_whole_shows_there(
    whole: npt.NDArray[np.bool_], box: tuple[int, int, int, int]
) -> None:
    x, y, width, height = box
    width, height = min(width, whole.shape[1] - x), min(height, whole.shape[0] - y)
    if min(width, height) < 0:
        return
    part = decode_mask(encode_mask(whole, whole.shape), (x, y, width, height))
    assert np.array_equal(part, whole[y : y + height, x : x + width])


@given(
    counts=st.one_of(st.text(), st.text("012345678:;<=>?@ABCNOPQRSTZ`abcno", max_size=12)),
    size=st.lists(st.integers(-2, 6) | st.just(2**40), max_size=3),
    box=st.none() | st.tuples(*[st.integers(-2, 8)] * 4),
)
def test_whatever_a_mask_holds_it_is_decoded_or_refused(
    counts: str, size: list[int], box: tuple[int, int, int, int] | None
) -> None:
    try:
        mask = decode_mask({"size": size, "counts": counts}, box)
    except InvalidMessageError:
        return  # any other error fails the test
    else:
        assert mask.shape == (tuple(size) if box is None else (box[3], box[2]))
        if box is None:
            encoded = {"size": size, "counts": counts.encode()}
            assert np.array_equal(coco.decode(encoded), mask)


@pytest.mark.parametrize(
    "size", [[0, 4], [4], [1 << 20, 1 << 20], [-4, -4], [1 << 15, 1 << 14], [1, 1 << 24]]
)
def test_a_size_that_no_image_has_is_refused_before_anything_is_allocated(size: list[int]) -> None:
    with pytest.raises(InvalidMessageError, match="the size of a mask is"):
        decode_mask({"size": size, "counts": "0"})


def test_a_box_outside_the_image_is_refused() -> None:
    mask = encode_mask(np.ones((3, 3), np.bool_), (4, 4))
    with pytest.raises(InvalidMessageError, match="not inside"):
        decode_mask(mask, (2, 0, 3, 3))
