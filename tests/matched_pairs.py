"""Whether picture, masks and header on a camera's page belong together, read from the screen."""

from typing import NamedTuple

import numpy as np
from playwright.sync_api import Page, expect

from tests.fakes import wait_until
from tests.live_page import canvas_pixels
from tests.painted_cameras import barcode, painted_shape

CANVAS = ".stage canvas"
SETTLED_MS = 180
"""What the engine drew and reported last is on the screen by then."""

_MASK_CONTRAST = 24
_BARCODE_SHARE = 0.1


class Match(NamedTuple):
    """What was seen at one moment.

    Attributes:
        header: The sequence that the page says.
        painted: The one that the barcode says.
        overlap: Intersection over union of the mask that is drawn and the shape that is painted.
    """

    header: int
    painted: int
    overlap: float


def only_masks(page: Page) -> None:
    """Leave labels and trails out of the picture."""
    for layer in ("Labels", "Trails"):
        page.get_by_label(layer).uncheck()


def hold(page: Page) -> None:
    """Hold the picture, as a person does."""
    page.locator("#main").focus()  # on a box, the key would tick it
    page.keyboard.press(" ")
    expect(page.locator(".camera")).to_have_attribute("data-level", "held")
    page.wait_for_timeout(SETTLED_MS)


def match_now(page: Page) -> Match:
    """Hold the picture, read it with and without its masks, and go on."""
    hold(page)
    header = int(page.locator(".stage").get_attribute("data-sequence") or -1)
    with_masks = canvas_pixels(page, CANVAS)
    _toggle_masks(page)
    wait_until(lambda: (canvas_pixels(page, CANVAS) != with_masks).any(), 5, "masks that go")
    plain = canvas_pixels(page, CANVAS)
    drawn = np.abs(with_masks.astype(np.int16) - plain).sum(axis=2) > _MASK_CONTRAST
    shape = painted_shape(plain)
    shape[: round(_BARCODE_SHARE * len(shape))] = False  # white as well
    _toggle_masks(page)
    page.keyboard.press(" ")
    overlap = (drawn & shape).sum() / max(1, (drawn | shape).sum())
    return Match(header, barcode(plain), float(overlap))


def _toggle_masks(page: Page) -> None:
    page.keyboard.press("m")
    page.wait_for_timeout(SETTLED_MS // 2)
