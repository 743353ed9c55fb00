import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from segmentation import kernel_cache

SOURCE = """
from segmentation.kernel_cache import compiled

@compiled
def double(number):
    return 2 * number

@compiled
def triple(number):
    return 3 * number
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return what loads the function anew, as another process would."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    kernel_cache._told.clear()
    source = tmp_path / "kernel_of_test.py"
    source.write_text(SOURCE)

    def load(both: bool = False) -> Any:
        spec = importlib.util.spec_from_file_location("kernel_of_test", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.double if not both else (module.double, module.triple)

    return load


def test_what_was_compiled_is_kept(load: Callable[[], Any]) -> None:
    assert load()(2) == 4
    again = load()
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 1


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_cache_is_told_and_done_without(
    load: Callable[[], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ending: str,
    content: bytes | None,
) -> None:
    assert load()(2) == 4
    (file,) = (tmp_path / "cache").rglob(f"*.{ending}")
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    with caplog.at_level(logging.WARNING):
        assert load()(2) == 4
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_a_cache_that_cannot_be_written_is_told_and_done_without(
    load: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    double = load()
    cache = double._cache
    cache._cache_file._cache_path = str(tmp_path / "kernel_of_test.py")  # a file, not a folder
    cache._cache_file._index_path = str(tmp_path / "kernel_of_test.py" / "index")
    with caplog.at_level(logging.WARNING):
        assert double(2) == 4
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_many_kernels_that_cannot_be_kept_are_told_once(
    load: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernels = load(both=True)
    for each in kernels:
        each._cache._cache_file._cache_path = str(tmp_path / "kernel_of_test.py")
        each._cache._cache_file._index_path = str(tmp_path / "kernel_of_test.py" / "index")
    with caplog.at_level(logging.WARNING):
        assert [each(2) for each in kernels] == [4, 6]
    assert len(caplog.records) == 1


def processor(folder: Path, flags: set[str]) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(sorted(flags))}\n")
    return path


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of an image's kernels; what numba is told is as before afterwards."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)
    monkeypatch.setenv(kernel_cache.PREBUILT, str(tmp_path / "image"))
    return tmp_path / "image"


def test_what_an_image_brings_is_not_compiled_again_on_another_processor(
    load: Callable[[], Any], tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = processor(tmp_path, kernel_cache._FLAGS)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(image))
    assert kernel_cache.take_prebuilt(cpu)
    assert load()(2) == 4  # when the image is built

    # A layer of the image keeps whole seconds of a file's time; and the machine is another one.
    source = tmp_path / "kernel_of_test.py"
    os.utime(source, (int(source.stat().st_mtime),) * 2)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)
    assert kernel_cache.take_prebuilt(cpu)
    again = load()
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 1
    assert (tmp_path / "tmp").is_dir()


@pytest.mark.parametrize("lacking", ["avx2", "fma", None])
def test_an_old_processor_compiles_for_itself(
    lacking: str | None, tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.mkdir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "tmp"))
    cpu = processor(tmp_path, kernel_cache._FLAGS - {lacking})
    assert kernel_cache.take_prebuilt(cpu) is (lacking is None)
    assert (numba.config.CPU_NAME is None) is (lacking is not None)
    assert (tmp_path / "tmp").exists() is (lacking is None)
