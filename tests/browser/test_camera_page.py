"""One camera in a real browser: picture and masks are a matched pair, and what can be chosen."""

import random
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.live_page import LivePage, canvas_pixels
from tests.matched_pairs import CANVAS, hold, match_now, only_masks
from tests.painted_cameras import PaintedCameras

MOMENTS = 8
Opened = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def cameras(live_page: LivePage) -> Iterator[PaintedCameras]:
    with PaintedCameras(live_page.redis_url, ["gate", "yard"], 8) as cameras:
        yield cameras


@pytest.fixture
def page(opened: Opened) -> Page:
    page = opened("#/camera/gate")
    expect(page.locator(".camera")).to_have_attribute("data-level", "live")
    return page


def test_the_masks_are_those_of_the_very_picture(page: Page) -> None:
    only_masks(page)
    found = []
    for _ in range(MOMENTS):
        page.wait_for_timeout(random.uniform(20, 200))
        found.append(match_now(page))
    assert [each.header for each in found] == [each.painted for each in found]
    assert min(each.overlap for each in found) >= 0.95, found
    assert len({each.header for each in found}) > MOMENTS / 2, "the picture moved on"


def test_classes_and_scores_choose_what_is_drawn(page: Page) -> None:
    expect(page.locator(".classes .row")).to_have_text(re.compile("person"))
    only_masks(page)
    hold(page)
    drawn = canvas_pixels(page, CANVAS)
    page.get_by_role("checkbox", name="person").uncheck()
    page.wait_for_timeout(150)
    plain = canvas_pixels(page, CANVAS)
    assert (drawn != plain).any()
    page.get_by_role("checkbox", name="person").check()
    page.wait_for_timeout(150)
    assert (canvas_pixels(page, CANVAS) == drawn).all(), "the same picture again"
    page.get_by_label("Least score").fill("0.9")  # the shape has 0.87
    page.wait_for_timeout(150)
    assert (canvas_pixels(page, CANVAS) == plain).all()
    page.get_by_label("Least score").fill("0")


def test_the_last_results_are_shown_as_programs_read_them(page: Page) -> None:
    page.get_by_text("Last results").click()
    expect(page.locator(".results tbody tr")).to_have_count(20)
    page.locator(".results tbody button").nth(3).click()
    text = page.locator(".results pre").inner_text()
    assert '"camera": "gate"' in text
    assert '"counts"' in text


def test_a_screen_reader_hears_what_is_seen_but_rarely(page: Page) -> None:
    expect(page.locator("#spoken")).to_have_text(re.compile(r"^gate: 1 person\. \d+\.\d fps$"))
    page.evaluate(
        "window.said = 0; new MutationObserver(() => said += 1)"
        ".observe(document.getElementById('spoken'), {childList: true, characterData: true})"
    )
    page.wait_for_timeout(2500)
    assert page.evaluate("said") <= 1


def test_a_camera_that_is_not_here_is_said_to_be(opened: Opened) -> None:
    page = opened("#/camera/nowhere")
    expect(page.locator(".head .state")).to_have_text("No camera of this name is here")
