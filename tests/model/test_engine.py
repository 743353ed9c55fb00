"""The engine over real files in the real ONNX Runtime, and all that it must refuse."""

import contextlib
import logging
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

onnx = pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
from contract import artifact_files  # noqa: E402  (after the skip)
from contract.artifact import Artifact  # noqa: E402
from contract.errors import (  # noqa: E402
    ConfigurationError,
    DeviceError,
    InvalidMessageError,
)
from contract.settings import load_settings  # noqa: E402
from segmentation.engines import device_runner, open_engine, sessions  # noqa: E402
from segmentation.engines import open_model as opening  # noqa: E402
from segmentation.engines.onnx import OnnxEngine  # noqa: E402
from segmentation.engines.sessions import ORT_NAMES  # noqa: E402
from segmentation.segmenter import Segmenter  # noqa: E402
from tests.tiny_model import (  # noqa: E402
    CARD,
    HEIGHT,
    WIDTH,
    tiny_model,
    variable_model,
    write_artifact,
)
from workers.inference import build_inference  # noqa: E402
from workers.settings import WorkerSettings  # noqa: E402

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a tiny model as an artifact folder and return it."""

    def write(model: Any = None, artifact: Artifact | None = CARD) -> Path:
        return write_artifact(tmp_path / "tiny" / "1", model or tiny_model(), artifact)

    return write


def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions of the CPU take the place of CUDA's, with all that they are told for it."""

    def open_on_cpu(file: Any, graph: Any, device: Any, *rest: Any) -> Any:
        assert device == "cuda"
        monkeypatch.setattr(sessions, "ORT_NAMES", {**ORT_NAMES, "cuda": ORT_NAMES["cpu"]})
        monkeypatch.setattr(sessions, "cuda_options", lambda tuning: {})
        monkeypatch.setattr(device_runner, "MEMORY", {"cuda": "cpu"})
        return sessions.open_session(file, graph, device, *rest)

    monkeypatch.setattr(opening, "available_devices", lambda: {"cpu": None, "cuda": None})
    monkeypatch.setattr(opening, "open_session", open_on_cpu)


def test_maps_come_out_by_name_and_type(write: Write) -> None:
    engine = OnnxEngine(write(), provider="cpu", batch_sizes=(1, 4))
    engine.warm_up()
    images = np.zeros((3, HEIGHT, WIDTH, 3), np.uint8)
    images[1] = 255
    maps = engine.run(images)
    assert engine.provider == "cpu"
    assert len(maps) == 3
    assert maps.seed.max((1, 2)).tolist() == [0, pytest.approx(1), 0]
    assert maps.offset.shape == (3, 2, HEIGHT, WIDTH)
    assert maps.bandwidth.shape == (3, 1, HEIGHT, WIDTH)
    assert (maps.seed.dtype, maps.class_index.dtype) == (np.float32, np.uint8)


def test_a_folder_with_a_current_version_is_found(write: Write) -> None:
    folder = write()
    (folder.parent / "current").symlink_to(folder)
    assert OnnxEngine(folder.parent, provider="cpu").artifact == CARD


def test_batches_beyond_the_largest_and_other_shapes_are_refused(write: Write) -> None:
    engine = OnnxEngine(write(), provider="cpu", batch_sizes=(2,))
    with pytest.raises(ValueError, match=r"a batch of 3, expected 1\.\.2"):
        engine.run(np.zeros((3, HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        engine.run(np.zeros((1, HEIGHT, WIDTH + 8, 3), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        engine.run(np.zeros((1, HEIGHT, WIDTH, 3), np.float32))  # type: ignore[arg-type]


def test_a_graph_whose_size_varies_runs_any_multiple_of_8_and_declares_one(write: Write) -> None:
    engine = OnnxEngine(write(variable_model()), provider="cpu")
    assert engine.variable_size
    assert engine.input_size == (HEIGHT, WIDTH)
    engine.warm_up()
    for height, width in [(HEIGHT, WIDTH), (8, 200), (304, 16)]:
        maps = engine.run(np.full((1, height, width, 3), 255, np.uint8))
        assert maps.offset.shape == (1, 2, height, width)
        assert maps.seed.shape == (1, height, width)
        assert maps.seed.min() == pytest.approx(1)
    for height, width in [(20, 48), (32, 0), (32, 50)]:
        with pytest.raises(ValueError, match=r"expected uint8 .* with H and W multiples of 8"):
            engine.run(np.zeros((1, height, width, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(1, 32, 48\), expected uint8 \(N, H, W, 3\)"):
        engine.run(np.zeros((1, HEIGHT, WIDTH), np.uint8))


def test_an_older_artifact_keeps_its_one_size(write: Write) -> None:
    engine = OnnxEngine(write(), provider="cpu")
    assert not engine.variable_size
    with pytest.raises(ValueError, match=r"\(N, 32, 48, 3\), the artifact's size which its graph"):
        engine.run(np.zeros((1, HEIGHT, WIDTH + 8, 3), np.uint8))
    assert Segmenter(engine, resize="tile").tiles((40, 60)) == 4


def test_on_cuda_the_size_stays_fixed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of the CPU takes the place of CUDA's."""
    pretend_cuda(monkeypatch)
    engine = OnnxEngine(write(variable_model()), provider="cuda")
    assert engine._session.get_inputs()[0].shape == ["N", HEIGHT, WIDTH, 3]
    assert not engine.variable_size
    assert engine.run(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)).seed.max() == 0
    with pytest.raises(ValueError, match=r"\(N, 32, 48, 3\), the artifact's size on CUDA"):
        engine.run(np.zeros((1, HEIGHT, WIDTH + 8, 3), np.uint8))
    assert Segmenter(engine, resize="tile").tiles((40, 60)) == 4


def test_images_of_a_batch_run_on_a_thread_each_and_their_maps_stay_the_same() -> None:
    model = ROOT / "artifacts" / "street" / "1"
    alone = OnnxEngine(model, "cpu", 2)
    together = OnnxEngine(model, "cpu", 2, batch_sizes=(1, 2, 4, 5))
    together.warm_up()
    beside = together._side_by_side
    assert alone._side_by_side is None
    assert beside is not None
    assert [beside.share(n) for n in (1, 2, 3, 5)] == [0, 2, 2, 4]
    images = np.random.default_rng(5).integers(0, 256, (5, 64, 96, 3), np.uint8)
    each = [alone.run(images[i : i + 1]) for i in range(len(images))]
    for n in (1, 2, 3, 4, 5):
        maps = together.run(images[:n])
        assert len(maps) == n
        for name in ("offset", "bandwidth", "seed", "class_index"):
            expected = np.concatenate([getattr(one, name) for one in each[:n]])
            assert np.array_equal(getattr(maps, name), expected), (n, name)


def test_threads_that_would_find_no_image_work_on_the_same_one(write: Write) -> None:
    model = write()
    for threads, largest in ((1, 4), (4, 2)):
        engine = OnnxEngine(model, "cpu", threads, batch_sizes=(1, largest))
        assert engine._side_by_side is None
        assert len(engine.run(np.zeros((largest, HEIGHT, WIDTH, 3), np.uint8))) == largest


@pytest.mark.parametrize(
    ("size", "asked", "threads", "sizes", "beside"),
    [
        ((1024, 2048), {}, 2, (1,), None),
        ((1024, 2048), {}, 8, (1,), None),
        ((512, 1024), {}, 2, (1, 2), 2),
        ((384, 512), {}, 2, (1, 2, 4), 2),
        ((384, 512), {}, 4, (1, 2, 4), 4),
        ((384, 512), {}, 8, (1, 2, 4), None),
        ((384, 512), {"max_batch_size": 8}, 8, (1, 2, 4, 8), 8),
        ((1024, 2048), {"max_batch_size": 2}, 2, (1, 2), 2),
    ],
)
def test_a_worker_prepares_for_no_batch_that_it_never_runs(
    write: Write,
    size: tuple[int, int],
    asked: dict[str, int],
    threads: int,
    sizes: tuple[int, ...],
    beside: int | None,
) -> None:
    height, width = size
    card = msgspec.structs.replace(CARD, height=height, width=width)
    model = write(tiny_model(height=height, width=width), card)
    settings = load_settings(
        WorkerSettings, model=model, provider="cpu", intra_op_threads=threads, **asked
    )
    inference = build_inference(settings)
    engine: Any = inference.segmenter._engine
    assert engine.batch_sizes == sizes
    assert inference.max_batch_size == inference.segmenter.largest_batch == sizes[-1]
    ran = engine._side_by_side
    assert (None if ran is None else ran.threads) == beside


@pytest.mark.parametrize(("model", "runs"), [(variable_model(), 1), (tiny_model(), 35)])
def test_a_worker_tiles_a_frame_at_once_where_the_artifact_lets_it(
    write: Write, model: Any, runs: int
) -> None:
    settings = load_settings(
        WorkerSettings, model=write(model), provider="cpu", resize="tile", max_batch_size=1
    )
    inference = build_inference(settings)
    inference.warm_up()
    frame = np.zeros((160, 208, 3), np.uint8)
    frame[100:120, 90:110] = 255
    stages: list[str] = []
    (found,) = inference.segmenter.segment([frame], lambda stage, seconds: stages.append(stage))
    assert [each.box for each in found.documents()] == [(90, 100, 20, 20)]
    assert inference.segmenter.tiles(frame.shape[:2]) == stages.count("infer") == runs


def test_on_cuda_a_batch_is_padded_to_a_fixed_size_and_the_padding_is_cut_off(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The padding itself needs no accelerator: the CPU's session stands in for CUDA's."""
    pretend_cuda(monkeypatch)
    engine = OnnxEngine(write(), provider="cuda", batch_sizes=(4, 1))
    ran: list[int] = []
    runner = engine._runner
    assert runner is not None

    class Recorder:
        def run(self, images: Any, size: int) -> Any:
            ran.append(size)
            return runner.run(images, size)

    monkeypatch.setattr(engine, "_runner", Recorder())
    images = np.full((2, HEIGHT, WIDTH, 3), 51, np.uint8)
    maps = engine.run(images)
    assert ran == [4]
    assert len(maps) == len(maps.offset) == 2
    assert maps.seed.max() == 0  # 0.2 is no foreground, which alone comes back
    assert engine.run(images * 3).seed.min() == pytest.approx(0.6)
    assert ran.pop() == 4
    engine.warm_up()
    assert ran == [4, 1, 4]


def test_a_failure_while_running_is_a_device_error(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OnnxEngine(write(), provider="cpu")

    class Broken:
        def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
            raise ort_errors.Fail("CUDA failure 700: illegal memory access")

    monkeypatch.setattr(engine, "_session", Broken())
    with pytest.raises(DeviceError, match="failure 700"):
        engine.run(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model here"):
        OnnxEngine(tmp_path / "nowhere", provider="cpu")


def test_a_foreign_onnx_file_is_refused(write: Write) -> None:
    with pytest.raises(ConfigurationError, match="a foreign ONNX file"):
        OnnxEngine(write(artifact=None), provider="cpu")


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", None])
def test_a_corrupt_file_is_refused(write: Write, content: bytes | None) -> None:
    path = write() / "model.onnx"
    path.with_name("model.json").unlink()
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ConfigurationError, match=r"not a model that ONNX Runtime|foreign|not fit"):
        OnnxEngine(path, provider="cpu")


def test_a_file_that_is_not_the_one_on_its_card_is_refused(write: Write) -> None:
    path = write() / "model.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ConfigurationError, match="a broken or partial copy"):
        OnnxEngine(path.parent, provider="cpu")


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ({"width": WIDTH + 8}, {}, ["'images'", "'seed'", "32, 56", "32, 48"]),
        ({"n_sigma": 2}, {}, ["'bandwidth'", "['N', 2, 32, 48]", "['N', 1, 32, 48]"]),
        ({}, {"n_sigma": 2}, ["'bandwidth'", "['N', 2, 32, 48]"]),
        ({"drop": "class_index"}, {}, ["no input or output 'class_index'", "'seed'"]),
        ({"static": True}, {}, ["'images'", "with N dynamic"]),
        ({"static": True, "height": "H", "width": "W"}, {}, ["'images'", "N, H and W dynamic"]),
        ({"height": "H"}, {}, ["'images'", "32, 48", "with N dynamic"]),
        ({}, {"schema": 2}, ["schema is 2, expected 1"]),
        ({}, {"classes": ()}, ["classes"]),
    ],
)
def test_a_graph_that_does_not_fit_its_metadata_is_refused_with_both(
    write: Write, model: dict[str, Any], changes: dict[str, Any], words: list[str]
) -> None:
    folder = write(tiny_model(**model), msgspec.structs.replace(CARD, **changes))
    with pytest.raises(ConfigurationError) as caught:
        OnnxEngine(folder, provider="cpu")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has CUDA")
def test_cuda_that_is_not_installed_is_refused_and_auto_says_why_it_goes_without(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write()
    with pytest.raises(ConfigurationError, match=r"no CUDA provider; install seedstream\[gpu\]"):
        OnnxEngine(folder, provider="cuda")
    with caplog.at_level(logging.INFO):
        assert OnnxEngine(folder, provider="auto").provider == "cpu"
    assert "running on the CPU: the installed ONNX Runtime has no CUDA provider" in caplog.text


def test_a_silent_fallback_to_the_cpu_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime with CUDA built in but no driver: it lists the provider and uses the CPU."""
    folder = write()
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [ORT_NAMES["cuda"], ORT_NAMES["cpu"]]
    )
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: real(path, options, providers=[ORT_NAMES["cpu"]]),
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    with pytest.raises(ConfigurationError, match="could not start CUDA"):
        OnnxEngine(folder, provider="cuda")
    assert OnnxEngine(folder, provider="auto").provider == "cpu"
    assert "could not start CUDA" in caplog.text


def test_the_shipped_model_runs_on_pictures_of_any_size(street_model: Path) -> None:
    engine = OnnxEngine(street_model, provider="cpu", batch_sizes=(2,))
    segmenter = Segmenter(engine)
    found = segmenter.segment([np.zeros((480, 640, 3), np.uint8), np.zeros((90, 50, 3), np.uint8)])
    assert len(found) == 2


def test_a_copy_elsewhere_is_the_same_model(write: Write, tmp_path: Path) -> None:
    folder = write()
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert OnnxEngine(copy, provider="cpu").artifact == OnnxEngine(folder, "cpu").artifact


@pytest.mark.parametrize("place", [b"seedstream.artifact", b"class_index", b'"person"'])
def test_a_file_whose_names_or_metadata_are_not_utf8_is_refused(write: Write, place: bytes) -> None:
    folder = write()
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes().replace(place, b"\xff" * len(place)))
    (folder / "model.json").unlink(missing_ok=True)
    with pytest.raises(ConfigurationError):
        OnnxEngine(path, provider="cpu")


def test_a_file_with_any_bytes_changed_is_loaded_or_refused(write: Write) -> None:
    path = write() / "model.onnx"
    path.with_name("model.json").unlink(missing_ok=True)
    good, source = path.read_bytes(), random.Random(1)
    for _ in range(100):
        data = bytearray(good)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(ConfigurationError):
            OnnxEngine(path, provider="cpu")


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "tile"])
@pytest.mark.parametrize("size", [(1, 1), (1, 16_384), (16_384, 2), (576, 16_384), (7, 5)])
def test_frames_of_any_shape_that_a_record_may_have_are_segmented_or_refused(
    write: Write, resize: Any, size: tuple[int, int]
) -> None:
    segmenter = Segmenter(OnnxEngine(write(), provider="cpu"), resize=resize)
    if resize == "tile" and size in ((16_384, 2), (576, 16_384)):
        with pytest.raises(InvalidMessageError, match="tiles"):
            segmenter.tiles(size)
        return
    began = time.process_time()
    (found,) = segmenter.segment([np.full((*size, 3), 255, np.uint8)])
    assert found.size == size
    assert time.process_time() - began < 2


@pytest.mark.parametrize("fixed_size", [False, True])
def test_one_size_is_told_to_the_runtime_where_it_is_enough(write: Write, fixed_size: bool) -> None:
    engine = open_engine(write(variable_model()), "cpu", fixed_size=fixed_size)
    size = [HEIGHT, WIDTH] if fixed_size else ["H", "W"]
    assert engine._session.get_inputs()[0].shape == ["N", *size, 3]
    assert engine.variable_size != fixed_size
    larger = np.zeros((1, HEIGHT + 8, WIDTH, 3), np.uint8)
    if fixed_size:
        with pytest.raises(ValueError, match="the artifact's size which alone was asked for"):
            engine.run(larger)
    else:
        assert len(engine.run(larger)) == 1


def test_a_file_of_another_precision_runs_if_it_is_asked_for(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(artifact=msgspec.structs.replace(CARD, precision="float16"))
    int8 = msgspec.structs.replace(CARD, precision="int8", weights_sha256="1" * 64)
    other = write_artifact(tmp_path / "other", tiny_model(), int8) / "model.onnx"
    shutil.copy(other, folder / artifact_files.further_file("int8"))
    artifact_files.write_card(
        msgspec.structs.replace(CARD, precision="float16"), folder, {"int8": int8}
    )
    with caplog.at_level(logging.INFO):
        assert open_engine(folder, "cpu", precision="int8").artifact.weights_sha256 == "1" * 64
    assert "tiny/1 in int8 on cpu, batches of (1,): CPU was asked for; int8 was" in caplog.text
    assert open_engine(folder, "cpu", precision="float16").artifact.precision == "float16"
    with pytest.raises(ConfigurationError, match="precision is 'float32', but the artifact has"):
        open_engine(folder, "cpu", precision="float32")


def test_no_later_run_writes_into_predictions_and_the_input_may_be_used_again(write: Write) -> None:
    engine = open_engine(write(), "cpu")
    images = np.full((1, HEIGHT, WIDTH, 3), 255, np.uint8)
    first = engine.run(images)
    images[:] = 0  # the next frame, in the same memory
    assert engine.run(images).seed.max() == 0
    assert first.seed.min() == pytest.approx(1)
