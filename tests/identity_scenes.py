"""Made scenes in which it is known who is who: what a tracker is tried on, every pixel known.

A scene gives instances as a segmenter would, in frames with sensor noise: masks whose edges
flicker, cut where something stands before them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import ArrayMask, Instances

Colour = tuple[int, int, int]

HEIGHT, WIDTH = 192, 256
CLASSES = ("person", "car")


class Pose(NamedTuple):
    """Where someone is: middle and feet in pixels, height in pixels."""

    x: float
    foot: float
    height: float


Path = Callable[[float], Pose | None]
"""Pose by seconds; None where the object is not there."""


@dataclass(frozen=True)
class Actor:
    """Someone, or something.

    Attributes:
        path: Where it is.
        coat: Colour of the upper half.
        legs: Colour of the lower half.
        kind: Class name.
        slim: Width by height.
    """

    path: Path
    coat: Colour
    legs: Colour = (40, 40, 60)
    kind: str = "person"
    slim: float = 0.4


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes:
        name: What happens.
        actors: Who is there.
        seconds: How long.
        fps: Frames a second.
        posts: Things before everybody: left, top, right, bottom in pixels.
        missed: Share of objects that the segmenter misses, at random.
        light: Brightness by seconds.
        gaps: Spans of seconds from which no frame comes.
    """

    name: str
    actors: tuple[Actor, ...]
    seconds: float = 12.0
    fps: float = 10.0
    posts: tuple[tuple[int, int, int, int], ...] = ()
    missed: float = 0.0
    light: Callable[[float], float] = lambda _: 1.0
    gaps: tuple[tuple[float, float], ...] = ()


class SceneFrame(NamedTuple):
    """A frame: instances, picture, time in seconds, and which actor each instance is."""

    instances: Instances
    picture: NDArray[np.uint8]
    captured_at: float
    truth: tuple[int, ...]


def frames(scene: Scene, seed: int = 0) -> Iterator[SceneFrame]:
    """Yield the frames of a scene."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 5, (5, HEIGHT, WIDTH, 3)).astype(np.float32)
    ground = (110 + 25 * np.sin(np.arange(WIDTH) / 17))[None, :, None].astype(np.float32)
    for number in range(round(scene.seconds * scene.fps)):
        now = number / scene.fps
        if any(begin <= now < end for begin, end in scene.gaps):
            continue
        picture = np.broadcast_to(ground, (HEIGHT, WIDTH, 3)).copy()
        numbers = np.zeros((HEIGHT, WIDTH), np.int32)
        poses = [(pose.foot, i, pose) for i, a in enumerate(scene.actors) if (pose := a.path(now))]
        whole = np.zeros(len(scene.actors) + 1)
        for _, i, pose in sorted(poses):
            whole[i + 1] = _paint(picture, numbers, scene.actors[i], pose, i + 1, random)
        for left, top, right, bottom in scene.posts:
            picture[top:bottom, left:right] = (90, 100, 90)
            numbers[top:bottom, left:right] = 0
        picture = scene.light(now) * picture + noise[number % len(noise)]
        seen = [
            i
            for i in range(len(scene.actors))
            if np.count_nonzero(numbers == i + 1) > max(0.2 * whole[i + 1], 20)
            and random.random() >= scene.missed
        ]
        instances = _instances(numbers, seen, scene)
        yield SceneFrame(instances, picture.clip(0, 255).astype(np.uint8), now, tuple(seen))


def _paint(
    picture: NDArray[np.float32],
    numbers: NDArray[np.int32],
    actor: Actor,
    pose: Pose,
    number: int,
    random: np.random.Generator,
) -> float:
    """Draw an actor with edges that flicker by a pixel; return how many pixels it has in whole."""
    half = actor.slim * pose.height / 2
    top, middle = pose.foot - pose.height, pose.foot - 0.45 * pose.height
    chin = pose.foot - 0.85 * pose.height
    parts = [
        (top, chin, 0.5 * half, (190, 150, 120) if actor.kind == "person" else actor.coat),
        (chin, middle, half, actor.coat),
        (middle, pose.foot, 0.8 * half, actor.legs),
    ]
    whole = 0.0
    for upper, lower, wide, colour in parts:
        edges = (upper, lower, pose.x - wide, pose.x + wide)
        y0, y1, x0, x1 = (round(edge + random.normal(0, 0.6)) for edge in edges)
        rows, columns = slice(max(y0, 0), max(y1, 0)), slice(max(x0, 0), max(x1, 0))
        picture[rows, columns] = colour
        numbers[rows, columns] = number
        whole += max(y1 - y0, 0) * max(x1 - x0, 0)
    return whole


def _instances(numbers: NDArray[np.int32], seen: list[int], scene: Scene) -> Instances:
    masks, centers, areas = [], [], []
    for i in seen:
        rows, columns = np.nonzero(numbers == i + 1)
        x, y = int(columns.min()), int(rows.min())
        box = (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
        masks.append(ArrayMask.cut(numbers, i + 1, box))
        centers.append((float(columns.mean()), float(rows.mean())))
        areas.append(len(rows))
    kinds = [CLASSES.index(scene.actors[i].kind) for i in seen]
    ones = [1.0] * len(seen)
    return Instances.of((HEIGHT, WIDTH), CLASSES, kinds, ones, centers, areas, masks)


def walk(*points: tuple[float, float, float], height: float = 60.0) -> Path:
    """Return a path through (seconds, x, foot), straight between them, nowhere before and after."""
    times, xs, feet = zip(*points, strict=True)

    def at(now: float) -> Pose | None:
        if not times[0] <= now <= times[-1]:
            return None
        return Pose(float(np.interp(now, times, xs)), float(np.interp(now, times, feet)), height)

    return at


def away(path: Path, begin: float, end: float) -> Path:
    """Return a path that is not there for a time."""
    return lambda now: None if begin < now < end else path(now)


RED, BLUE, GREEN, WHITE = (170, 40, 40), (40, 60, 160), (50, 130, 60), (210, 210, 200)
BLACK, YELLOW = (30, 30, 35), (200, 180, 50)


def _crossing(first: Colour, second: Colour, height: float = 60.0) -> tuple[Actor, ...]:
    return (
        Actor(walk((0, 20, 150), (10, 236, 150)), first),
        Actor(walk((0, 236, 156), (10, 20, 156), height=height), second),
    )


def _crowd() -> tuple[Actor, ...]:
    random = np.random.default_rng(5)
    actors = []
    for i, coat in enumerate(
        (RED, BLUE, GREEN, WHITE, BLACK, YELLOW, (120, 60, 130), (90, 60, 40))
    ):
        xs, feet = random.uniform(20, 236, 5), random.uniform(110, 185, 5)
        points = [
            (float(t), float(x), float(y))
            for t, x, y in zip(range(0, 25, 5), xs, feet, strict=True)
        ]
        actors.append(Actor(walk(*points, height=45.0 + i), coat))
    return tuple(actors)


def _dimmed(now: float, to: float, begin: float, end: float) -> float:
    return float(np.interp(now, (begin, end), (1.0, to)))


SCENES = (
    Scene("paths cross", _crossing(RED, BLUE)),
    Scene("paths cross, same clothes", _crossing(BLACK, BLACK)),
    Scene(
        "behind a post, 1.5 s",
        (Actor(walk((0, 20, 150), (8, 236, 150)), RED),
         Actor(walk((1, 236, 140), (9, 20, 140)), GREEN)),
        posts=((105, 40, 150, 192),),
    ),
    Scene(
        "behind a post, same clothes",
        (Actor(walk((0, 20, 150), (8, 236, 150)), BLACK),
         Actor(walk((1, 236, 140), (9, 20, 140)), BLACK)),
        posts=((105, 40, 150, 192),),
    ),
    Scene(
        "behind a wall, 5 s",
        (Actor(away(walk((0, 100, 120), (2, 128, 120), (7, 128, 120), (10, 60, 130)), 2, 7), BLUE),
         Actor(walk((0, 236, 150), (10, 20, 150)), YELLOW)),
        seconds=10,
    ),
    Scene(
        "leaves and comes back after 4 s",
        (Actor(away(walk((0, 128, 150), (3, -20, 150), (7, -20, 150), (11, 150, 150)), 3, 7), RED),
         Actor(walk((3, 270, 140), (12, 20, 140)), GREEN)),
    ),
    Scene(
        "stands still for a minute, others pass",
        (Actor(walk((0, 128, 140), (64, 128, 140)), WHITE),
         *(Actor(walk((5 + 9 * k, -20, 150), (12 + 9 * k, 276, 150)), (BLUE, RED, BLACK)[k % 3])
           for k in range(6))),
        seconds=64, fps=5,
    ),
    Scene("two scales", _crossing(RED, BLUE, height=140.0)),
    Scene(
        "meet and turn back",
        (Actor(walk((0, 20, 150), (5, 124, 150), (7, 124, 150), (12, 20, 150)), GREEN),
         Actor(walk((0, 236, 154), (5, 130, 154), (7, 130, 154), (12, 236, 154)), RED)),
    ),
    Scene(
        "sudden turn",
        (Actor(walk((0, 20, 150), (3, 150, 150), (6, 20, 150), (9, 150, 150)), BLUE),
         Actor(walk((0, 236, 150), (3, 190, 150), (9, 236, 150)), BLACK)),
        seconds=9,
    ),
    Scene("two frames a second", _crossing(RED, BLUE), fps=2),
    Scene("two frames a second, same clothes", _crossing(BLACK, BLACK), fps=2),
    Scene("a third of the objects missed", _crowd()[:4], missed=0.33, seconds=20),
    Scene("eight people, random ways", _crowd(), seconds=20),
    Scene(
        "light falls to half", (*_crossing(RED, BLUE),),
        light=partial(_dimmed, to=0.5, begin=4.0, end=6.0),
    ),
    Scene(
        "a lamp is switched on", (*_crossing(RED, BLUE),),
        light=partial(_dimmed, to=1.7, begin=3.0, end=3.1),
    ),
    Scene(
        "a sign hides all but the legs, same clothes",
        (Actor(walk((0, 20, 156), (10, 236, 156)), BLACK),
         Actor(walk((0, 60, 150), (3, 128, 150), (8, 128, 150), (12, 200, 150)), BLACK)),
        posts=((110, 60, 146, 128),),
    ),
    Scene("camera gone for 1.5 s", _crossing(RED, BLUE), gaps=((4.2, 5.7),)),
    Scene(
        "a car passes a person",
        (Actor(walk((0, 60, 120), (10, 200, 120), height=50), BLUE),
         Actor(walk((2, -60, 160), (6, 320, 160), height=70), BLUE, BLUE, "car", 2.0)),
        seconds=10,
    ),
)  # fmt: skip
"""Scenes by name."""


def identity_f1(truth: list[tuple[int, ...]], tracks: list[tuple[int, ...]]) -> float:
    """Return IDF1, 0..1, of tracks over the frames of a scene, each instance being a true one."""
    from scipy.optimize import linear_sum_assignment

    pairs = [pair for a, b in zip(truth, tracks, strict=True) for pair in zip(a, b, strict=True)]
    true, rows = np.unique([a for a, _ in pairs], return_inverse=True)
    found, columns = np.unique([b for _, b in pairs], return_inverse=True)
    shared = np.zeros((len(true), len(found)))
    np.add.at(shared, (rows, columns), 1)
    return float(shared[linear_sum_assignment(-shared)].sum() / len(pairs))


def switches(truth: list[tuple[int, ...]], tracks: list[tuple[int, ...]]) -> int:
    """Return how often a true object has another track than when it was last seen."""
    last: dict[int, int] = {}
    count = 0
    for a, b in zip(truth, tracks, strict=True):
        for true, track in zip(a, b, strict=True):
            count += last.get(true, track) != track
            last[true] = track
    return count
