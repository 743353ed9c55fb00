"""The pages: what they repeat of the code, the links, the length of the front page."""

import re
from pathlib import Path

import pytest

from docs.write_reference import SETTINGS, fill, pages
from seedstream.cli import COMMANDS
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
REFERENCE = REPOSITORY / "docs" / "reference"
TRACKED = [
    *pages(),
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")),
    *(REPOSITORY / "deploy").rglob("*.md"),
]


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def links(text: str) -> list[str]:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_a_page_repeats_of_the_code_is_as_the_code_says(page: Path) -> None:
    assert fill(page.read_text()) == page.read_text(), "run `make docs`"


def test_the_reference_has_a_page_of_each_kind_made_from_the_code() -> None:
    markers = {
        name_of(page): re.findall(r"<!-- generated: (.+) -->", page.read_text())
        for page in sorted(REFERENCE.glob("*.md"))
    }
    assert all(markers.values())
    made = [marker for found in markers.values() for marker in found]
    assert {f"settings {process}" for process in SETTINGS} <= set(made)
    assert {f"metrics {process}" for process in ("producer", "worker", "view")} <= set(made)
    assert {marker.split()[0] for marker in made} >= {
        "attributes", "exit-codes", "frame-record", "help-pages", "keys", "python-api", "recipes",
        "result-document",
    }  # fmt: skip


def test_the_reference_is_the_same_wherever_the_code_lies() -> None:
    for page in REFERENCE.glob("*.md"):
        assert str(REPOSITORY) not in page.read_text(), page


def test_a_page_that_differs_from_the_code_is_seen() -> None:
    text = (REFERENCE / "settings.md").read_text()
    assert fill(text.replace("`WORKER_MODE` | `live`", "`WORKER_MODE` | `complete`")) == text
    assert text.count("`WORKER_MODE` | `live`") == 1


def test_a_setting_that_everybody_sets_stands_before_those_that_one_may_tune() -> None:
    worker = (REFERENCE / "settings.md").read_text().partition("## Worker")[2]
    first, _, second = worker.partition("### What you may tune")
    assert "`WORKER_MODEL`" in first
    assert "`WORKER_SASL_PASSWORD`" in second


@pytest.mark.parametrize("page", TRACKED, ids=name_of)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in links(page.read_text()):
        target = link.partition("#")[0]
        if target and "://" not in target:
            assert (page.parent / target).exists(), link


def test_the_front_page_is_read_in_three_minutes() -> None:
    assert len(README.splitlines()) <= 120
    spoken = re.sub(r"```.*?```|^\|[^\n]*$|\]\([^)]*\)", "", README, flags=re.DOTALL | re.MULTILINE)
    assert len(spoken.split()) <= 600  # aloud, without the code and the tables
    for door in ("I have cameras", "I run clusters", "I train"):
        assert f"\n## {door}\n" in README


def test_every_subcommand_that_a_page_names_exists() -> None:
    for page in TRACKED:
        if page.name == "CHANGELOG.md":
            continue  # what it tells of may have gone
        named = set(re.findall(r"^\s*(?:\$ )?seedstream ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= set(COMMANDS), page
    assert "\nseedstream work" in README


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for page in TRACKED:
        for target in re.findall(r"(?:`|^|\$ )make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, target)


def test_nothing_is_left_to_fill_in() -> None:
    for page in TRACKED:
        text = page.read_text()
        assert "@@" not in text, page
        assert "TODO" not in text, page
        assert len(text.split()) > 20, f"{page} is as good as empty"
    for recipe in (REPOSITORY / "model" / "recipes").glob("*.toml"):
        assert "TODO" not in recipe.read_text(), recipe
