"""What a worker remembers of a camera's tracks, and what it makes of them."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from segmentation.letterbox import Fit
from segmentation.segmenter import Fitted
from tests.coloured_objects import coloured_objects
from tests.fakes import FakeClock
from tests.sink_parts import make_tracked
from tracking import Identity, Step
from tracking.state import decode_state
from workers import track_chains
from workers.metrics import WorkerMetrics
from workers.records import Entry
from workers.track_chains import Link, TrackChains, look, look_without_pixels, observer_of


class Chains:
    """Chains, their clock and what they count."""

    def __init__(self) -> None:
        self.clock, self.registry = FakeClock(), CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry, clock=self.clock)
        self.tracks = TrackChains(self.metrics, self.clock)

    def store(self, entries: Sequence[Entry]) -> list[Link]:
        links = self.tracks.chain(entries)
        for link in links:
            self.tracks.stored(link)
        return links

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_each_link_begins_at_the_state_that_the_one_before_ends_with() -> None:
    links = Chains().store([make_tracked("gate", n) for n in range(4)])
    assert links[0].base == b""
    assert [link.base for link in links[1:]] == [link.token for link in links[:-1]]
    for link in links:
        assert decode_state(link.text) == link.step.state
        name = f"{link.result.session}/{link.result.sequence}/".encode()
        assert link.token.startswith(name)
        assert len(link.token) == len(name) + 16


def test_the_token_tells_states_of_one_frame_from_each_other() -> None:
    whole = Chains().store([make_tracked("gate", n) for n in range(4)])
    late = Chains().store([make_tracked("gate", 3)])
    assert late[-1].token != whole[-1].token
    again = Chains().store([make_tracked("gate", n) for n in range(4)])
    assert [link[1:4] for link in again] == [link[1:4] for link in whole]


def test_cameras_know_nothing_of_each_other() -> None:
    chains = Chains()
    chains.store([make_tracked("gate", 0)])
    (other,) = chains.store([make_tracked("yard", 5)])
    assert other.base == b""
    (next_one,) = chains.tracks.chain([make_tracked("gate", 1)])
    assert next_one.base != b""


def test_a_camera_that_is_no_longer_read_is_forgotten() -> None:
    chains = Chains()
    chains.store([make_tracked("gate", 0)])
    chains.clock.advance(400)
    chains.store([make_tracked("yard", 0)])
    assert [link.base for link in chains.tracks.chain([make_tracked("gate", 1)])] == [b""]
    assert [link.base for link in chains.tracks.chain([make_tracked("yard", 1)])] != [b""]


def test_only_so_many_cameras_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_chains, "_MOST_KEPT", 2)
    chains = Chains()
    for name in ("a", "b", "a", "c"):
        chains.store([make_tracked(name, 0)])
    known = {name for name in "abc" if chains.tracks.chain([make_tracked(name, 1)])[0].base}
    assert known == {"a", "c"}


def test_numbers_begin_at_the_time_of_the_first_frame() -> None:
    (link,) = Chains().store([make_tracked("gate", 7)])
    began = int(link.result.captured_at.timestamp() * 1_000_000)
    assert [each.track for each in link.result.instances] == [began, began + 1]
    assert began < 2**53


def test_what_documents_say_is_rounded_and_zero_has_no_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chains = Chains()
    (link,) = chains.store([make_tracked("gate", 0, lanes=(0,))])
    identity = Identity(9, 1.23456, (-0.0001, 12.3456), confirmed=True)
    monkeypatch.setattr(
        track_chains, "advance", lambda *_: Step(link.step.state, (identity,), 0, 0)
    )
    (known,) = chains.store([make_tracked("gate", 1, lanes=(0,))])[0].result.instances
    text = msgspec.json.encode(known)
    assert b'"track":9,"age_seconds":1.235,"velocity":[0.0,12.35],"confirmed":true' in text


def test_series_of_a_camera_that_has_gone_are_removed() -> None:
    chains = Chains()
    chains.store([make_tracked("gate", n) for n in range(5)])
    names = [f"seedstream_tracks_{name}" for name in ("active", "began_total", "ended_total")]
    assert None not in [chains.value(name, camera="gate") for name in names]
    assert chains.value("seedstream_stage_seconds_count", stage="track") == 5
    chains.clock.advance(400)
    assert chains.metrics.forget_cameras(300) == ["gate"]
    assert [chains.value(name, camera="gate") for name in names] == [None] * 3


def test_instances_are_looked_at_in_the_picture_that_the_network_saw() -> None:
    image = np.full((60, 80, 3), 128, np.uint8)
    image[10:30, 20:40] = (220, 30, 30)
    found = coloured_objects(image)
    fit = Fit.of((60, 80), (30, 40))
    small = look(found, Fitted(fit.apply(image), fit))
    whole, blind = look(found, image), look_without_pixels(found, image)
    for observed in (small, whole, blind):
        np.testing.assert_array_equal(observed.boxes, found.boxes)
    assert blind.appearance is None
    if whole.appearance is not None:
        assert small.appearance is not None
        np.testing.assert_allclose(small.appearance, whole.appearance, atol=0.2)


@pytest.mark.parametrize(
    ("track", "appearance", "expected"),
    [(True, True, look), (True, False, look_without_pixels), (False, True, None)],
)
def test_what_a_worker_observes_is_set(track: bool, appearance: bool, expected: object) -> None:
    assert observer_of(track=track, appearance=appearance) is expected
