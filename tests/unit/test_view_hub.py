"""The hub: what pages are told and sent, and what is watched for them."""

import asyncio
import json
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from tests.fakes import FakeClock
from viewer.web.hub import FULL_LIST, Hub
from viewer.web.metrics import ViewMetrics
from viewer.web.page import Page
from viewer.web.people import ANYBODY, Visitor
from viewer.web.picture import Picture
from viewer.web.preview_reader import Sweep


class Stage:
    """A hub with made clocks, which nobody reads for."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = ViewMetrics(CollectorRegistry())
        loop = asyncio.new_event_loop()
        self.hub = Hub(loop, self.metrics, self.clock, lambda: 1e9 + self.clock.now)
        self.loop = loop
        self.watched: Mapping[str, int] = {}
        self.hub.use(self)  # type: ignore[arg-type]

    def watch(self, widths: Mapping[str, int]) -> None:
        self.watched = widths

    def turn(self) -> None:
        """Let the event loop carry out what was said from other threads."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def sweep(self, ages: Mapping[str, float], fault: str | None = None) -> None:
        self.hub.swept(Sweep(self.clock.now, None if fault else ages, fault))
        self.turn()

    def picture(self, camera: str, sequence: int) -> None:
        made = Picture(camera, b"{}", b"jpeg", b"", "session", sequence, 0.0, 0.0)
        self.hub.pictures([made])
        self.turn()

    def page(self, visitor: Visitor = ANYBODY, *cameras: str, width: int = 384) -> Page:
        page = Page(visitor, self.metrics)
        self.hub.enter(page)
        self.hub.show(page, dict.fromkeys(cameras, width))
        return page

    def told(self, page: Page) -> dict[str, object]:
        """Return what a page would be sent in text now."""
        text = page.take_text()
        assert text is not None
        said: dict[str, object] = json.loads(text)
        return said


def names(said: dict[str, object]) -> list[str]:
    cameras = said["cameras"]
    assert isinstance(cameras, list)
    return [camera["id"] for camera in cameras]


def test_only_known_cameras_are_watched_each_as_wide_as_the_widest_page() -> None:
    stage = Stage()
    stage.sweep({"gate": 0})
    narrow = stage.page(ANYBODY, "gate", "later", width=200)
    stage.page(ANYBODY, "gate", width=800)
    assert stage.watched == {"gate": 800}
    stage.sweep({"gate": 0, "later": 0})
    assert stage.watched == {"gate": 800, "later": 200}
    stage.hub.leave(narrow)
    assert stage.watched == {"gate": 800}


def test_a_picture_goes_to_the_pages_that_show_it_and_is_forgotten_with_the_last() -> None:
    stage = Stage()
    stage.sweep({"gate": 0, "yard": 0})
    one, two = stage.page(ANYBODY, "gate"), stage.page(ANYBODY, "yard")
    stage.picture("gate", 1)
    assert (one.window.next(), two.window.next()) == ("gate", None)
    late = stage.page(ANYBODY, "gate")
    assert late.window.next() == "gate"  # at once, without another picture
    stage.picture("nobody-shows-it", 1)
    assert set(stage.hub.newest) == {"gate"}
    stage.hub.leave(one)
    stage.hub.leave(late)
    assert stage.hub.newest == {}


def test_a_page_is_told_only_of_cameras_that_it_may_see() -> None:
    stage = Stage()
    stage.sweep({"gate": 0, "secret": 0})
    guest = stage.page(Visitor("ben", "viewer", ("gate",)))
    assert names(stage.told(guest)) == ["gate"]
    assert names(json.loads(stage.hub.cameras(ANYBODY.sees))) == ["gate", "secret"]


def test_many_cameras_are_told_in_full_once_and_then_those_that_changed() -> None:
    stage = Stage()
    ages = {f"camera-{number}": 0.0 for number in range(FULL_LIST + 10)}
    stage.sweep(ages)
    page = stage.page(ANYBODY, "camera-3")
    first = stage.told(page)
    assert len(names(first)) == len(ages)
    assert "partial" not in first
    stage.hub._tell(stage.hub.pages)
    said = stage.told(page)
    assert (said["partial"], names(said), said["gone"]) == (True, ["camera-3"], [])
    stage.clock.advance(5)
    stage.sweep({name: 5 if name == "camera-7" else 0.0 for name in ages})
    assert set(names(stage.told(page))) == {"camera-3", "camera-7"}
    stage.clock.advance(100)
    del ages["camera-9"]
    stage.sweep(ages)
    said = stage.told(page)
    assert said["gone"] == ["camera-9"]
    late = stage.page(ANYBODY)
    assert len(names(stage.told(late))) == len(ages)


def test_a_page_that_was_not_sent_a_message_is_told_all_of_it_with_the_next() -> None:
    stage = Stage()
    ages = {f"camera-{number}": 0.0 for number in range(FULL_LIST + 10)}
    stage.sweep(ages)
    page = stage.page(ANYBODY)
    assert len(names(stage.told(page))) == len(ages)
    for late, seconds in (("camera-1", 5.0), ("camera-2", 20.0)):  # nothing is sent meanwhile
        stage.clock.advance(seconds)
        stage.sweep({name: seconds if name == late else 0.0 for name in ages})
    said = stage.told(page)
    assert said["partial"] is True
    assert set(names(said)) == {"camera-1", "camera-2"}


def test_few_cameras_are_told_in_full_each_time() -> None:
    stage = Stage()
    stage.sweep({"gate": 0, "yard": 0})
    page = stage.page(ANYBODY)
    for _ in range(3):
        assert names(stage.told(page)) == ["gate", "yard"]
        stage.hub._tell(stage.hub.pages)


def test_redis_away_is_told_at_once_and_states_stay_as_they_were_known() -> None:
    stage = Stage()
    stage.sweep({"gate": 0})
    page = stage.page(ANYBODY, "gate")
    assert stage.told(page)["redis"] == "ok"
    stage.clock.advance(2)
    stage.sweep({}, "Redis does not answer")
    said = stage.told(page)
    assert (said["redis"], said["redis_reason"]) == ("away", "Redis does not answer")
    assert names(said) == ["gate"]
    stage.sweep({"gate": 0})
    assert stage.told(page)["redis"] == "ok"


def test_pictures_that_are_overtaken_are_counted() -> None:
    stage = Stage()
    stage.sweep({"gate": 0})
    page = stage.page(ANYBODY, "gate")
    for number in range(5):
        stage.picture("gate", number)
    assert stage.metrics.overtaken._value.get() == 4
    assert stage.hub.newest["gate"].sequence == 4
    assert page.window.next() == "gate"
