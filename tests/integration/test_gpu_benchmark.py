"""The benchmark of GPUs runs from end to end where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")
from benchmarks import gpu, gpu_maps


def test_every_figure_is_measured_and_the_maps_are_the_cpus(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    assert gpu.main(["--provider", "cpu", "--quick", "--out", str(out)]) == 0
    written: dict[str, Any] = json.loads(out.read_text())
    assert {"command", "commit", "processor", "gpu"} <= written.keys()
    (row,) = written["rows"]
    assert row["right"]
    assert row["foreground_iou"] == 1
    assert [each["batch"] for each in row["batches"]] == [1, 2]
    for each in row["batches"]:
        assert each["network_fps"] > 0
        assert each["network_and_clustering_fps"] > 0
    assert row["worker"]["saturated"]["fps"] > 0
    assert row["worker"]["paced"]["p95_ms"] > 0


def test_a_way_whose_maps_differ_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_maps, "MIN_IOU", 1.1)
    out = tmp_path / "gpu.json"
    assert gpu.main(["--provider", "cpu", "--quick", "--out", str(out)]) == 1
    (row,) = json.loads(out.read_text())["rows"]
    assert not row["right"]
    assert "batches" not in row
