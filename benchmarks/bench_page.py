"""The live page in a real Chromium, before a real Redis and viewer, with a made worker.

``python -m benchmarks.bench_page``: the issue's bars, in parts.

- *match*: a camera that paints its number and a known shape, seen at random moments;
- *wall*: 20 cameras of 5 pictures a second, then 20 of 10 and 64 of 3, which is too much: how old
  pictures are when they are drawn, counted from when they were stored, whether tiles are treated
  alike, and whether any task keeps the page's main thread;
- *viewers*: what each further viewer of a wall costs the server;
- *open*: 20 cameras of 5 for long: what the page and the viewer grow by;
- *demo*: `seedstream demo` as it is, real cameras, Kafka and network: from captured to drawn.

The worker, Redis, the viewer and the browser share the machine. ``--seconds``, ``--minutes`` and
``--moments`` shorten it; ``--only PART`` runs one part.
"""

import argparse
import json
import multiprocessing
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from benchmarks.environment import RESULTS, describe
from benchmarks.page_probe import PageProbe, cpu_seconds, rss_megabytes
from stack.child_process import ChildProcess
from tests.live_page import LivePage, open_page, running_chromium
from tests.matched_pairs import match_now, only_masks
from tests.painted_cameras import PaintedCameras

Row = dict[str, Any]
WARM_SECONDS = 5.0
POOL = 60
FURTHER = 4
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/?")


def _paint(url: str, cameras: list[str], fps: float, pool: int) -> None:
    with PaintedCameras(url, cameras, fps, pool=pool):
        time.sleep(1e6)


@contextmanager
def worker(url: str, count: int, fps: float, pool: int = POOL) -> Iterator[list[str]]:
    """Run the made worker in a process of its own; gives the cameras' names."""
    cameras = [f"camera-{number:03d}" for number in range(1, count + 1)]
    process = multiprocessing.get_context("spawn").Process(
        target=_paint, args=(url, cameras, fps, pool), daemon=True
    )
    process.start()
    try:
        yield cameras
    finally:
        process.terminate()
        process.join(10)


def wall(browser: Browser, live: LivePage, count: int, fps: float, seconds: float) -> Row:
    """Show a wall for a while and return what was drawn."""
    with worker(live.redis_url, count, fps):
        context, page, faults = open_page(
            browser, width=1920, height=1080, scripts=PageProbe.SCRIPTS
        )
        page.goto(live.address)
        expect(page.locator(".tile[data-level=live]")).to_have_count(count, timeout=60_000)
        time.sleep(WARM_SECONDS)
        probe = PageProbe(page)
        began = cpu_seconds(live.viewer.pid)
        probe.begin()
        time.sleep(seconds)
        figures = probe.end()
        server = (cpu_seconds(live.viewer.pid) - began) / seconds
        assert faults == [], faults
        context.close()
    asked = count * fps
    return {
        "tiles": count,
        "fps": fps,
        "asked_a_second": asked,
        "drawn_a_second": round(figures.count / seconds, 1),
        "stored_to_drawn_p50_ms": figures.quantile(0.5),
        "stored_to_drawn_p95_ms": figures.quantile(0.95),
        "slowest_to_fastest_tile": figures.evenness(count),
        "longest_task_ms": figures.longest_task_ms,
        "tasks_over_50_ms": figures.long_tasks,
        "server_cores": round(server, 3),
    }


def match(browser: Browser, live: LivePage, moments: int) -> Row:
    """Look at random moments whether picture, masks and header belong together."""
    with worker(live.redis_url, 1, 8, pool=0) as (camera,):
        context, page, _ = open_page(browser, width=1100, height=700)
        page.goto(f"{live.address}#/camera/{camera}")
        expect(page.locator(".camera")).to_have_attribute("data-level", "live", timeout=30_000)
        only_masks(page)
        found = []
        for _ in range(moments):
            page.wait_for_timeout(random.uniform(10, 300))
            found.append(match_now(page))
        context.close()
    return {
        "moments": moments,
        "header_is_barcode": sum(each.header == each.painted for each in found),
        "different_pictures": len({each.header for each in found}),
        "least_overlap": round(min(each.overlap for each in found), 4),
    }


def long_open(browser: Browser, live: LivePage, minutes: float) -> Row:
    """Leave a wall open; return what it grows by after its first fifth."""
    with worker(live.redis_url, 20, 5):
        context, page, _ = open_page(browser, width=1920, height=1080, scripts=PageProbe.SCRIPTS)
        page.goto(live.address)
        expect(page.locator(".tile[data-level=live]")).to_have_count(20, timeout=60_000)
        time.sleep(60 * minutes / 5)
        probe = PageProbe(page)
        before, server_before = probe.heap_megabytes(), rss_megabytes(live.viewer.pid)
        began, cpu = time.monotonic(), cpu_seconds(live.viewer.pid)
        time.sleep(60 * minutes * 4 / 5)
        cores = (cpu_seconds(live.viewer.pid) - cpu) / (time.monotonic() - began)
        after, server_after = probe.heap_megabytes(), rss_megabytes(live.viewer.pid)
        context.close()
    return {
        "minutes": minutes,
        "heap_mb": round(after, 2),
        "heap_grew_mb": round(after - before, 2),
        "server_cores": round(cores, 3),
        "server_grew_mb": round(server_after - server_before, 1),
    }


def viewers(browser: Browser, live: LivePage) -> Row:
    """Open further pages of the same wall; return what each costs the server."""
    with worker(live.redis_url, 20, 5):
        contexts, probes = [], []
        memory, cores, drawn = [], [], []
        for _ in range(FURTHER + 1):
            context, page, _ = open_page(browser, width=960, height=540, scripts=PageProbe.SCRIPTS)
            contexts.append(context)
            probes.append(PageProbe(page))
            page.goto(live.address)
            expect(page.locator(".tile[data-level=live]").first).to_be_visible(timeout=60_000)
            time.sleep(WARM_SECONDS)
            for probe in probes:
                probe.begin()
            cpu = cpu_seconds(live.viewer.pid)
            time.sleep(WARM_SECONDS)
            cores.append((cpu_seconds(live.viewer.pid) - cpu) / WARM_SECONDS)
            drawn.append(sum(probe.end().count for probe in probes) / WARM_SECONDS)
            memory.append(rss_megabytes(live.viewer.pid))
        for context in contexts:
            context.close()
    return {
        "further_viewers": FURTHER,
        "server_mb_each": round((memory[-1] - memory[0]) / FURTHER, 2),
        "server_cores": [round(each, 3) for each in cores],
        "drawn_a_second": [round(each) for each in drawn],
    }


def demo(browser: Browser, seconds: float) -> Row:
    """Run the demo with its page open; return how old its pictures are when they are drawn."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "seedstream", "demo", f"--seconds={seconds + 90:.0f}"]
        with ChildProcess.spawn(
            "demo", [*command, f"--out={folder}/out"], log_path=Path(folder) / "log"
        ) as process:
            process.wait_until(lambda: _ADDRESS.search(process.text()), 60, "no address")
            address = _ADDRESS.search(process.text())
            assert address is not None
            process.wait_until(lambda: "worker ready" in process.text(), 120, "no worker")
            context, page, _ = open_page(browser, scripts=PageProbe.SCRIPTS)
            page.goto(address[0])
            expect(page.locator(".tile[data-level=live]")).to_have_count(2, timeout=60_000)
            time.sleep(WARM_SECONDS)
            probe = PageProbe(page)
            probe.begin()
            time.sleep(seconds)
            figures = probe.end()
            context.close()
    return {
        "drawn_a_second": round(figures.count / seconds, 1),
        "captured_to_drawn_p50_ms": figures.quantile_since_captured(0.5),
        "captured_to_drawn_p95_ms": figures.quantile_since_captured(0.95),
        "stored_to_drawn_p95_ms": figures.quantile(0.95),
    }


PARTS: dict[str, Callable[[Browser, LivePage, argparse.Namespace], Row]] = {
    "match": lambda browser, live, asked: match(browser, live, asked.moments),
    "wall 20 x 5": lambda browser, live, asked: wall(browser, live, 20, 5, asked.seconds),
    "wall 20 x 10": lambda browser, live, asked: wall(browser, live, 20, 10, asked.seconds),
    "wall 64 x 3": lambda browser, live, asked: wall(browser, live, 64, 3, asked.seconds),
    "viewers": lambda browser, live, asked: viewers(browser, live),
    "open": lambda browser, live, asked: long_open(browser, live, asked.minutes),
    "demo": lambda browser, live, asked: demo(browser, asked.seconds),
}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each wall")
    parser.add_argument("--minutes", type=float, default=10, help="of the page that stays open")
    parser.add_argument("--moments", type=int, default=200, help="of the match")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; default: all")
    asked = parser.parse_args()
    about, found = describe(), {}
    with running_chromium() as browser:
        for name in asked.only or PARTS:
            # A Redis and a viewer of its own: the cameras of another part would still be known.
            with tempfile.TemporaryDirectory() as folder, closing(LivePage(Path(folder))) as live:
                found[name] = PARTS[name](browser, live, asked)
            print(name, json.dumps(found[name]), flush=True)
    moment = str(about["measured_at"])[:19].replace(":", "")
    path = RESULTS / f"page-{moment}.json"
    path.write_text(json.dumps({**about, "parts": found}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
