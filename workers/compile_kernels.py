"""Compiles what workers compute with, once for all that start later.

``python -m workers.compile_kernels MODEL``: so `make setup` does, and an image when it is built.

It is kept in ``NUMBA_CACHE_DIR``, else beside the code. With ``SEEDSTREAM_KERNELS``, as in an
image, it is for all the processors that `segmentation.kernel_cache` names, else for this one.
"""

import sys
from pathlib import Path

from workers.inference import build_inference
from workers.settings import WorkerSettings
from workers.track_chains import observer_of, warm_up_tracking


def main(model: Path) -> None:
    """Run once through everything that is compiled."""
    settings = WorkerSettings(model=model, provider="cpu")
    for each in (settings, settings.model_copy(update={"resize": "tile"})):
        build_inference(each).segmenter.warm_up()
    look = observer_of(track=True, appearance=True)
    assert look is not None
    warm_up_tracking(look)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
