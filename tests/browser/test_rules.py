"""Every view, in both themes and on a phone: readable for all, and within its own policy."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.axe import findings
from tests.live_page import LivePage
from tests.painted_cameras import PaintedCameras

SCREENS = {
    "dark": {"scheme": "dark"},
    "light": {"scheme": "light"},
    "phone": {"scheme": "light", "width": 360, "height": 740},
}
Opened = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def cameras(live_page: LivePage) -> Iterator[PaintedCameras]:
    with PaintedCameras(live_page.redis_url, ["gate", "yard", "ramp"], 4, pool=40) as cameras:
        cameras.silent.add("ramp")
        yield cameras


@pytest.mark.parametrize("screen", SCREENS)
def test_no_view_shuts_anybody_out(opened: Opened, screen: str) -> None:
    page = opened("", **SCREENS[screen])
    expect(page.locator(".tile[data-level=live]")).to_have_count(2)
    assert findings(page) == []
    page.goto(page.url.split("#")[0] + "#/camera/gate")
    expect(page.locator(".classes .row")).to_have_count(1)
    page.get_by_text("Last results").click()
    expect(page.locator(".results tbody tr").first).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("?")
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.goto(page.url.split("#")[0] + "#/system")
    expect(page.locator(".figures").first).to_contain_text("Cameras live")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_chosen_theme_stays_chosen(opened: Opened) -> None:
    page = opened("", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Theme: the system's").click()
    assert page.evaluate(ground) != dark
    page.reload()
    expect(page.get_by_label("Theme: light")).to_be_visible()
    assert page.evaluate(ground) != dark


def test_who_wants_no_motion_gets_none(opened: Opened) -> None:
    page = opened("", reduced_motion="reduce")
    expect(page.locator(".tile").first).to_be_visible()
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((each) => {"
        " const {transitionDuration, animationName} = getComputedStyle(each);"
        " return transitionDuration !== '0s' || animationName !== 'none'; }).length"
    )
    assert moving == 0
