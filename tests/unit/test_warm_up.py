"""After the warm-up nothing is compiled any more: no camera's first frame waits for that."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from segmentation.engines.base import Predictions
from segmentation.engines.foreground import Foreground, Pixels
from segmentation.segmenter import Fitted, Maps, Segmenter
from tests.unit.test_segmenter import SquareEngine, picture
from tracking import Moment, State, advance
from workers.track_chains import look, warm_up_tracking

def compiled():
    return {
        f"{name}.{key}": len(value.signatures)
        for name, module in list(sys.modules.items())
        if name.startswith(("segmentation", "tracking"))
        for key, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }

engine = SquareEngine(largest=2)
segmenter = Segmenter(engine, threads=2)
segmenter.warm_up()
warm_up_tracking(look)
before = compiled()

images = [picture(64, 96), picture(100, 160)]
(maps,) = segmenter.maps(images)
said = maps.predictions
place = np.flatnonzero(said.seed > 0.5).astype(np.int32)
channels = [*np.moveaxis(said.offset, 1, 0), *np.moveaxis(said.bandwidth, 1, 0), said.seed]
values = np.stack([channel.ravel()[place] for channel in channels])
pixels = Pixels(place, values, said.class_index.ravel()[place])
state = State.empty(first_track=1)
for each in (said, Foreground(pixels, said.seed.shape)):
    for image, found in zip(images, segmenter.describe(Maps(each, maps.fits)), strict=True):
        assert len(found) == 2
        assert found.documents()
        fitted = segmenter.fit(image)
        for _ in range(2):
            state = advance(state, look(found, fitted), Moment(1.0)).state

after = compiled()
late = {name for name, count in after.items() if count != before.get(name)}
assert not late, f"compiled after the warm-up: {sorted(late)}"
assert sum(map(bool, after.values())) > 5  # those that are called from here
print("nothing")
"""


def test_nothing_is_compiled_after_the_warm_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "nothing\n", done.stderr
