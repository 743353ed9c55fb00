import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_starts_without_its_telemetry(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    program = "import segmentation.engines.onnx, onnxruntime"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert [entry.name for entry in tmp_path.iterdir()] == []
