"""Runs over bound memory, with the CPU as the device: the same maps, and only the foreground."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
from contract import artifact as contract  # noqa: E402  (after the skip)
from contract.errors import ConfigurationError  # noqa: E402
from media.videos import Video  # noqa: E402
from model.export.foreground_graph import write  # noqa: E402
from segmentation.engines import GpuOptions, device_runner, open_engine  # noqa: E402
from segmentation.engines.base import Predictions  # noqa: E402
from segmentation.engines.device_runner import FOREGROUND_FILE, DeviceRunner  # noqa: E402
from segmentation.letterbox import Fit  # noqa: E402
from segmentation.segmenter import Maps, Segmenter  # noqa: E402
from tests.conftest import REPOSITORY  # noqa: E402
from tests.tiny_model import HEIGHT, WIDTH, tiny_model  # noqa: E402

CPU = ["CPUExecutionProvider"]


def runner_of(session: Any, size: tuple[int, int], foreground: bool) -> DeviceRunner:
    return DeviceRunner(session, CPU, "cpu", size, GpuOptions(foreground=foreground))


def maps_of(said: Predictions) -> list[Any]:
    """Return the maps in the order of `contract.artifact.OUTPUTS`."""
    return [said.offset, said.bandwidth, said.seed, said.class_index]


def images(n: int) -> Any:
    return np.random.default_rng(n).integers(0, 256, (n, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(params=[1, 2])
def session(request: pytest.FixtureRequest) -> Any:
    model = tiny_model(n_sigma=request.param)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=CPU)


def test_the_file_of_the_foreground_is_what_its_program_writes(tmp_path: Path) -> None:
    write(tmp_path / "foreground.onnx")
    assert (tmp_path / "foreground.onnx").read_bytes() == FOREGROUND_FILE.read_bytes()


@pytest.mark.parametrize("n", [1, 3, 4])
def test_bound_memory_gives_the_same_maps(session: Any, n: int) -> None:
    expected = session.run(list(contract.OUTPUTS), {contract.INPUT: images(n)})
    got = maps_of(runner_of(session, (HEIGHT, WIDTH), foreground=False).run(images(n), 4))
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


@pytest.mark.parametrize("n", [1, 3, 4])
def test_the_foreground_is_the_same_and_all_else_is_0(session: Any, n: int) -> None:
    expected = session.run(list(contract.OUTPUTS), {contract.INPUT: images(n)})
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=True)
    got = maps_of(runner.run(images(n), 4))
    inside = expected[2] > 0.5
    assert 0.1 < inside.mean() < 0.9
    for one, other in zip(got, expected, strict=True):
        mask = inside if one.ndim == 3 else inside[:, None]
        assert np.array_equal(one, np.where(mask, other, 0))
    rows = len(expected[1][0]) + 3
    assert runner.returned_bytes == inside.sum() * (4 + 4 * rows + 1)


def test_a_batch_without_foreground_comes_back_empty(session: Any) -> None:
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=True)
    runner.run(np.full((2, HEIGHT, WIDTH, 3), 255, np.uint8), 2)
    maps = maps_of(runner.run(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), 2))
    assert [each.max() for each in maps] == [0, 0, 0, 0]
    assert runner.returned_bytes == 0


@pytest.mark.parametrize("foreground", [False, True])
def test_no_later_run_writes_into_maps_and_the_input_may_be_used_again(
    session: Any, foreground: bool
) -> None:
    runner = runner_of(session, (HEIGHT, WIDTH), foreground)
    given = np.full((1, HEIGHT, WIDTH, 3), 255, np.uint8)
    first = runner.run(given, 1)
    given[:] = 0  # the next frame, in the same memory
    assert runner.run(given, 1).seed.max() == 0
    assert first.seed.min() == pytest.approx(1)


def test_clustering_finds_the_same_in_the_foreground_alone(street_model: Path) -> None:
    engine = open_engine(street_model, "cpu", fixed_size=True)
    segmenter = Segmenter(engine)
    with Video(REPOSITORY / "assets" / "vtest_clip.mp4") as frames:
        pictures = [each.image for each in islice(frames, 2)]
    fits = [Fit.of(each.shape[:2], engine.input_size) for each in pictures]
    batch = np.stack([fit.apply(each) for fit, each in zip(fits, pictures, strict=True)])
    runner = runner_of(engine._session, engine.input_size, foreground=True)
    part, whole = (
        segmenter.describe(Maps(said, fits))
        for said in (runner.run(batch, 2), Predictions(*engine._outputs(batch, 2)))
    )
    assert [each.documents() for each in part] == [each.documents() for each in whole]
    assert all(map(len, whole))
    dense = sum(each.nbytes for each in engine._outputs(batch, 2))
    assert runner.returned_bytes < dense / 5


def test_threads_that_share_a_runner_get_the_maps_of_their_own_images(session: Any) -> None:
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=False)
    batches = [images(1), 255 - images(1)]
    expected = [session.run(list(contract.OUTPUTS), {contract.INPUT: batch}) for batch in batches]
    assert not np.array_equal(expected[0][2], expected[1][2])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: runner.run(batches[i % 2], 1), range(400)))
    for i, maps in enumerate(found):
        assert np.array_equal(maps.seed, expected[i % 2][2])


@pytest.mark.parametrize("wanted", [False, True])
def test_pictures_lie_in_page_locked_memory_if_there_is_any_and_it_is_wanted(
    session: Any, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in for CUDA."""
    given: list[Any] = []

    def page_locked(shape: tuple[int, ...]) -> Any:
        given.append(np.zeros(shape, np.uint8))
        return given[-1]

    monkeypatch.setattr(device_runner, "page_locked", page_locked)
    monkeypatch.setattr(device_runner, "MEMORY", {"cuda": "cpu"})
    options = GpuOptions(foreground=False, page_locked=wanted)
    runner = DeviceRunner(session, CPU, "cuda", (HEIGHT, WIDTH), options)
    batch = runner.new_batch(4)
    assert batch.shape == (4, HEIGHT, WIDTH, 3)
    assert runner.page_locked == wanted
    batch[:3], batch[3] = images(3), 255
    found = runner.run(batch[:3], 4)
    expected = session.run(list(contract.OUTPUTS), {contract.INPUT: images(3)})
    assert np.array_equal(found.seed, expected[2])
    assert [each.shape for each in given] == [batch.shape] * wanted
    assert not wanted or np.shares_memory(batch, given[0])


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("first", [0, 1])
def test_what_is_behind_the_pictures_in_a_batch_s_memory_is_not_seen(
    session: Any, n: int, first: int
) -> None:
    """They are padded where they lie if they begin there, else elsewhere."""
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=True)
    batch = runner.new_batch(5)
    batch[:] = 255  # of an earlier run
    batch[first : first + n] = images(n)
    expected = session.run(list(contract.OUTPUTS), {contract.INPUT: images(n)})
    found = runner.run(batch[first : first + n], 4)
    assert len(found) == n
    assert np.array_equal(found.seed, np.where(expected[2] > 0.5, expected[2], 0))
    black = session.run(list(contract.OUTPUTS), {contract.INPUT: images(1) * 0})
    assert not (black[2] > 0.5).any()
    assert runner.returned_bytes == sum(each.nbytes for each in found._pixels)
    assert np.array_equal(batch[first : first + n], images(n))


def test_a_batch_s_memory_ends_with_whoever_asked_for_it(session: Any) -> None:
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=True)
    kept = runner.new_batch(4)
    for _ in range(20):
        runner.new_batch(4)
    assert len(runner._batches) <= 2
    kept[:2], kept[2:] = images(2), 255
    expected = session.run(list(contract.OUTPUTS), {contract.INPUT: images(2)})
    seed = runner.run(kept[:2], 4).seed
    assert np.array_equal(seed, np.where(expected[2] > 0.5, expected[2], 0))


def test_a_batch_whose_pixels_cannot_be_counted_is_refused(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_runner, "_MOST_PIXELS", 3 * HEIGHT * WIDTH)
    runner = runner_of(session, (HEIGHT, WIDTH), foreground=True)
    assert len(runner.run(images(3), 3)) == 3
    with pytest.raises(ConfigurationError, match=r"expected at most 3 pictures \(WORKER_MAX_BATCH"):
        runner.run(images(4), 4)


def test_a_picture_that_is_nothing_but_foreground_leaves_no_memory_behind() -> None:
    """In a process of its own, where nothing else has memory to give back."""
    program = """
import gc
import numpy as np, onnxruntime
from types import SimpleNamespace
from pathlib import Path
from segmentation.engines import GpuOptions
from segmentation.engines.device_runner import DeviceRunner
from tests.tiny_model import HEIGHT, WIDTH, tiny_model

cpu = ["CPUExecutionProvider"]
session = onnxruntime.InferenceSession(tiny_model(n_sigma=2).SerializeToString(), providers=cpu)
runner = DeviceRunner(session, cpu, "cpu", (HEIGHT, WIDTH), GpuOptions(foreground=True))
shape = 1, 2048, 2048
value = onnxruntime.OrtValue.ortvalue_from_numpy
flat = [value(np.zeros((1, 2, *shape[1:]), np.float32)) for _ in range(2)]
classes = value(np.zeros(shape, np.uint8))

def rss() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

def run(score: float) -> int:
    maps = [*flat, value(np.full(shape, score, np.float32)), classes]
    return runner._select(SimpleNamespace(maps=maps)).place.size

run(0.0)
before = rss()
assert run(1.0) == 2048 * 2048
run(0.0)
gc.collect()
print(rss() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 70, "MiB; 105 MB came back"
