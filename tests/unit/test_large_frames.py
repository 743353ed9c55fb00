import logging

import pytest

from segmentation.letterbox import Fit
from workers.large_frames import LargeFrames, advised_side_pixels, is_large

INPUT = (384, 512)


@pytest.mark.parametrize(
    ("size", "large"),
    [
        ((1080, 1920), True),
        ((577, 1025), True),
        ((576, 1024), False),
        ((768, 1024), False),
        ((769, 1025), True),
        ((1024, 768), True),  # portrait: fills 288x384 of it
        ((768, 432), False),
        ((432, 768), False),
        ((100, 100), False),
    ],
)
def test_more_than_twice_the_part_of_the_input_that_a_frame_fills_is_large(
    size: tuple[int, int], large: bool
) -> None:
    assert is_large(Fit.of(size, INPUT)) is large


def test_the_advice_is_never_large_itself() -> None:
    side = advised_side_pixels(INPUT)
    for size in ((side, side), (side * 9 // 16, side), (side, side * 9 // 16)):
        scaled = Fit.of(size, INPUT)
        assert max(size) <= 2 * max(scaled.content_size)


def test_each_camera_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    frames = LargeFrames()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for camera in ("gate", "yard"):
                frames.look(camera, Fit.of((1080, 1920), INPUT))
            frames.look("door", Fit.of((576, 768), INPUT))
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "camera gate",
        "camera yard",
    ]
    assert "1920x1080 pixels are more than twice what the model takes (512x384)" in caplog.text
    assert "set max_side: 768 in the camera list" in caplog.text
