"""The wall in a real browser: pictures with their masks, only those that are seen, by keyboard."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from playwright.sync_api import Page, expect

from tests.default_keys import KEYS
from tests.live_page import LivePage, canvas_pixels, seconds_until
from tests.painted_cameras import SHAPE_COLOR, PaintedCameras, barcode

CAMERAS = [f"gate-{number}" for number in range(1, 41)]
FEW = [*CAMERAS[:3], "yard"]
Opened = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def cameras(live_page: LivePage) -> Iterator[PaintedCameras]:
    with PaintedCameras(live_page.redis_url, [*CAMERAS, "yard"], 2, pool=40) as cameras:
        yield cameras


def tile(camera: str) -> str:
    return f'.tile[data-camera="{camera}"]'


def seen_names(page: Page) -> list[str]:
    return page.locator(".tile .name").all_inner_texts()


def test_every_camera_shows_its_picture_with_its_masks_and_tells_its_rate(opened: Opened) -> None:
    page = opened("#/?find=gate-1")
    expect(page.locator("#lane")).to_be_hidden()  # there is but one
    live = page.locator(".tile[data-level=live]")
    expect(live).to_have_count(11)  # gate-1, gate-10 to gate-19
    expect(live.first.locator(".state")).to_have_text(re.compile(r"^[12]\.\d fps$"))
    expect(live.first.locator(".detail")).to_have_text(re.compile(r"^[01]\.\d s$"))
    pixels = canvas_pixels(page, f"{tile('gate-1')} canvas")
    assert barcode(pixels) < 40
    # Track 7 is drawn in its colour over the pale shape: no pixel of it is left as it was painted.
    assert (abs(pixels.astype(int) - SHAPE_COLOR).sum(axis=2) < 20).sum() < 20
    green = (pixels[..., 1].astype(int) - pixels[..., 2]) > 40
    assert green.sum() > 0.02 * green.size, "the mask of the track is drawn in its colour"


def test_all_tiles_fit_the_screen_and_keep_the_order_of_their_names(opened: Opened) -> None:
    page = opened("")
    expect(page.locator(".tile")).to_have_count(41)
    assert seen_names(page)[:4] == ["gate-1", "gate-2", "gate-3", "gate-4"]
    page.set_viewport_size({"width": 1920, "height": 1080})
    fits = "document.documentElement.scrollHeight <= innerHeight"
    seconds_until(lambda: page.evaluate(fits), 5, "all of them fit")
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator(".tiles")).to_have_attribute("style", re.compile("--columns: 2"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_nobody_sees_is_not_sent(opened: Opened, live_page: LivePage) -> None:
    page = opened("", width=360, height=740)
    expect(page.locator(tile("gate-1"))).to_have_attribute("data-level", "live")
    assert page.locator(".tile").count() < 30, "tiles far from the screen are not even made"
    client = redis.Redis.from_url(live_page.redis_url)

    def still_watched(*cameras: str) -> list[bool]:
        # The viewer renews what is watched every second: what it does not, nobody sees.
        client.delete(*map(KEYS.watch, cameras))
        time.sleep(2.2)
        return [bool(client.exists(KEYS.watch(camera))) for camera in cameras]

    assert still_watched("gate-1", "gate-40") == [True, False]
    page.evaluate("scrollTo(0, 1e6)")
    expect(page.locator(tile("gate-40"))).to_have_attribute("data-level", "live")
    assert still_watched("gate-1", "gate-40") == [False, True]
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(300)
    assert not any(still_watched(*CAMERAS)), "a hidden page watches nothing"
    client.close()


def test_the_search_narrows_the_wall_and_stays_in_the_address(opened: Opened) -> None:
    page = opened("")
    expect(page.locator(".tile")).to_have_count(41)
    page.keyboard.press("/")
    page.keyboard.type("yar")
    expect(page.locator(".tile")).to_have_count(1)
    page.wait_for_url("**/#/?find=yar")
    page.reload()
    expect(page.locator(".tile .name")).to_have_text(["yard"])
    page.fill("#find", "nowhere")
    expect(page.locator(".empty")).to_have_text("No camera matches.")


def test_all_of_it_works_with_the_keyboard_alone(opened: Opened) -> None:
    page = opened("#/?find=gate-3")  # and gate-30 to gate-39
    expect(page.locator(".tile")).to_have_count(11)
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{tile('gate-30')} a")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(f"{tile('gate-39')} a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("gate-39")
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("gate-40")
    page.keyboard.press("Escape")
    expect(page.locator(f"{tile('gate-39')} a")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_without_canvases_that_leave_the_page_it_draws_by_itself(opened: Opened) -> None:
    page = opened(
        "#/?find=yard", scripts=("delete HTMLCanvasElement.prototype.transferControlToOffscreen",)
    )
    expect(page.locator(".tile[data-level=live]")).to_have_count(1)
    assert barcode(canvas_pixels(page, f"{tile('yard')} canvas")) < 40
