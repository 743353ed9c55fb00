import itertools
import json
import math
from collections import Counter
from typing import Literal

import pytest

from contract.errors import ConfigurationError
from planner import capacity
from planner.capacity import MEAN_LOAD, camera_bytes, camera_cores, fullest, plan
from planner.load import Load, Plan
from planner.manifest_sizes import manifest_sizes
from planner.plan_report import as_json, as_text
from planner.shares import DECODE_THREADS, FULLEST_LOAD, decode_threads
from planner.unit_costs import unit_costs, with_changes
from producer import assignment
from producer.assignment import assign
from seedstream.cli import main
from workers import decoders
from workers.inference import host_threads


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


def test_the_plan_knows_how_producers_assign_and_in_how_many_threads_workers_decode():
    assert capacity.MOST_PERCENT == assignment.MOST_PERCENT
    assert decoders.DECODE_THREADS == DECODE_THREADS
    for cores in (1, 2, 8, 12, 16, 64):
        for worker in ("cpu", "gpu"):
            threads = host_threads(cores, on_gpu=worker == "gpu")
            assert decode_threads(worker, cores) == threads


@pytest.mark.parametrize("cameras", [2, 3, 7, 13, 20, 50, 100, 300])
@pytest.mark.parametrize("worker_fps", [5.0, 20.4, 40.0, 163.0])
@pytest.mark.parametrize("fps", [1, 5, 12, 15])
def test_the_workers_are_the_fewest_that_keep_to_both_loads(
    cameras: int, worker_fps: float, fps: int
):
    found = plan(Load(cameras=cameras, fps=fps, worker_fps=worker_fps))

    def carry(workers: int) -> bool:
        busy = cameras * fps / (workers * worker_fps)
        return busy <= MEAN_LOAD and fullest(cameras, workers) * fps / worker_fps <= FULLEST_LOAD

    fewest = next((n for n in range(1, 4 * cameras + 1) if carry(n)), None)
    workers = need(found, "workers", "workers")
    if fewest is not None:
        assert workers == fewest
    else:
        assert found.warnings
        said = next(each.because for each in found.needs if each.name == "workers")
        assert said.endswith(f"% instead of {FULLEST_LOAD:.0%}")


def test_where_two_cameras_fill_a_worker_the_plan_says_how_busy_the_fullest_one_is():
    """100 cameras at 12 frames/s: 1.7 at a worker, but two in one of its partitions."""
    found = plan(Load(cameras=100, fps=12))

    (said,) = (each.because for each in found.needs if each.name == "workers")
    assert said.endswith(
        "at most 70% busy in the mean, and the fullest, with 2 cameras, 118% instead of 90%"
    )
    assert need(found, "workers", "workers") == 84
    assert (
        "with any number of workers the fullest has 2 cameras, 118% of its time"
        in found.warnings[0]
    )


@pytest.mark.parametrize(
    ("size", "most"), [((1920, 1080), 250.0), ((3840, 2160), 130.4), ((8192, 4320), 30.6)]
)
@pytest.mark.parametrize("worker", ["gpu", "cpu"])
def test_no_worker_does_more_frames_than_its_threads_decode(
    size: tuple[int, int], most: float, worker: Literal["cpu", "gpu"]
):
    width, height = size
    load = Load(
        cameras=1, width=width, height=height, max_side=None, worker=worker, worker_cores=64
    )

    found = plan(load)

    threads = 4 if worker == "gpu" else 2
    decoded = threads / (
        width * height / 1e6 * unit_costs()["worker_decode_seconds_per_megapixel"].value
    )
    frames = need(found, "workers", "frames per second of one")
    assert frames <= decoded
    assert frames <= most if worker == "gpu" else frames <= 261
    (said,) = (e.because for e in found.needs if e.name == "frames per second of one")
    assert ("decoding" in said) == (frames == pytest.approx(decoded))


def test_frames_that_grow_with_cores_are_an_assumption_and_the_manifests_get_the_cores():
    measured, more = (plan(Load(cameras=100, worker_cores=cores)) for cores in (2, 16))

    (one,) = (each for each in measured.needs if each.name == "frames per second of one")
    (other,) = (each for each in more.needs if each.name == "frames per second of one")
    assert (one.assumed, other.assumed) == (False, True)
    assert "measured with 2" in other.because
    sizes = {(each.place, each.name): each.value for each in manifest_sizes(more)}
    assert sizes["worker's deployment.yaml", "requests.cpu"] == "16"
    assert sizes["settings/worker.env", "WORKER_INTRA_OP_THREADS"] == "16"


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (Load(cameras=1, width=16_384, height=16_384, max_side=None), "cores of its producer"),
        (Load(cameras=1, width=16_384, height=16_384, max_side=None), "PRODUCER_MAX_FRAME_PIXELS"),
        (Load(cameras=1, width=16_384, height=16_384, max_side=None), "of the largest one"),
        (
            Load(cameras=1, width=3840, height=2160, max_side=None, fps=25),
            "one camera brings 26.1 MB/s to its partition, more than the 10 MB/s that one takes",
        ),
        (Load(cameras=1, kept_results=1_000_000_000, fps=25, kept_seconds=1e8), "--kept-results"),
    ],
)
def test_a_camera_that_fills_what_cannot_be_shared_is_warned_of(load: Load, said: str):
    found = plan(load)

    assert any(said in each for each in found.warnings)
    assert need(found, "kafka", "partitions") == 12
    assert need(found, "producers", "producers") == 1


@pytest.mark.parametrize("cameras", [1, 5, 40, 333, 2_000])
@pytest.mark.parametrize("side", [768, 2160, 3840])
def test_no_partition_or_producer_has_more_than_the_plan_says(cameras: int, side: int):
    load = Load(cameras=cameras, width=3840, height=2160, max_side=side, fps=10)
    found = plan(load)
    rate = need(found, "kafka", "into the topic") / cameras

    for name, part, each, most in (
        ("partitions", "kafka", rate, 10.0),
        ("producers", "producers", camera_cores(load, unit_costs()), 2 * FULLEST_LOAD),
    ):
        places = int(need(found, part, name))
        together = max(assigned(cameras, places))
        assert together == 1 or together * each <= most


def test_producers_that_carry_one_camera_each_are_so_many_that_none_gets_two():
    """At 25 frames/s a camera of 3840x2160 that is published whole takes 1 core: two fill one."""
    load = Load(cameras=10, width=3840, height=2160, max_side=None, fps=25)
    producers = int(need(plan(load), "producers", "producers"))

    assert producers == 11
    assert max(assigned(10, producers)) == 1


def assigned(cameras: int, places: int) -> list[int]:
    """Return how many cameras producers assign to each place."""
    return list(Counter(assign(map(str, range(cameras)), places, "partition").values()).values())


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


def test_large_numbers_reach_the_manifests_without_an_exponent():
    size = {"width": 16384, "height": 16384, "max_side": None}
    load = Load(cameras=1_000_000, fps=1000, camera_fps=1000, worker="gpu", worker_fps=1e6, **size)
    sizes = {(each.place, each.name): each.value for each in manifest_sizes(plan(load))}
    assert int(sizes["kustomization.yaml", "replicas: producer"]) > 1_000_000
    assert sizes["scaledobject.yaml", "threshold (offered-frames)"] == "700000"


def test_what_was_given_is_no_assumption_any_more():
    load = Load(cameras=2_000)
    guessed = {(e.part, e.name) for e in plan(load).needs if e.assumed}
    given = with_changes({n: c.value for n, c in unit_costs().items() if not c.measured})
    assert {
        ("kafka", "partitions"),
        ("kafka", "brokers"),
        ("redis", "masters"),
        ("prometheus", "servers"),
    } <= guessed
    assert not [e for e in plan(load, given).needs if e.assumed]


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


@pytest.mark.parametrize(
    "zero", [{"worker_fps": 0.0}, {"frame_bytes": 0}, {"max_side": 0}, {"worker_fps": math.nan}]
)
def test_zero_is_no_value_of_its_own(zero: dict[str, float]):
    with pytest.raises(ConfigurationError, match=r" is (0|nan), expected "):
        Load(cameras=10, **zero)


@pytest.mark.parametrize("name", list(unit_costs()))
@pytest.mark.parametrize("value", [1e-320, 1e-300, 1e300, math.inf, -1.0, math.nan])
def test_a_cost_out_of_reach_is_refused_with_what_it_may_be(name: str, value: float):
    with pytest.raises(
        ConfigurationError, match=rf"{name} is \S+, expected a number above 0: \S+ to"
    ):
        with_changes({name: value})


@pytest.mark.parametrize("factor", [1 / 9_999, 9_999])
@pytest.mark.parametrize(
    "load",
    [
        Load(cameras=1, width=16, height=16, fps=0.001, camera_fps=0.001, objects=0),
        Load(cameras=1_000, width=16_384, height=16_384, max_side=None, fps=1e3, camera_fps=1e3),
    ],
)
def test_every_cost_within_reach_makes_a_plan(load: Load, factor: float):
    costs = {name: each.value * factor for name, each in unit_costs().items()}

    for changes in (costs, *({name: value} for name, value in costs.items())):
        assert as_text(plan(load, with_changes(changes)))


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
        (["--cameras", "9" * 400], 2, "cameras is a number of 400 digits, expected 1 to 1e+06"),
        (["--cameras", "10", "--worker-fps", "0"], 2, "worker fps is 0, expected 0.001 to 1e+06"),
        (
            ["--cameras", "1", "--cost", "record_bytes=1", "--cost", "record_bytes=2"],
            *(2, "--cost record_bytes is given twice"),
        ),
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
