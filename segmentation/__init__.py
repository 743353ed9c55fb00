"""The shipped inference as a library: pictures in, instances out; no Kafka, no Redis, no torch.

from segmentation import open_segmenter, read_image

segmenter = open_segmenter("artifacts/street/1")
(instances,) = segmenter.segment([read_image("street.jpg")])
"""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from media.brightness import Levels
    from media.picture_files import UnreadableInputError
    from media.pictures import read_image
    from media.videos import Video
    from segmentation.engines import PrecisionWanted, Provider
    from segmentation.instances import Instances
    from segmentation.letterbox import Resize
    from segmentation.segmenter import Segmenter

__all__ = ["Instances", "Levels", "UnreadableInputError", "Video", "open_segmenter", "read_image"]

# Loaded when asked for: a worker needs no video decoder, a reader of results no network.
_HOMES = {
    "Instances": "segmentation.instances",
    "Levels": "media.brightness",
    "UnreadableInputError": "media.picture_files",
    "Video": "media.videos",
    "read_image": "media.pictures",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


# The Linux wheel of ONNX Runtime (seen in 1.32) writes a session file into the temporary folder at
# import and carries an upload address. What cameras see is nobody's telemetry: off, unless the
# person who runs this says otherwise. Must be set before the first import of onnxruntime.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_segmenter(
    model: Path | str,
    provider: "Provider" = "auto",
    *,
    precision: "PrecisionWanted" = "auto",
    score_threshold: float | None = None,
    resize: "Resize" = "letterbox",
    threads: int = 0,
    cluster_threads: int = 1,
    batch_size: int = 1,
) -> "Segmenter":
    """Open a model artifact, ready to segment pictures as a worker does.

    Args:
        model: The artifact's folder ``NAME/VERSION``, or its file.
        provider: ``cpu``, ``openvino``, ``cuda``, ``tensorrt``, or ``auto``: CUDA if it really
            works, else OpenVINO if it is installed, else the CPU.
        precision: ``float32``, ``float16``, ``int8``, or ``auto``: the file of the artifact that is
            fastest there.
        score_threshold: Lowest score that is reported, 0..1; None takes the artifact's.
        resize: How pictures are fitted into the model's input: ``letterbox`` scales and pads,
            ``stretch`` fills it, ``tile`` cuts pictures that are larger into overlapping tiles at
            their own scale: small objects are found, at the cost of a network run per tile;
            ``auto`` tiles unless the letterboxed picture shows objects too large for tiles.
        threads: Threads of the network on the CPU; 0 leaves the choice to the provider.
        cluster_threads: Pictures of a batch that are clustered side by side.
        batch_size: Most pictures, or tiles, that run through the network together.

    Raises:
        ConfigurationError: The model does not load, or the provider is unavailable.
    """
    # Here: reading pictures and results loads neither ONNX Runtime nor compiled kernels.
    from segmentation.engines import open_engine
    from segmentation.segmenter import Segmenter

    engine = open_engine(
        model,
        provider,
        precision=precision,
        threads=threads,
        batch_sizes=(batch_size,),
        fixed_size=resize in ("letterbox", "stretch"),
    )
    return Segmenter(
        engine, score_threshold=score_threshold, resize=resize, threads=cluster_threads
    )
