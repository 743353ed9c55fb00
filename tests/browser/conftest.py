"""One Chromium and one live page for the tests of a file; no page may break its own rules."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.live_page import LivePage, chromium_path, open_page, running_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, ended with the file: its event loop would disturb other tests."""
    if chromium_path() is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def live_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """A viewer before a real Redis: ``.address``, ``.redis_url``."""
    made = LivePage(tmp_path_factory.mktemp("live"))
    yield made
    made.close()


@pytest.fixture
def opened(browser: Browser, live_page: LivePage) -> Iterator[Callable[..., Page]]:
    """Open the page at a place, such as ``#/system``; its scripts may not fail, its policy hold."""
    contexts, pages = [], []

    def open_at(place: str = "", **options: Any) -> Page:
        context, page, faults = open_page(browser, **options)
        contexts.append(context)
        pages.append((page, faults))
        page.goto(live_page.address + place)
        return page

    yield open_at
    try:
        for page, faults in pages:
            if page.url.startswith("http"):
                faults += page.evaluate("window.violations ?? []")
            assert faults == []
    finally:
        for context in contexts:
            context.close()
