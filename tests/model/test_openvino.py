"""OpenVINO says what ONNX Runtime's own kernels say, on a real frame and the model that ships.

It is another build of the same module, so it runs in a process of its own: from the environment if
that has it, else from the folder that `make setup` installs it into.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from tests.conftest import REPOSITORY

PROGRAM = """
import json, sys, time
import numpy as np
from media.videos import Video
from segmentation.engines import open_engine
from segmentation.letterbox import Fit

model, video = sys.argv[1:]
engines = {
    name: open_engine(model, name, fixed_size=True, threads=2, batch_sizes=(1, 3))
    for name in ("cpu", "auto")
}
size = engines["cpu"].input_size
with Video(video) as frames:
    picture = next(iter(frames)).image
images = Fit.of(picture.shape[:2], size).apply(picture)[None]
maps = {name: engine.run(images) for name, engine in engines.items()}
batch = engines["auto"].run(np.concatenate([images, images[:, ::-1], images]))
ours, theirs = (each.seed > 0.5 for each in maps.values())
step = np.array(engines["cpu"].artifact.grid_step)[:, None, None]
away = np.abs(maps["cpu"].offset[0] - maps["auto"].offset[0]) / step
print(json.dumps({
    "provider": engines["auto"].provider,
    "reason": engines["auto"].choice.reason,
    "foreground": int(ours.sum()),
    "iou": float((ours & theirs).sum() / (ours | theirs).sum()),
    "beside": [bool(np.array_equal(batch.seed[i], maps["auto"].seed[0])) for i in range(3)],
    "pixels": float(np.median(away[:, (ours & theirs)[0]])),
}))
"""


def folder_with_openvino() -> Path | None:
    """Where another build of the module lies, None where this environment has it."""
    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        return None
    folder = Path(sys.prefix) / "openvino"
    if not (folder / "onnxruntime").is_dir():
        pytest.skip(f"no OpenVINO here and none in {folder}: `make setup` installs it there")
    return folder


def test_openvino_is_chosen_where_it_is_installed_and_its_maps_are_the_cpus(
    street_model: Path,
) -> None:
    folder = folder_with_openvino()
    path = [str(each) for each in (folder, REPOSITORY) if each is not None]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, street_model, REPOSITORY / "assets" / "vtest_clip.mp4"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert seen["provider"] == "openvino"
    assert "OpenVINO is installed" in seen["reason"]
    assert seen["foreground"] > 500
    assert seen["iou"] >= 0.97
    assert seen["beside"] == [True, False, True]
    assert seen["pixels"] < 0.5
