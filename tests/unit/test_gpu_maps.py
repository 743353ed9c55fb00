"""The benchmark of GPUs compares what it times."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
from benchmarks import gpu, gpu_maps
from segmentation.engines.base import Predictions

SIZE = 16


@dataclass
class Engine:
    """Says that what is bright is foreground; wrong in batches of some sizes."""

    wrong_batches: tuple[int, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 4, 8)
    artifact: Any = field(default_factory=lambda: SimpleNamespace(grid_step=(1 / 64, 1 / 64)))
    ran: list[int] = field(default_factory=list)

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Return maps of a batch; the wrong ones belong to its first picture."""
        self.ran.append(len(images))
        if len(images) in self.wrong_batches:
            images = np.stack([images[0]] * len(images))
        bright = (images[..., 0] / 255.0).astype(np.float32)
        offset = np.stack([bright, bright], axis=1)
        return Predictions(offset, offset, bright, np.zeros(bright.shape, np.uint8))


class Nobody:
    """In place of a segmenter: finds nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def segment(self, images: list[Any]) -> list[list[Any]]:
        """Return no instances."""
        return [[] for _ in images]


def frames(count: int) -> list[NDArray[np.uint8]]:
    """Frames with a bright column each, elsewhere in each."""
    made = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    for number in range(count):
        made[number, :, number] = 255
    return list(made)


@pytest.fixture(autouse=True)
def without_clustering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances are counted elsewhere."""
    monkeypatch.setattr(gpu_maps, "Segmenter", Nobody)


def compared(engine: Engine, pictures: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Return what the benchmark says of an engine."""
    made: Any = engine
    right: Any = Engine()
    return gpu_maps.differences(made, right, pictures)


def test_every_batch_that_is_timed_is_compared_and_each_that_is_padded_to_it() -> None:
    engine = Engine()
    found = compared(engine, frames(3))
    assert found["compared_batches"] == [1, 2, 4, 5, 8]
    assert {*engine.ran} == {1, 2, 4, 5, 8}
    assert gpu_maps.is_right(found)
    assert gpu_maps.compared_batches((1, 2)) == [1, 2]
    assert gpu_maps.compared_batches((8,)) == [1, 8]


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 8])
def test_maps_that_are_wrong_in_one_batch_alone_are_wrong(batch: int) -> None:
    engine = Engine(wrong_batches=(batch,))
    assert gpu_maps.is_right(compared(engine, frames(3))) == (batch == 1)


def test_frames_without_foreground_are_right_against_themselves() -> None:
    nothing: list[NDArray[np.uint8]] = [np.zeros((SIZE, SIZE, 3), np.uint8)] * 2
    found = compared(Engine(), nothing)
    assert found["foreground_iou"] == 1
    assert gpu_maps.is_right(found)


def test_offsets_that_are_no_numbers_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    run = engine.run

    def broken(images: NDArray[np.uint8]) -> Predictions:
        maps = run(images)
        if len(images) == 8:
            maps.offset[-1] = np.nan
        return maps

    monkeypatch.setattr(engine, "run", broken)
    assert not gpu_maps.is_right(compared(engine, frames(3)))


@pytest.mark.parametrize("wrong", ["bandwidth", "class_index"])
def test_margins_and_classes_that_differ_are_wrong(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    run = engine.run

    def differs(images: NDArray[np.uint8]) -> Predictions:
        maps = run(images)
        if wrong == "class_index":
            return replace(maps, class_index=maps.class_index + 1)
        return replace(maps, bandwidth=maps.bandwidth + 0.02)  # margins a tenth narrower

    monkeypatch.setattr(engine, "run", differs)
    found = compared(engine, frames(3))
    assert not gpu_maps.is_right(found)
    assert found["foreground_iou"] == 1
    assert found["offset_pixels"] == 0


def test_a_place_where_no_result_can_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "measure", None)
    for place, said in ((tmp_path / "none" / "gpu.json", "no folder"), (tmp_path, "is a folder")):
        with pytest.raises(SystemExit) as ended:
            gpu.main(["--provider", "cpu", "--quick", "--out", str(place)])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "none")
    with pytest.raises(SystemExit):
        gpu.main(["--provider", "cpu", "--quick"])
    assert "no folder" in capsys.readouterr().err
