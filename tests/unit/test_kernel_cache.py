import importlib.util
import logging
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
