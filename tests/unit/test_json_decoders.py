"""msgspec 0.22 publishes a type's table before it is filled: two threads that decode the type for
the first time crash the process (SIGSEGV), about once in 50. So decoders are made where no thread
runs yet: when their module is loaded."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWO_THREADS = """
import threading, time
from model.data.coco_shapes import draw_annotation

def hold(frame, event, arg):  # widens the window that any switch of threads opens
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        time.sleep(0.3)

raw = b'{"id":1,"image_id":1,"category_id":1,"segmentation":{"size":[2,2],"counts":[0,4]}}'
threading.setprofile(hold)
threads = [
    threading.Thread(target=lambda: print(draw_annotation(raw, {"1": "cell"}, 2, 2)))
    for _ in range(2)
]
threads[0].start()
time.sleep(0.1)
threads[1].start()
for thread in threads:
    thread.join()
"""


def sources() -> Iterator[Path]:
    """Return all modules of the rooms."""
    for room in sorted(ROOT.glob("*/__init__.py")):
        yield from sorted(room.parent.rglob("*.py"))


def made_late(code: str) -> list[int]:
    """Return the lines that let msgspec look at a type when a function runs."""
    tree = ast.parse(code)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = set()
    for call in (n for each in functions for n in ast.walk(each) if isinstance(n, ast.Call)):
        name = ast.unparse(call.func)
        typed = any(keyword.arg == "type" for keyword in call.keywords)
        if name in ("msgspec.json.Decoder", "msgspec.msgpack.Decoder", "msgspec.convert") or (
            name in ("msgspec.json.decode", "msgspec.msgpack.decode") and typed
        ):
            found.add(call.lineno)
    return sorted(found)


def test_all_decoders_are_made_when_their_module_is_loaded():
    assert {"contract", "model", "viewer", "workers"} <= {
        p.relative_to(ROOT).parts[0] for p in sources()
    }
    late = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        if "msgspec" in (code := path.read_text(encoding="utf-8"))
        for line in made_late(code)
    }

    assert not late


@pytest.mark.parametrize(
    "line",
    ["msgspec.json.decode(raw, type=X)", "msgspec.json.Decoder(X)", "msgspec.convert(raw, X)"],
)
def test_a_decoder_that_is_made_late_would_be_found(line: str):
    assert made_late(f"import msgspec\ndef read(raw):\n    return {line}\n") == [3]
    assert not made_late(f"import msgspec\nX = {line}\n")


def test_two_threads_may_decode_an_annotation_for_the_first_time():
    run = subprocess.run(
        [sys.executable, "-c", TWO_THREADS], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.count("cell") == 2
