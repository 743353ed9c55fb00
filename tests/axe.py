"""What axe finds on a page that shuts somebody out."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """Return its serious and critical findings; the page broke no rule of its own until now."""
    assert page.evaluate("violations") == []
    found = Axe().run(page).response["violations"]
    page.evaluate("violations = []")  # axe tries styles of its own, which the policy refuses
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]
