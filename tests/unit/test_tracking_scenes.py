"""The tracker on made scenes whose true identities are known."""

import pytest

from tests.identity_scenes import SCENES, Scene, frames, identity_f1, switches
from tracking import Moment, State, advance, observe
from tracking.state import decode_state, encode_state

FLOORS = {
    "behind a post, same clothes": 0.49,  # one vanishes where the other appears, and looks alike
    "leaves and comes back after 4 s": 0.8,  # who left the picture is soon forgotten
    "a third of the objects missed": 0.97,
    "a sign hides all but the legs, same clothes": 0.95,
    "eight people, random ways": 0.95,
    "a car passes a person": 0.95,
}
"""Least IDF1 of the scenes that are not perfectly tracked."""

Identities = list[tuple[int, ...]]


def follow(scene: Scene, colours: bool = True) -> tuple[Identities, Identities]:
    """Return by frame who the instances are, and their tracks; the state goes through its bytes."""
    state, truth, tracks = State.empty(1), [], []
    for frame in frames(scene):
        observed = observe(frame.instances, frame.picture if colours else None)
        step = advance(state, observed, Moment(frame.captured_at, "s"))
        state = decode_state(encode_state(step.state))
        assert state == step.state
        truth.append(frame.truth)
        tracks.append(tuple(identity.track for identity in step.identities))
    return truth, tracks


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_objects_keep_their_tracks(scene: Scene) -> None:
    truth, tracks = follow(scene)
    floor = FLOORS.get(scene.name)
    if floor is None:
        assert switches(truth, tracks) == 0
    assert identity_f1(truth, tracks) >= (floor or 1.0)


def test_colours_find_again_whom_motion_alone_loses() -> None:
    scene = next(scene for scene in SCENES if scene.name == "behind a post, 1.5 s")
    assert identity_f1(*follow(scene)) == 1.0
    assert identity_f1(*follow(scene, colours=False)) < 0.6


@pytest.mark.parametrize("name", ["paths cross", "sudden turn", "a car passes a person"])
def test_without_colours_plain_scenes_are_tracked_too(name: str) -> None:
    scene = next(scene for scene in SCENES if scene.name == name)
    assert identity_f1(*follow(scene, colours=False)) >= 0.95


def test_the_measure_counts_what_it_says() -> None:
    truth = [(0, 1), (0, 1), (0, 1), (0, 1)]
    assert identity_f1(truth, truth) == 1.0
    swapped: Identities = [(7, 8), (7, 8), (7, 8), (8, 7)]
    assert identity_f1(truth, swapped) == 0.75
    assert switches(truth, swapped) == 2
