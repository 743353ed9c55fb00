"""Tracks as MOTChallenge text, which evaluators and annotation tools read. Pure.

One line per box, ``frame,id,left,top,width,height,score,-1,-1,-1``; frames and pixels count from 1
(Leal-Taixé et al., 2015).
"""

from collections.abc import Sequence

from segmentation.instances import Instances


def mot_line(frame: int, track: int, box: Sequence[float], score: float) -> str:
    """Return a line.

    Args:
        frame: Number of the frame, from 1.
        track: Number of the object.
        box: x, y, width, height in pixels from 0.
        score: 0..1.
    """
    x, y, width, height = box
    numbers = (x + 1, y + 1, width, height, round(score, 4))
    return f"{frame},{track},{','.join(f'{number:.10g}' for number in numbers)},-1,-1,-1\n"


def mot_lines(frame: int, instances: Instances) -> str:
    """Return the lines of a frame, counted from 1; none where the instances were not tracked."""
    if instances.identities is None:
        return ""
    rows = zip(
        instances.identities, instances.boxes.tolist(), instances.scores.tolist(), strict=True
    )
    return "".join(mot_line(frame, who.track, box, score) for who, box, score in rows)
