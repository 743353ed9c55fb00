"""A live page to test: a real Redis, painted cameras, `seedstream view`, and Chromium before it."""

import base64
import contextlib
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.waits import PATIENCE

CHROMIUM = "chromium"

# Tiles are drawn in a worker; what stands on the screen is read from the page's own canvas.
READ_CANVAS = """(canvas) => {
  const copy = document.createElement('canvas');
  copy.width = canvas.width; copy.height = canvas.height;
  copy.getContext('2d').drawImage(canvas, 0, 0);
  return copy.toDataURL('image/png').split(',')[1];
}"""

_WATCH_VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def chromium_path() -> str | None:
    """Return where Debian's Chromium is; None without one."""
    return shutil.which(CHROMIUM)


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run one headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        expect.set_options(timeout=10_000 * PATIENCE)
        with contextlib.closing(browser):
            yield browser


def canvas_pixels(page: Page, selector: str) -> npt.NDArray[np.uint8]:
    """Return what stands in a canvas, (H, W, 3) uint8 RGB."""
    data = base64.b64decode(page.locator(selector).evaluate(READ_CANVAS))
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "a canvas gives a PNG"
    return np.ascontiguousarray(picture[..., ::-1].astype(np.uint8))


@dataclass
class LivePage:
    """Redis and viewer on ports that stay, so that each can be killed and started again.

    Attributes:
        redis: The Redis.
        viewer: ``seedstream view``.
        address: Of the page.
    """

    folder: Path
    settings: dict[str, object] = field(default_factory=dict)
    _ports: list[int] = field(default_factory=lambda: free_ports(2))
    _runs: int = 0

    def __post_init__(self) -> None:
        self.redis: RedisServer
        self.viewer: SeedstreamProcess
        self.address = f"http://127.0.0.1:{self._ports[1]}/"
        self.start_redis()
        self.start_viewer()

    @property
    def redis_url(self) -> str:
        """``redis://HOST:PORT/0``."""
        return f"redis://127.0.0.1:{self._ports[0]}/0"

    def start_redis(self) -> None:
        """Start the Redis, empty."""
        self.redis = start_redis(self._ports[0])

    def start_viewer(self) -> None:
        """Start the viewer and wait until it answers."""
        self._runs += 1
        self.viewer = start_seedstream(
            "view",
            log_path=self.folder / f"view-{self._runs}.log",
            settings={
                "redis_url": self.redis_url,
                "port": self._ports[1],
                "http_port": 0,
                **self.settings,
            },
        )
        self.viewer.wait_until(self._answers, 30, "no page yet")

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.address}static/icon.svg", timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def close(self) -> None:
        """Stop both."""
        self.viewer.stop()
        self.redis.stop()


def open_page(
    browser: Browser,
    *,
    width: int = 1280,
    height: int = 800,
    scheme: str = "dark",
    scripts: tuple[str, ...] = (),
    **options: Any,
) -> tuple[BrowserContext, Page, list[str]]:
    """Open an empty page of its own context.

    Returns:
        The context, the page, and a list that errors of the page's scripts come into.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        **options,
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    for script in (_WATCH_VIOLATIONS, *scripts):
        page.add_init_script(script)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    def hear(message: ConsoleMessage) -> None:
        # Those of the page itself come as events; those of its worker are only said here.
        if "Security" in message.text and message.location["url"].endswith(".js"):
            faults.append(message.text)

    page.on("console", hear)
    return context, page, faults


def seconds_until(condition: Callable[[], bool], timeout_seconds: float, what: str) -> float:
    """Wait until something is so and return how long that took.

    Raises:
        AssertionError: It was not so in time.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < timeout_seconds, f"{what}: not within {timeout_seconds} s"
        time.sleep(0.03)
    return time.monotonic() - began
