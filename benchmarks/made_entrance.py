"""A made camera for the tutorial: a street whose every pixel is known.

``python -m benchmarks.made_entrance FOLDER`` writes ``FOLDER/entrance.avi``, 400 frames of 640x480
at 10 a second, and ``FOLDER/truth``, the last 100 of them as a data set of label maps: what a model
made from the first 300 must find. People of whom less than a quarter is seen, behind others or
beyond the border, are ignored there.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from media.videos import Video
from tests.walkers import Street, enlarged, procession

FRAMES, LEARNED = 400, 300
_IGNORED = 255
_SEEN = 0.25


def entrance(frames: int = FRAMES) -> Street:
    """Return the street: someone new every two seconds, nobody twice."""
    return enlarged(procession(frames, seed=1, every=20), 16 / 9)


def write_entrance(folder: Path, street: Street, frames: int, learned: int) -> Path:
    """Write the video, and the truth of the frames that nothing is learned from.

    Returns:
        The video.
    """
    folder.mkdir(parents=True, exist_ok=True)
    video = street.write(folder / "entrance.avi", frames)
    truth = folder / "truth"
    for name in ("images", "instances", "classes"):
        (truth / name).mkdir(parents=True, exist_ok=True)
    with Video(video) as opened:
        for frame in opened:
            if frame.number >= learned:
                name = f"{frame.number + 1:06d}.png"
                instances, classes = known(street, frame.number)
                bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(truth / "images" / name), bgr)
                cv2.imwrite(str(truth / "instances" / name), instances)
                cv2.imwrite(str(truth / "classes" / name), classes)
    (truth / "dataset.json").write_text(json.dumps({"classes": ["person"]}) + "\n")
    return video


def known(street: Street, number: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return who is where in a frame (H, W), and the classes (H, W): 0, 1, or 255 for ignored."""
    instances = street.render(number)[1].astype(np.uint16)
    classes = (instances > 0).astype(np.uint8)
    for index in np.unique(instances[instances > 0]):
        own = instances == index
        if own.sum() < _SEEN * street.whole(index - 1, number):
            instances[own], classes[own] = 0, _IGNORED
    return instances, classes


def main() -> None:
    """Write what the tutorial needs into the folder named on the command line."""
    (folder,) = sys.argv[1:]
    video = write_entrance(Path(folder), entrance(), FRAMES, LEARNED)
    print(f"wrote {video} and {Path(folder) / 'truth'}")


if __name__ == "__main__":
    main()
