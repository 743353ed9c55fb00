"""docs/use/results.md, run as it stands: its blocks in order, and each output below its block.

Only the server's address is another one than a reader's.
"""

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import pytest
import redis
from msgspec import structs
from prometheus_client import CollectorRegistry

from segmentation.instances import ArrayMask, Instances
from stack.redis_server import RedisServer, start_redis
from tests.conftest import REPOSITORY
from tests.fakes import wait_until
from tests.sink_parts import CAPTURED_AT, make_sink, make_tracked
from tracking import observe
from workers.metrics import WorkerMetrics
from workers.records import Entry, Sighting
from workers.sink import RedisSink

PAGE = REPOSITORY / "docs" / "use" / "results.md"
SIZE = (576, 768)


def frame(number: int) -> Entry:
    """Return a frame in which a person walks to the right and a car stands."""
    boxes = [(170 + 10 * number, 100, 40, 80), (20, 60, 50, 30)]
    shape = np.zeros(SIZE, np.int32)
    for index, (x, y, width, height) in enumerate(boxes, 1):
        shape[y : y + height, x : x + width] = index
    instances = Instances.of(
        SIZE,
        ("person", "vehicle"),
        classes=[0, 1],
        scores=[0.9, 0.9],
        centers=[(x + width / 2, y + height / 2) for x, y, width, height in boxes],
        areas=[width * height for _, _, width, height in boxes],
        masks=[ArrayMask.cut(shape, index, box) for index, box in enumerate(boxes, 1)],
    )
    entry = make_tracked("gate", number)
    result = structs.replace(
        entry.result,
        captured_at=CAPTURED_AT + timedelta(seconds=0.1 * number),
        height=SIZE[0],
        width=SIZE[1],
        position=(0, number),
        model=structs.replace(entry.result.model, name="street"),
        instances=instances.documents(),
    )
    return entry._replace(result=result, sighting=Sighting(observe(instances), 0.0))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own: the page lists all cameras."""
    with start_redis() as server:
        yield server


def test_the_blocks_run_and_print_what_the_page_says(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESULTS_REDIS_URL", server.url)
    sink = make_sink(server.url, metrics=WorkerMetrics(CollectorRegistry()))
    sink.store([frame(number) for number in range(3)])
    walker = threading.Thread(target=_store_when_awaited, args=(server, sink), daemon=True)
    walker.start()
    text = PAGE.read_text().replace("redis://127.0.0.1:6379/0", server.url)
    text = text.replace("redis.Redis()", f"redis.Redis.from_url({server.url!r})")
    printed, compared, tables = "", 0, []
    for kind, block in re.findall(r"```(python|text)\n(.*?)```", text, re.DOTALL):
        if kind == "text":
            assert printed == block
            compared += 1
        else:
            printed = _run(block)
        if "import pandas" in block:
            tables.append(printed)
    walker.join(10)
    assert compared == 3
    (table,) = tables
    *_, people, vehicles = (line.split() for line in table.splitlines())
    assert people == ["person", "1", "3200.0"]
    assert vehicles == ["vehicle", "1", "1500.0"]
    sink.close()


def _run(block: str) -> str:
    output = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(output):
        exec(compile(block, str(PAGE), "exec"), names)
    return output.getvalue()


def _store_when_awaited(server: RedisServer, sink: RedisSink) -> None:
    with redis.Redis.from_url(server.url) as client:
        waits: Callable[[], bool] = lambda: any(  # noqa: E731
            each["cmd"] == "xread" for each in client.client_list()
        )
        wait_until(waits)
        sink.store([frame(3), frame(4)])
