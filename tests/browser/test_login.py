"""Signing in with a browser: without scripts, and only to see what one may see."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.axe import findings
from tests.live_page import LivePage
from tests.painted_cameras import PaintedCameras
from viewer.web.passwords import hash_password

PASSWORD = "correct horse battery staple"
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def live_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """A viewer of a further lane that asks who one is; its only user sees the yard alone."""
    users = tmp_path_factory.mktemp("users") / "users.yaml"
    users.write_text(
        f"guard:\n  password: {hash_password(PASSWORD)}\n  role: viewer\n  cameras: [yard]\n"
    )
    made = LivePage(tmp_path_factory.mktemp("live"), {"users_file": users, "lane": "night"})
    with PaintedCameras(made.redis_url, ["gate", "yard"], 4, pool=40):
        yield made
    made.close()


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill("guard")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_without_scripts_one_can_sign_in_and_hears_what_was_wrong(opened: Opened) -> None:
    page = opened("", java_script_enabled=False)
    assert page.url.endswith("/login")
    sign_in(page, "wrong")
    expect(page.locator(".fault")).to_contain_text("password")
    sign_in(page)
    expect(page.locator("noscript p")).to_contain_text("still.jpg")
    assert not page.url.endswith("/login")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_login_page_shuts_nobody_out(opened: Opened, scheme: str) -> None:
    page = opened("login", scheme=scheme, width=360, height=740)
    expect(page.get_by_label("Name")).to_be_focused()
    assert findings(page) == []


def test_one_sees_what_one_may_and_can_leave(opened: Opened) -> None:
    page = opened("#/camera/yard")
    sign_in(page)
    expect(page.locator(".tile[data-level=live] .name")).to_have_text(["yard"])
    expect(page.locator("#lane")).to_have_text("Lane night")
    expect(page).to_have_title(re.compile(" · Lane night · Seedstream$"))
    assert findings(page) == []
    page.goto(page.url.split("#")[0] + "#/camera/gate")
    expect(page.locator(".head .state")).to_have_text("No camera of this name is here")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Name")).to_be_visible()
    assert page.url.endswith("/login")


def test_a_session_that_ends_leads_to_the_login_page_and_back(opened: Opened) -> None:
    page = opened("")
    sign_in(page)
    expect(page.locator(".tile[data-level=live]")).to_have_count(1)
    page.goto(page.url.split("#")[0] + "#/camera/yard")
    expect(page.locator(".camera")).to_have_attribute("data-level", "live")
    page.context.clear_cookies()
    expect(page.get_by_label("Name")).to_be_visible()
    sign_in(page)
    expect(page.locator("h1")).to_have_text("yard")


def test_a_session_that_ended_with_the_viewer_leads_to_the_login_page(
    opened: Opened, live_page: LivePage
) -> None:
    page = opened("")
    sign_in(page)
    expect(page.locator(".tile[data-level=live]")).to_have_count(1)
    live_page.viewer.stop()  # what signed its sessions goes with it
    live_page.start_viewer()
    expect(page.get_by_label("Name")).to_be_visible()
    sign_in(page)
    expect(page.locator(".tile[data-level=live]")).to_have_count(1)
