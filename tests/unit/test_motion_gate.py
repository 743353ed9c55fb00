"""What the motion gate takes for motion: things that move, and not noise, exposure or a lamp."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from contract.errors import ConfigurationError
from producer.camera_list import load_cameras
from producer.motion_gate import MotionGate, MotionSettings, Verdict, small
from producer.settings import ProducerSettings

FPS = 10
Luma = npt.NDArray[np.uint8]
Change = Callable[[int, npt.NDArray[np.float32]], None]


@functools.cache
def _wall() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the wall, and what the sensor adds to seven pictures."""
    random = np.random.default_rng(0)
    patches = random.uniform(40, 190, (9, 16)).astype(np.float32)
    wall = cv2.resize(patches, (320, 180), interpolation=cv2.INTER_CUBIC)
    return wall, random.normal(0, 5, (7, 180, 320)).astype(np.float32)


def scene(change: Change = lambda number, picture: None, seconds: float = 30) -> Iterator[Luma]:
    """Yield a wall of soft patches under a noisy sensor, 320x180, changed as asked."""
    wall, noise = _wall()
    for number in range(int(seconds * FPS)):
        picture = wall.copy()
        change(number, picture)
        picture += noise[number % len(noise)]
        yield small(picture.clip(0, 255).astype(np.uint8))


def verdicts(pictures: Iterator[Luma], **settings: float) -> list[Verdict]:
    gate = MotionGate(MotionSettings(**settings))
    return [gate.judge(picture, number / FPS) for number, picture in enumerate(pictures)]


def walker(begin: int, speed: float = 4) -> Change:
    """Return what lets a dark figure of 14x36 pixels cross from ``begin`` on."""

    def change(number: int, picture: npt.NDArray[np.float32]) -> None:
        left = round((number - begin) * speed)
        if 0 <= left < 300:
            picture[90:126, left : left + 14] = 25

    return change


def test_a_still_scene_is_published_at_its_start_and_then_once_a_keep_alive_interval() -> None:
    told = Counter(verdicts(scene(), keep_alive_seconds=5, hold_seconds=0))
    assert told.keys() == {"start", "keep_alive", "static"}
    assert told["keep_alive"] == 5


def test_no_two_published_frames_are_farther_apart_than_the_keep_alive_interval() -> None:
    told = verdicts(scene(walker(137), 25), keep_alive_seconds=3)
    published = [number for number, verdict in enumerate(told) if verdict != "static"]
    assert max(np.diff(published)) <= 3 * FPS


def test_who_walks_through_is_published_in_every_frame_and_for_a_while_after() -> None:
    told = verdicts(scene(walker(150)), hold_seconds=2)
    assert "static" not in told[152:225]
    assert told[226:240].count("hold") >= 10
    assert "static" in told[260:], "and no longer than that"
    assert told[30:150].count("static") > 110


def test_who_walks_slowly_is_seen_too() -> None:
    told = verdicts(scene(walker(100, speed=0.5)), hold_seconds=0, keep_alive_seconds=60)
    moves = [number for number, verdict in enumerate(told) if verdict == "motion"]
    assert moves[0] <= 125
    assert max(np.diff(moves)) <= 2 * FPS


def test_what_has_stopped_is_static_and_moves_again_when_it_leaves() -> None:
    def parked(number: int, picture: npt.NDArray[np.float32]) -> None:
        left = min(max(number - 60, 0), 30, max(number - 60, 0)) * 4
        left += max(number - 220, 0) * 4
        if number >= 60 and left < 280:
            picture[60:100, left : left + 40] = 20

    told = verdicts(scene(parked), hold_seconds=1, keep_alive_seconds=60)
    assert told[62:90].count("static") == 0
    assert told[120:215].count("static") > 90
    assert told[222:250].count("static") == 0


@pytest.mark.parametrize("fps", [0.1, 1, 10])
@pytest.mark.parametrize("stays", [10, 60, 120])
def test_what_has_stood_and_is_gone_in_the_next_frame_is_published_as_gone_once(
    fps: float, stays: int
) -> None:
    def stands(number: int, picture: npt.NDArray[np.float32]) -> None:
        if 100 <= number < 100 + stays:
            picture[90:126, 100:160] = 25

    gate = MotionGate(MotionSettings(keep_alive_seconds=3600, hold_seconds=0))
    pictures = enumerate(scene(stands, 30))
    told = [gate.judge(picture, number / fps) for number, picture in pictures]
    published = [number for number, verdict in enumerate(told) if verdict == "motion"]
    assert published[0] == 100
    assert 100 + stays in published
    assert len([number for number in published if number >= 100 + stays]) == 1


@pytest.mark.parametrize("fps", [0.1, 1, 5, 10, 25])
def test_a_lamp_that_flickers_is_no_object_that_is_gone_at_any_frame_rate(fps: float) -> None:
    on = np.random.default_rng(5).random(300) < 0.5

    def lamp(number: int, picture: npt.NDArray[np.float32]) -> None:
        if on[number]:
            picture[30:70, 200:260] += 60

    gate = MotionGate(MotionSettings(keep_alive_seconds=3600, hold_seconds=0))
    told = [gate.judge(picture, number / fps) for number, picture in enumerate(scene(lamp))]
    assert told.count("motion") <= 2
    assert told[50:].count("motion") == 0


def test_a_light_that_switches_slowly_costs_a_frame_for_each_switch() -> None:
    def light(number: int, picture: npt.NDArray[np.float32]) -> None:
        if number // 60 % 2:
            picture[30:70, 200:260] += 60

    told = verdicts(scene(light, 60), keep_alive_seconds=3600, hold_seconds=0, learn_seconds=30)
    moves = [number for number, verdict in enumerate(told) if verdict == "motion"]
    assert set(range(60, 600, 60)) <= set(moves)
    assert len([number for number in moves if number >= 120]) == 8


@pytest.mark.parametrize("deviation", [15, 25])
def test_noise_is_never_an_object_that_is_gone(deviation: float) -> None:
    wall, _ = _wall()
    noise = np.random.default_rng(1).normal(0, deviation, (23, *wall.shape)).astype(np.float32)
    gate = MotionGate(MotionSettings(keep_alive_seconds=3600, hold_seconds=0))
    told = [
        gate.judge(small((wall + noise[number % 23]).clip(0, 255).astype(np.uint8)), number / FPS)
        for number in range(300)
    ]
    assert told[10:].count("motion") == 0


@pytest.mark.parametrize("gain", [0.7, 1.3])
def test_an_exposure_that_changes_is_no_motion(gain: float) -> None:
    def brighter(number: int, picture: npt.NDArray[np.float32]) -> None:
        picture *= 1 + (gain - 1) * min(max(number - 100, 0) / 20, 1)

    told = verdicts(scene(brighter), hold_seconds=0)
    assert told.count("motion") <= 1


def test_a_walker_is_seen_while_the_exposure_changes() -> None:
    def both(number: int, picture: npt.NDArray[np.float32]) -> None:
        walker(120)(number, picture)
        picture *= 1 + 0.3 * np.sin(number / 30)

    assert verdicts(scene(both), hold_seconds=0)[124:190].count("motion") > 60


def test_a_lamp_that_flickers_is_learned() -> None:
    def lamp(number: int, picture: npt.NDArray[np.float32]) -> None:
        if number // 4 % 2:
            picture[30:70, 200:260] += 60

    told = verdicts(scene(lamp), hold_seconds=0, learn_seconds=30)
    assert told[100:].count("motion") == 0

    def with_walker(number: int, picture: npt.NDArray[np.float32]) -> None:
        lamp(number, picture)
        walker(200)(number, picture)

    told = verdicts(scene(with_walker), hold_seconds=0, learn_seconds=30)
    assert told[204:270].count("motion") > 60


def test_a_camera_that_changes_its_size_begins_again() -> None:
    gate = MotionGate(MotionSettings())
    assert gate.judge(np.zeros((90, 160), np.uint8), 0) == "start"
    assert gate.judge(np.zeros((120, 160), np.uint8), 0.1) == "start"


def test_the_small_picture_keeps_its_shape_and_averages_its_noise() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (1080, 1920)).clip(0, 255).astype(np.uint8)
    assert small(noise).shape[1] <= 320
    assert abs(small(noise).shape[1] * 9 - small(noise).shape[0] * 16) <= 16
    assert small(noise).std() < 5
    assert small(noise[:50, :60]).shape == (50, 60)


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        ("motion: 5", "motion: expected true, false or a mapping of threshold, area"),
        ("motion: {treshold: 5}", "motion.treshold: .*known: threshold, area, hold_seconds"),
        ("motion: {area: 7}", r"motion.area: .*less than or equal to 1, found 7"),
        ("motion: {threshold: high}", "motion.threshold: .*number.*found 'high'"),
        ("motion: {keep_alive_seconds: 0}", "motion.keep_alive_seconds: .*greater than 0, found 0"),
    ],
)
def test_settings_of_the_gate_that_are_wrong_are_named(
    motion: str, message: str, tmp_path: object
) -> None:
    path = tmp_path / "cameras.yaml"  # type: ignore[operator]
    path.write_text(f"cameras: [{{id: a, url: 'test:', {motion}}}]")
    with pytest.raises(ConfigurationError, match=message):
        load_cameras(ProducerSettings(config=path), [], {})


@pytest.mark.parametrize(
    ("motion", "expected"),
    [
        ("true", MotionSettings()),
        ("false", None),
        ("null", None),
        ("{area: 0.01}", MotionSettings(area=0.01)),
    ],
)
def test_the_gate_is_switched_on_and_off_per_camera(
    motion: str, expected: MotionSettings | None, tmp_path: object
) -> None:
    path = tmp_path / "cameras.yaml"  # type: ignore[operator]
    path.write_text(
        f"defaults: {{motion: {{area: 0.5}}}}\ncameras: [{{id: a, url: 'test:', motion: {motion}}}]"
    )
    assert load_cameras(ProducerSettings(config=path), [], {})[0].motion == expected


def test_the_same_picture_again_is_owed_once_in_the_keep_alive_and_is_no_motion_s_hold() -> None:
    gate = MotionGate(MotionSettings(keep_alive_seconds=10, hold_seconds=5))
    pictures = scene()
    assert gate.judge(next(pictures), 100.0) == "start"
    owed = [second for second in range(1, 41) if gate.owes_again(100.0 + second)]
    assert owed == [10, 20, 30, 40]
    assert gate.judge(next(pictures), 145.0) == "static"
    assert not gate.owes_again(149.0)
    assert gate.owes_again(150.0), "what was static has not been published"
