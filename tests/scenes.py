"""Synthetic videos whose every object is known, made from the producer's ``test:`` scene."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from producer.scene import Scene

Box = tuple[int, int, int, int]


def write_video(path: Path, scene: Scene, frames: int, codec: str = "mpeg4") -> Path:
    """Write ``frames`` frames of ``scene`` to ``path`` and return it."""
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=round(scene.fps))
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, pixels
        stream.bit_rate = 4_000_000
        for number in range(frames):
            image, _ = scene.render(number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def visible_boxes(instances: npt.NDArray[np.uint16]) -> dict[int, Box]:
    """Return the tight (x, y, width, height) of each instance of an instance map, by its id."""
    boxes = {}
    for label in np.unique(instances[instances > 0]):
        ys, xs = np.nonzero(instances == label)
        left, top = int(xs.min()), int(ys.min())
        boxes[int(label)] = (left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1)
    return boxes
