"""What the motion gate saves, and whom it loses.

``python -m benchmarks.bench_motion_gate [CAR_PARK_DETECTIONS]``. A true box counts as seen if its
frame is published, or if a box of the last published frame still covers it at an IoU of 0.5. Lost
recall is the share of boxes that are not seen. Of vtest.avi the boxes are true ones, frames 1..300
(on which settings were chosen) and 301..400; of the car park they are those that the shipped street
model finds in each frame. The still scenes are the first frame of vtest.avi with a sensor's noise,
an exposure that drifts and steps, a lamp that flickers, and all of them.
"""

import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.environment import RESULTS, ROOT, describe
from producer.encoding import luma_of
from producer.motion_gate import MotionGate, MotionSettings, small
from segmentation import open_segmenter

DATA = ROOT.parent / "shared" / "data"
VTEST = DATA / "video" / "opencv_vtest_576p_80s.avi"
CAR_PARK = DATA / "video" / "intel_car-detection_432p_30s.mp4"
BOXES = DATA / "pets" / "vtest_frames_1-400_boxes.csv"
FRAMES, CHOSEN_ON = 400, 300
FPS = {VTEST: 10.0, CAR_PARK: 12.5}

Box = Sequence[float]
Luma = npt.NDArray[np.uint8]


def iou(a: Box, b: Box) -> float:
    """Return the intersection over the union of two boxes x, y, width, height."""
    across = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return across * down / (a[2] * a[3] + b[2] * b[3] - across * down)


def lumas(path: Path) -> list[Luma]:
    """Return what the gate sees of a clip."""
    with av.open(str(path)) as container:
        return [small(luma_of(frame)) for frame in islice(container.decode(video=0), FRAMES)]


def true_boxes() -> list[list[Box]]:
    """Return the people of vtest.avi by frame."""
    found: list[list[Box]] = [[] for _ in range(FRAMES)]
    for frame, _, *box in csv.reader(BOXES.read_text().splitlines()):
        found[int(frame) - 1].append([float(text) for text in box])
    return found


def detections(path: Path) -> list[list[Box]]:
    """Return what the shipped street model finds in each frame."""
    segmenter = open_segmenter(str(ROOT / "artifacts" / "street" / "1"), "cpu")
    with av.open(str(path)) as container:
        return [
            [list(map(float, box)) for box in segmenter.segment([image])[0].boxes]
            for frame in islice(container.decode(video=0), FRAMES)
            for image in [frame.to_ndarray(format="rgb24")]
        ]


def still(kind: str) -> Iterator[Luma]:
    """Yield what the gate sees of a scene in which nothing moves."""
    with av.open(str(VTEST)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="gray").astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 6, (9, *first.shape)).astype(np.float32)
    for number in range(FRAMES):
        picture = first.copy()
        if kind in ("exposure", "all"):
            picture = picture * (1 + 0.25 * np.sin(number / 40)) + 20 * (number // 100 % 2)
        if kind in ("lamp", "all") and number // 5 % 2:
            picture[50:200, 100:260] += 60
        picture += noise[number % len(noise)]
        yield small(picture.clip(0, 255).astype(np.uint8))


def judge(
    name: str, seen: list[Luma], boxes: list[list[Box]], fps: float, span: tuple[int, int]
) -> dict[str, object]:
    """Return what the gate does with the frames of a span, having seen those before it."""
    gate, last = MotionGate(MotionSettings()), 0
    frames = published = total = covered = 0
    began = time.thread_time()
    verdicts = [gate.judge(luma, number / fps) for number, luma in enumerate(seen)]
    took = (time.thread_time() - began) / len(seen)
    for number, verdict in enumerate(verdicts):
        last = last if verdict == "static" else number
        if not span[0] <= number < span[1]:
            continue
        frames, published = frames + 1, published + (verdict != "static")
        for box in boxes[number]:
            total += 1
            covered += last == number or any(iou(box, other) >= 0.5 for other in boxes[last])
    return {
        "scene": name,
        "frames": frames,
        "saved_percent": round(100 * (1 - published / frames), 1),
        "boxes": total,
        "recall_lost_points": round(100 * (1 - covered / total), 2) if total else None,
        "ms_a_frame": round(took * 1e3, 2),
    }


def main() -> None:
    """Measure, print and keep."""
    about = describe()
    vtest, people = lumas(VTEST), true_boxes()
    given = sys.argv[1:2]
    cv2.setNumThreads(1)
    cars = json.loads(Path(given[0]).read_text()) if given else detections(CAR_PARK)
    nothing: list[list[Box]] = [[] for _ in range(FRAMES)]
    rows = [
        judge("vtest.avi, frames 1..300", vtest, people, FPS[VTEST], (0, CHOSEN_ON)),
        judge("vtest.avi, frames 301..400", vtest, people, FPS[VTEST], (CHOSEN_ON, FRAMES)),
        judge("car park", lumas(CAR_PARK), cars, FPS[CAR_PARK], (0, FRAMES)),
        *(
            judge(f"still: {kind}", list(still(kind)), nothing, 10.0, (0, FRAMES))
            for kind in ("noise", "exposure", "lamp", "all")
        ),
    ]
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    text = "\n".join(lines)
    print(text)
    settings = MotionSettings().model_dump()
    moment = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"motion-gate-{moment}.json").write_text(
        json.dumps({**about, "settings": settings, "rows": rows}, indent=1) + "\n"
    )
    (RESULTS / "motion-gate.md").write_text(
        f"# Motion gate\n\n`python -m benchmarks.bench_motion_gate`\n\n{text}\n\n"
        f"Settings: {settings}. motion-gate-{moment}.json has the machine and the versions. Of the "
        "frames of the still scenes, 2 s at the start and one in 10 s are published by design.\n"
    )


if __name__ == "__main__":
    main()
