"""`seedstream models compare` on a real Redis: what two lanes agree about, what there is to say."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest
import redis

from contract.frame import new_session
from contract.mask import encode_mask
from contract.result import (
    DOCUMENT_FIELD,
    Instance,
    ModelReference,
    Result,
    encode_result,
    stream_id,
)
from contract.result_keys import ResultKeys
from seedstream import cli
from stack.redis_server import RedisServer

HEIGHT, WIDTH = 60, 80
Boxes = Sequence[tuple[int, int, int, int]]


class Done(NamedTuple):
    """What a command did."""

    returncode: object
    stdout: str
    stderr: str


Compare = Callable[..., Done]


def make_result(
    camera: str, session: str, number: int, boxes: Boxes, model: str, latency: float
) -> Result:
    captured = datetime(2026, 11, 29, 12, tzinfo=UTC) + timedelta(seconds=number / 10)
    instances = [
        Instance(
            n, "person", 0.9, (x, y, w, h), (x + w / 2, y + h / 2), w * h,
            encode_mask(np.ones((h, w), np.bool_), (HEIGHT, WIDTH), (x, y)),
        )
        for n, (x, y, w, h) in enumerate(boxes, 1)
    ]  # fmt: skip
    return Result(
        camera=camera, session=session, sequence=number, captured_at=captured,
        processed_at=captured + timedelta(seconds=latency), width=WIDTH, height=HEIGHT,
        model=ModelReference("street", model, "0"), latency_seconds=latency, instances=instances,
    )  # fmt: skip


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as connected:
        yield connected


@pytest.fixture
def lanes(unique_name: Callable[[str], str]) -> tuple[ResultKeys, ResultKeys]:
    return ResultKeys(unique_name("main")), ResultKeys(unique_name("shadow"))


@pytest.fixture
def compare(
    redis_server: RedisServer,
    lanes: tuple[ResultKeys, ResultKeys],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Compare:
    first, second = lanes
    monkeypatch.setenv("RESULTS_REDIS_URL", redis_server.url)
    monkeypatch.setenv("RESULTS_RESULT_PREFIX", first.prefix)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: str, other: str = second.prefix) -> Done:
        monkeypatch.setattr(sys, "argv", ["seedstream", "models", "compare", other, *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return run


def store(client: "redis.Redis", keys: ResultKeys, results: Sequence[Result]) -> None:
    for each in results:
        client.xadd(
            keys.results(each.camera), {DOCUMENT_FIELD: encode_result(each)}, id=stream_id(each)
        )
        client.expire(keys.results(each.camera), 100)
        client.zadd(keys.cameras, {each.camera: 1})
        client.expire(keys.cameras, 100)


A, B, C = (2, 2, 10, 10), (30, 2, 10, 10), (50, 30, 12, 12)


def test_what_two_lanes_agree_about_is_counted_on_the_frames_of_both(
    client: "redis.Redis", lanes: tuple[ResultKeys, ResultKeys], compare: Compare
) -> None:
    first, second = lanes
    session = new_session()
    # The second begins with frame 2 and lacks frame 5; it sees A a bit smaller, and C from 6 on.
    ours = [make_result("gate", session, n, [A, B], "1", 0.1 + n / 100) for n in range(10)]
    theirs = [
        make_result("gate", session, n, [(2, 2, 10, 8), B] + [C] * (n >= 6), "2", 0.2)
        for n in range(2, 12)
        if n != 5
    ]
    store(client, first, [*ours, make_result("yard", session, 1, [A], "1", 0.1)])
    store(client, second, theirs)
    done = compare("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["first"] == {
        "prefix": first.prefix, "models": ["street/1"], "cameras_only_here": ["yard"],
    }  # fmt: skip
    assert found["second"]["models"] == ["street/2"]
    total = found["total"]
    assert total == found["cameras"]["gate"]
    assert (total["frames"], total["frames_only_first"], total["frames_only_second"]) == (7, 1, 0)
    assert total["instances"] == {"first": 14, "second": 18}
    assert total["classes"] == {"person": {"first": 14, "second": 18}}
    assert total["share_of_first_found_in_second"] == 1.0
    assert total["share_of_second_found_in_first"] == round(14 / 18, 4)
    assert total["mean_iou"] == 0.9
    assert (total["more_instances_a_frame"], total["count_distance_a_frame"]) == (
        round(4 / 7, 4), round(4 / 7, 4),
    )  # fmt: skip
    latencies = [0.1 + n / 100 for n in (2, 3, 4, 6, 7, 8, 9)]
    assert total["latency_seconds"]["first"]["p95"] == round(float(np.quantile(latencies, 0.95)), 4)
    assert total["latency_seconds"]["second"] == {"p50": 0.2, "p95": 0.2}
    assert {each["sequence"] for each in found["worst"]} == {6, 7, 8, 9}
    assert found["worst"][0] | {"sequence": 9, "captured_at": ""} == {
        "camera": "gate", "session": session, "sequence": 9, "captured_at": "",
        "instances": {"first": 2, "second": 3}, "matched": 2, "mean_iou": 0.9,
        "matched_but_for_the_class": 0,
    }  # fmt: skip
    said = compare("--worst", "1").stdout
    assert "street/1" in said
    assert "77.8%" in said
    assert "only under" in said
    worst = f"{session}/{found['worst'][0]['sequence']}"
    assert f"--camera gate --frame {worst}" in " ".join(said.split())
    stricter = json.loads(
        compare("--json", "--iou", "0.85", "--since", "2026-11-29T12:00:00.55").stdout
    )
    assert stricter["total"]["frames"] == 4
    assert stricter["total"]["share_of_first_found_in_second"] == 0.5
    assert json.loads(compare("--json", "--count", "3").stdout)["total"]["frames"] == 1


def test_a_frame_with_a_mask_that_is_none_is_left_out_and_told(
    client: "redis.Redis", lanes: tuple[ResultKeys, ResultKeys], compare: Compare
) -> None:
    session = new_session()
    for keys in lanes:
        store(client, keys, [make_result("gate", session, 0, [A], "1", 0.1)])
    broken = encode_result(make_result("gate", session, 1, [A], "1", 0.1))
    counts = json.loads(broken)["instances"][0]["mask"]["counts"].encode()
    for keys in lanes:
        document = broken.replace(json.dumps(counts.decode()).encode(), b'"zz"')
        client.xadd(keys.results("gate"), {DOCUMENT_FIELD: document})
    assert json.loads(compare("--json").stdout)["total"]["frames_unreadable"] == 1
    assert "1 frames left out" in compare().stdout


def test_where_there_is_nothing_to_compare_it_is_said_what_there_is(
    client: "redis.Redis", lanes: tuple[ResultKeys, ResultKeys], compare: Compare
) -> None:
    first, second = lanes
    session = new_session()
    done = compare()
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no camera has results under '{first.prefix}'" in done.stderr
    store(client, first, [make_result("gate", session, n, [A], "1", 0.1) for n in range(3)])
    done = compare()
    assert done.returncode == 1
    assert f"no camera has results under '{second.prefix}'" in done.stderr
    store(client, second, [make_result("yard", session, 1, [A], "2", 0.1)])
    done = compare()
    assert done.returncode == 1
    assert "no camera has results in both lanes: gate under" in done.stderr
    done = compare("--camera", "yard")
    assert done.returncode == 1
    assert (
        f"no results of camera 'yard' under '{first.prefix}'; there are those of gate"
        in done.stderr
    )
    store(client, second, [make_result("gate", session, 7, [A], "2", 0.1)])
    done = compare()
    assert done.returncode == 1
    assert "no frame in common among the newest 1000 results of gate: do they read" in done.stderr


def test_the_same_lane_twice_and_what_is_no_prefix_are_refused(
    lanes: tuple[ResultKeys, ResultKeys], compare: Compare
) -> None:
    done = compare(other=lanes[0].prefix)
    assert done.returncode == 2
    assert (
        f"both lanes have the prefix '{lanes[0].prefix}': expected that of a second" in done.stderr
    )
    done = compare(other="a:b")
    assert done.returncode == 2
    assert "PREFIX is 'a:b': expected 1 to 40 letters" in done.stderr
