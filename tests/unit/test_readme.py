import re
from pathlib import Path

from seedstream.cli import COMMANDS
from seedstream.options import SETTINGS, fill_tables

REPOSITORY = Path(__file__).resolve().parent.parent.parent
README = (REPOSITORY / "README.md").read_text()


def test_the_settings_tables_are_those_of_the_settings_classes() -> None:
    for process in SETTINGS:
        assert f"<!-- settings: {process} -->" in README
    assert fill_tables(README) == README, "run `make docs`"


def test_every_subcommand_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"^\s*seedstream ([a-z-]+)", README, re.MULTILINE))
    assert named, "the README shows no command"
    assert named <= set(COMMANDS)


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_that_the_readme_links_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / link).exists(), link


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
    for document in (REPOSITORY / "docs").rglob("*.md"):
        text = document.read_text()
        assert "@@" not in text, document
        assert "TODO" not in text, document
    for recipe in (REPOSITORY / "model" / "recipes").glob("*.toml"):
        assert "TODO" not in recipe.read_text(), recipe
