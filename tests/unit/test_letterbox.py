"""Fitting frames into the model's input, and maps back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.letterbox import PADDING, Fit, Resize

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def test_equal_sizes_are_passed_through_without_a_copy() -> None:
    fit = Fit.of((16, 24), (16, 24))
    image = np.zeros((16, 24, 3), np.uint8)
    instance_map = np.zeros((16, 24), np.int32)
    assert fit.apply(image) is image
    assert fit.restore(instance_map) is instance_map


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((1080, 1920), (432, 768)), ((576, 768), (576, 768)), ((100, 50), (576, 288))],
)
def test_letterbox_keeps_the_aspect(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Fit.of(frame, (576, 768)).content_size == expected


def test_letterbox_pads_right_and_below_with_grey() -> None:
    fitted = Fit.of((10, 20), (40, 40)).apply(np.full((10, 20, 3), 200, np.uint8))
    assert fitted.shape == (40, 40, 3)
    assert (fitted[:20] == 200).all()
    assert (fitted[20:] == PADDING).all()


def test_stretch_fills_the_input() -> None:
    fit = Fit.of((10, 20), (40, 40), "stretch")
    assert (fit.apply(np.full((10, 20, 3), 200, np.uint8)) == 200).all()


def test_what_lies_in_the_padding_does_not_come_back() -> None:
    instance_map = np.zeros((40, 40), np.int32)
    instance_map[20:] = 7
    assert not Fit.of((10, 20), (40, 40)).restore(instance_map).any()


def test_a_rectangle_comes_back_where_it_was() -> None:
    frame = np.zeros((1080, 1920, 3), np.uint8)
    frame[300:600, 900:1100] = 255
    fit = Fit.of((1080, 1920), (576, 768))
    seen = (fit.apply(frame)[..., 0] > 190).astype(np.int32)  # brighter than the padding
    rows, columns = np.nonzero(fit.restore(seen))
    box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    assert np.abs(np.subtract(box, (300, 600, 900, 1100))).max() <= 3  # one input pixel is 2.5


@given(frame=SIZES, input_size=SIZES, resize=st.sampled_from(["letterbox", "stretch"]))
@settings(max_examples=150, deadline=None)
def test_any_size_fits_and_maps_come_back_to_the_frame(
    frame: tuple[int, int], input_size: tuple[int, int], resize: Resize
) -> None:
    fit = Fit.of(frame, input_size, resize)
    assert all(1 <= c <= i for c, i in zip(fit.content_size, input_size, strict=True))
    assert fit.apply(np.zeros((*frame, 3), np.uint8)).shape == (*input_size, 3)
    numbered = np.arange(input_size[0] * input_size[1], dtype=np.int32).reshape(input_size)
    restored = fit.restore(numbered)
    assert restored.shape == frame
    rows, columns = restored[:, 0] // input_size[1], restored[0] % input_size[1]
    for positions, content, side in zip((rows, columns), fit.content_size, frame, strict=True):
        middle = (np.arange(side) + 0.5) * content / side
        assert (np.abs(positions + 0.5 - middle) <= 0.5 + 1e-9).all()


def test_frames_and_maps_of_another_size_are_refused() -> None:
    fit = Fit.of((16, 24), (32, 32))
    with pytest.raises(ValueError, match="expected \\(16, 24, 3\\)"):
        fit.apply(np.zeros((16, 25, 3), np.uint8))
    with pytest.raises(ValueError, match="expected \\(32, 32\\)"):
        fit.restore(np.zeros((16, 24), np.int32))


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Fit.of((0, 24), (32, 32))
