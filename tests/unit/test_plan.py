import itertools
import json
import math

import pytest

from contract.errors import ConfigurationError
from planner import capacity
from planner.capacity import MEAN_LOAD, camera_bytes, camera_cores, fullest, plan
from planner.load import Load, Plan
from planner.manifest_sizes import manifest_sizes
from planner.plan_report import as_json, as_text
from planner.unit_costs import unit_costs, with_changes
from producer import assignment
from producer.assignment import assign
from seedstream.cli import main


def need(found: Plan, part: str, name: str) -> float:
    (value,) = [each.value for each in found.needs if (each.part, each.name) == (part, name)]
    return value


def test_the_sums_are_those_of_the_costs():
    load = Load(cameras=100, fps=4, camera_fps=20, width=1000, height=500, max_side=500, objects=10)
    cost = {name: each.value for name, each in unit_costs().items()}

    found = plan(load)

    frame = 125_000 * cost["frame_bytes_per_pixel"] + cost["record_bytes"]
    assert need(found, "kafka", "into the topic") == pytest.approx(400 * frame / 1e6)
    assert need(found, "kafka", "disk") == pytest.approx(400 * frame * 600 * 3 / 1e9)
    decode = 20 * 0.5 * cost["decode_seconds_per_megapixel"]
    each = decode + 4 * 0.125 * cost["encode_seconds_per_megapixel"]
    assert need(found, "producers", "cores busy") == pytest.approx(100 * each)
    result = cost["result_bytes"] + 10 * cost["result_bytes_per_object"]
    memory = 100 * (1001 * result * cost["redis_bytes_per_byte"] + cost["tracks_state_bytes"])
    assert need(found, "redis", "memory") == pytest.approx(memory / 1e9)
    assert need(found, "redis", "scripts") == 800


@pytest.mark.parametrize("cameras", [1, 10, 100, 1_000, 10_000])
def test_workers_carry_the_mean_and_the_fullest_one(cameras: int):
    found = plan(Load(cameras=cameras, worker="gpu"))
    workers, capacity = need(found, "workers", "workers"), 250.0
    partitions = need(found, "kafka", "partitions")

    assert cameras * 5 / (workers * capacity) <= MEAN_LOAD
    assert partitions % workers == 0
    assert partitions >= max(12, 2 * workers)
    assert not found.warnings


@pytest.mark.parametrize(("cameras", "workers"), [(100, 4), (2_000, 69), (2_000, 167), (30, 40)])
def test_no_worker_has_more_cameras_than_the_plan_says(cameras: int, workers: int):
    """Producers assign cameras to partitions, of which each worker has equally many."""
    partitions = workers * max(2, math.ceil(12 / workers))
    largest = []
    for draw in range(10):
        places = assign((f"{draw}-{n}" for n in range(cameras)), partitions, "partition")
        counts = [0] * workers
        for place in places.values():
            counts[place % workers] += 1
        largest.append(max(counts))

    assert sum(largest) / len(largest) <= 1.1 * fullest(cameras, workers)
    assert fullest(cameras, workers) <= max(1.2 * cameras / workers, 4)


def test_the_plan_knows_how_producers_assign():
    assert capacity.MOST_PERCENT == assignment.MOST_PERCENT


@pytest.mark.parametrize(
    ("size", "cores", "mebibytes"),
    [((1920, 1080), 0.112, 15.0), ((1280, 720), 0.043, 7.6), ((768, 576), 0.027, 4.2)],
)
def test_a_camera_costs_its_producer_what_was_measured(
    size: tuple[int, int], cores: float, mebibytes: float
):
    width, height = size
    load = Load(cameras=1, width=width, height=height, max_side=None)

    assert camera_cores(load, unit_costs()) == pytest.approx(cores, rel=0.2)
    assert camera_bytes(load, unit_costs()) / 2**20 == pytest.approx(mebibytes, rel=0.1)


def test_smaller_published_frames_cost_less_but_for_decoding():
    whole, small = (plan(Load(cameras=100, worker="gpu", max_side=side)) for side in (None, 768))

    assert small.load.published == (768, 432)
    ratio = need(whole, "kafka", "into the topic") / need(small, "kafka", "into the topic")
    assert ratio == pytest.approx((1920 / 768) ** 2, rel=0.01)
    assert 0.5 < need(small, "producers", "cores busy") / need(whole, "producers", "cores busy") < 1
    assert plan(Load(cameras=1, width=640, height=360)).load.published == (640, 360)


def test_the_manifests_get_what_the_plan_counted():
    found = plan(Load(cameras=2_000, worker="gpu"))
    sizes = {(each.place, each.name): each.value for each in manifest_sizes(found)}

    assert sizes["topic frames", "retention.ms"] == "600000"
    assert int(sizes["topic frames", "segment.ms"]) * 5 == 600_000
    partitions = int(sizes["topic frames", "partitions"])
    assert partitions == need(found, "kafka", "partitions")
    assert int(sizes["scaledobject.yaml", "maxReplicaCount"]) <= partitions
    request = int(sizes["statefulset.yaml", "requests.memory"].removesuffix("Mi"))
    assert request >= need(found, "producers", "memory of one")
    assert int(sizes["statefulset.yaml", "limits.memory"].removesuffix("Mi")) >= 1.5 * request
    assert all(f"{each.name} " in as_text(found) for each in manifest_sizes(found))
    assert len(json.loads(as_json(found))["manifests"]) == len(sizes)


def test_more_cameras_never_need_less():
    plans = [plan(Load(cameras=n, worker="gpu")) for n in (1, 7, 50, 333, 2_000, 10_000)]

    for fewer, more in itertools.pairwise(plans):
        for one, other in zip(fewer.needs, more.needs, strict=True):
            if one.name not in ("frames per second of one", "memory of one"):
                assert one.value <= other.value, one.name


def test_a_camera_that_no_worker_carries_is_warned_of():
    found = plan(Load(cameras=3, fps=20, worker_fps=16))

    assert found.warnings[0].startswith("one camera at 20 frames/s is more than a worker carries")


def test_small_workers_that_two_cameras_fill_are_warned_of():
    found = plan(Load(cameras=500, fps=8, worker_fps=16))

    assert "its partitions may bring it more" in found.warnings[0]
    assert not plan(Load(cameras=500, fps=8, worker="gpu")).warnings


def test_nonsense_is_refused_all_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Load(cameras=0, fps=30, camera_fps=25, width=1, replication=0)

    assert len(caught.value.faults) == 4
    assert "fps is 30, more than the 25 that a camera sends" in str(caught.value)


def test_a_cost_can_be_replaced_and_is_no_assumption_then():
    changed = with_changes({"gpu_frames_per_second": 500.0})

    found = plan(Load(cameras=2_000, worker="gpu"), changed)

    assert need(found, "workers", "frames per second of one") == 500
    assert not any(each.assumed for each in found.needs if each.part == "workers")
    with pytest.raises(ConfigurationError, match="no cost 'gpu_fps', expected one of frame_"):
        with_changes({"gpu_fps": 1})
    with pytest.raises(ConfigurationError, match="expected a number above 0"):
        with_changes({"record_bytes": 0})


def test_the_first_limit_comes_first_and_every_figure_says_how_it_was_counted():
    found = plan(Load(cameras=10))

    assert [each.cameras for each in found.limits] == sorted(each.cameras for each in found.limits)
    assert all(each.because for each in (*found.needs, *found.limits))
    assert all(each.source and each.meaning for each in unit_costs().values())
    text = as_text(found)
    assert text.startswith("10 cameras, 5 of 25 frames/s published, 1920x1080 pixels")
    assert "PRODUCER_SHARD" in text
    document = json.loads(as_json(found))
    assert document["load"]["cameras"] == 10
    assert document["unit_costs"]["record_bytes"]["measured"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--cameras", "20", "--size", "1280x720"], 0, "20 cameras, 5 of 25 frames/s published"),
        (["--cameras", "20", "--cost", "record_bytes=300", "--json"], 0, '"value": 300.0'),
        (["--cameras", "20", "--size", "full"], 2, "--size is 'full', expected WIDTHxHEIGHT"),
        (["--cameras", "20", "--cost", "record_bytes"], 2, "expected NAME=VALUE with a number"),
        (["--cameras", "0", "--fps", "-1"], 2, "cameras is 0, expected 1 to 1e+06"),
    ],
)
def test_the_command_prints_a_plan_or_what_is_wrong(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
):
    monkeypatch.setattr("sys.argv", ["seedstream", "plan", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code or 0) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
