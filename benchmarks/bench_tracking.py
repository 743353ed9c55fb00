"""What tracking costs, how long it stays so, and whom it takes for whom in made scenes.

``python -m benchmarks.bench_tracking [--frames N]``. The cost of a frame is that of observing (the
colours of 30x70 pixels each, in a frame of 768x576 as the network saw it), of association, and of
writing and reading the state, processor time of one thread. The long run has ten walkers who come
and go; its state passes through its bytes at each frame. With ``../shared`` and TrackEval
(`make setup`), the shipped street model is tracked on vtest.avi, too: the parameters were chosen on
frames 1..300, 301..400 stand beside.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import RESULTS, ROOT, describe
from contract.errors import ConfigurationError
from model.evaluation.on_tracks import Choice, Options, evaluate_tracks
from model.evaluation.track_scores import find_trackeval
from segmentation.engines import PrecisionWanted
from segmentation.instances import ArrayMask, Instances
from segmentation.letterbox import Fit
from tests.identity_scenes import SCENES, Scene, frames, identity_f1, switches
from tracking import Moment, Observations, State, advance, observe
from tracking.appearance import SIZE
from tracking.state import decode_state, encode_state

FRAME, INPUT = (576, 768), (384, 512)
BOX = (30, 70)
COUNTS = (1, 10, 30, 100, 300)
ROUNDS = 60
SEEDS = 3
LONG = 100_000
VIDEO = ROOT.parent / "shared" / "data" / "video" / "opencv_vtest_576p_80s.avi"
BOXES = ROOT.parent / "shared" / "data" / "pets" / "vtest_frames_1-400_boxes.csv"
PRECISIONS: tuple[PrecisionWanted, ...] = ("float16", "int8")
SPANS = ((1, 400), (1, 300), (301, 400))
CHOICES = (Choice(), Choice(2), Choice(3), *(Choice(drop=0.5, seed=seed) for seed in range(5)))

T = TypeVar("T")
Row = dict[str, object]


def crowd(objects: int) -> Iterator[Instances]:
    """Yield frames in which so many objects walk to and fro."""
    random = np.random.default_rng(objects)
    width, height = BOX
    starts = random.uniform((0, 0), (FRAME[1] - width, FRAME[0] - height), (objects, 2))
    mask = np.ones((height, width), np.bool_)
    for number in range(10**9):
        sway = 20 * np.sin(number / 15 + np.arange(objects))
        xs = np.clip(starts[:, 0] + sway, 0, FRAME[1] - width).astype(int).tolist()
        boxes = [(x, int(y), width, height) for x, y in zip(xs, starts[:, 1], strict=True)]
        masks = [ArrayMask(mask, box, FRAME) for box in boxes]
        centers = [(box[0] + width / 2, box[1] + height / 2) for box in boxes]
        areas, ones = [mask.size] * objects, [1.0] * objects
        yield Instances.of(FRAME, ("person",), [0] * objects, ones, centers, areas, masks)


def cost(objects: int) -> Row:
    """Return the median milliseconds of a frame by part, and the bytes of its state."""
    picture = np.random.default_rng(0).integers(0, 256, (*INPUT, 3), np.uint8)
    fit = Fit.of(FRAME, INPUT)
    state = State.empty(1_764_000_000_000)
    times: dict[str, list[float]] = {"observe": [], "advance": [], "bytes": []}
    for number, instances in enumerate(islice(crowd(objects), ROUNDS + 10)):
        moment = Moment(1_764_000_000 + number / 10, "s")
        observed = timed(times["observe"], partial(observe, instances, picture, fit))
        step = timed(times["advance"], partial(advance, state, observed, moment))
        state = timed(times["bytes"], partial(passed_through_bytes, step.state))
    parts = {name: round(float(np.median(spent[10:])), 3) for name, spent in times.items()}
    whole = round(sum(parts.values()), 3)
    return {"objects": objects, **parts, "ms": whole, "state_bytes": len(encode_state(state))}


def passed_through_bytes(state: State) -> State:
    """Return what the state's bytes say."""
    return decode_state(encode_state(state))


def timed(spent: list[float], call: Callable[[], T]) -> T:
    """Return what a call returns, and note its milliseconds."""
    began = time.thread_time()
    result = call()
    spent.append(1e3 * (time.thread_time() - began))
    return result


def walkers(number: int, colours: NDArray[np.uint8]) -> Observations:
    """Return a frame of ten who walk to and fro, each away for a third of the time."""
    indices = np.array([k for k in range(10) if (number // (50 + 7 * k) + k) % 3])
    place = (number * (1 + indices % 4)) % 1400
    xs = np.where(place < 700, place, 1400 - place)
    boxes = np.stack([xs, 50.0 * indices, 30 + 0 * xs, 70 + 0 * xs], axis=1).astype(np.float64)
    names, ones = ("person",) * len(indices), np.ones(len(indices))
    return Observations(FRAME, boxes, names, ones, colours[indices])


def long_run(total: int) -> Row:
    """Return the largest state and the milliseconds a frame in the first and last tenth."""
    colours = np.random.default_rng(3).integers(0, 256, (10, SIZE), np.uint8)
    state, largest, spent = State.empty(1), 0, []
    for number in range(total):
        observed, moment = walkers(number, colours), Moment(1_764_000_000 + number / 10, "s")
        began = time.thread_time()
        text = encode_state(advance(state, observed, moment).state)
        state = decode_state(text)
        spent.append(1e3 * (time.thread_time() - began))
        largest = max(largest, len(text))
    first, last = (float(np.median(part)) for part in (spent[: total // 10], spent[-total // 10 :]))
    return {
        "frames": total,
        "largest_state_bytes": largest,
        "tracks_begun": state.next_track - 1,
        "ms_first_tenth": round(first, 3),
        "ms_last_tenth": round(last, 3),
        "last / first": round(last / first, 2),
    }


def follow(scene: Scene, seed: int, colours: bool) -> tuple[float, int]:
    """Return IDF1 and the identity switches of a scene."""
    state, truth, tracks = State.empty(1), [], []
    for frame in frames(scene, seed):
        observed = observe(frame.instances, frame.picture if colours else None)
        step = advance(state, observed, Moment(frame.captured_at, "s"))
        state = step.state
        truth.append(frame.truth)
        tracks.append(tuple(identity.track for identity in step.identities))
    return identity_f1(truth, tracks), switches(truth, tracks)


def judged(scene: Scene) -> Row:
    """Return the mean IDF1 of a scene, in percent, and its switches, with colours and without."""
    row: Row = {"scene": scene.name}
    for name, colours in (("", True), (", no colours", False)):
        runs = [follow(scene, seed, colours) for seed in range(SEEDS)]
        row[f"IDF1{name}"] = round(100 * float(np.mean([f1 for f1, _ in runs])), 1)
        row[f"switches{name}"] = round(float(np.mean([count for _, count in runs])), 1)
    return row


def street(precision: PrecisionWanted) -> list[Row]:
    """Return the figures of the shipped model on vtest.avi.

    Each span of frames begins with an empty state; all boxes count, also unconfirmed ones.
    """
    model, options = ROOT / "artifacts" / "street" / "1", Options(precision=precision)
    rows: list[Row] = []
    for first, last in SPANS:
        report = evaluate_tracks(model, VIDEO, BOXES, (first, last), CHOICES, options)
        for choice, frames_seen, scores in ((r.choice, r.frames, r.scores) for r in report.rows):
            rows.append(
                {
                    "file": precision,
                    "frames": f"{first}..{last}",
                    "seen": f"{choice.name}{f', seed {choice.seed}' if choice.drop else ''}",
                    "number": frames_seen,
                    "IDF1": round(100 * scores.idf1, 1),
                    "HOTA": round(100 * scores.hota, 1),
                    "AssA": round(100 * scores.assa, 1),
                    "MOTA": round(100 * scores.mota, 1),
                    "switches": scores.switches,
                    "fragmentations": scores.fragmentations,
                }
            )
    return rows


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines)


def has_trackeval() -> bool:
    """Return whether tracks can be measured here."""
    try:
        find_trackeval()
    except ConfigurationError as error:
        print(error)
        return False
    return True


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=LONG, help="of the long run")
    parser.add_argument("--no-street", action="store_true", help="leave out vtest.avi")
    options = parser.parse_args()
    about = describe()
    costs = [cost(objects) for objects in COUNTS]
    long = long_run(options.frames)
    scenes = [judged(scene) for scene in SCENES]
    people = []
    if not options.no_street and BOXES.exists() and has_trackeval():
        people = [row for precision in PRECISIONS for row in street(precision)]
    parts = {
        "Cost of a frame, milliseconds of one thread": costs,
        "Long run": [long],
        "Made scenes, means of three seeds": scenes,
        "The shipped street model on vtest.avi": people,
    }
    text = "\n\n".join(f"## {head}\n\n{table(rows)}" for head, rows in parts.items() if rows)
    print(text)
    by_count = {str(row["objects"]): row for row in costs}
    result = {**about, "cost": by_count, "long": long, "scenes": scenes, "street": people}
    moment = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"tracking-{moment}.json").write_text(json.dumps(result, indent=1) + "\n")
    if people:  # without the street the page would lose what it says of it
        (RESULTS / "tracking.md").write_text(
            f"# Tracking\n\n`python -m benchmarks.bench_tracking`\n\n{text}\n\n"
            f"IDF1, HOTA, AssA and MOTA in percent; tracking-{moment}.json has the machine and the "
            "versions.\n"
        )


if __name__ == "__main__":
    main()
