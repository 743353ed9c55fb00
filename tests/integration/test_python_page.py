"""docs/use/python.md, run as it stands: its blocks in order, and each output below its block."""

import contextlib
import io
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "use" / "python.md"


def test_the_blocks_run_and_print_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    printed = ""
    compared = 0
    for kind, text in blocks:
        if kind == "text":
            assert _words(printed) == _words(text)
            compared += 1
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(text, str(PAGE), "exec"), names)
        printed = output.getvalue()
    assert compared == 5


def _words(text: str) -> list[str]:
    # The processor's own rounding may move the last digit of a score or a pixel of a box.
    return [re.sub(r"\d+(\.\d+)?", "#", line) for line in text.splitlines()]
