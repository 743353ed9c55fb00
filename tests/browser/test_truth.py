"""What the page says when something is gone, and that all of it comes back without a reload."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.live_page import LivePage, seconds_until
from tests.painted_cameras import PaintedCameras

BACK_SECONDS = 5.0
Opened = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def cameras(live_page: LivePage) -> Iterator[PaintedCameras]:
    with PaintedCameras(live_page.redis_url, ["gate", "yard"], 5, pool=40) as cameras:
        yield cameras


@pytest.fixture
def page(opened: Opened) -> Page:
    page = opened("")
    expect(page.locator(".tile[data-level=live]")).to_have_count(2)
    page.evaluate("window.opened = 'once'")
    return page


def level(page: Page, camera: str) -> str | None:
    return page.locator(f'.tile[data-camera="{camera}"]').get_attribute("data-level")


def all_live(page: Page) -> bool:
    return page.locator(".tile[data-level=live]").count() == 2


def test_a_camera_that_stops_is_told_in_words_and_comes_back(
    page: Page, cameras: PaintedCameras
) -> None:
    cameras.silent.add("gate")
    seconds_until(lambda: level(page, "gate") == "offline", 8, "offline is told")
    words = page.locator('.tile[data-camera="gate"] .state')
    expect(words).to_have_text(re.compile(r"^Offline, last picture \d\d:\d\d:\d\d, [3-9] s ago$"))
    expect(page.locator("#tally")).to_have_text("1 live1 offline")
    expect(page.locator("#spoken")).to_have_text("gate is offline.")
    page.locator("#tally a", has_text="offline").click()
    expect(page.locator(".tile .name")).to_have_text(["gate"])
    cameras.silent.clear()
    expect(page.locator(".empty")).to_have_text("No camera matches.")
    page.locator("#tally a", has_text="offline").click()
    seconds_until(lambda: all_live(page), BACK_SECONDS, "live again")


def test_a_viewer_that_is_gone_is_told_and_found_again(page: Page, live_page: LivePage) -> None:
    live_page.viewer.kill()
    expect(page.locator("#trouble")).to_have_text("Connection to the viewer lost, trying again.")
    expect(page.locator(".tile[data-level=late]")).to_have_count(2)
    words = page.locator(".tile .state").first
    expect(words).to_have_text(re.compile(r"^Last picture \d\d:\d\d:\d\d, \d+ s ago$"))
    live_page.start_viewer()
    seconds_until(lambda: all_live(page), BACK_SECONDS, "live again")
    expect(page.locator("#trouble")).to_have_text("")
    assert page.evaluate("window.opened") == "once"


def test_a_redis_that_is_gone_is_told_and_found_again(page: Page, live_page: LivePage) -> None:
    live_page.redis.kill()
    expect(page.locator("#trouble")).to_have_text(re.compile("^Redis is away, trying again"))
    expect(page.locator(".tile[data-level=late]")).to_have_count(2)
    live_page.start_redis()
    seconds_until(lambda: all_live(page), BACK_SECONDS, "live again")
    expect(page.locator("#trouble")).to_have_text("")
    assert page.evaluate("window.opened") == "once"
