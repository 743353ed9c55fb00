"""Two models on the same cameras: two groups, two prefixes, and neither knows of the other."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from contract.artifact import Artifact
from contract.minutes import read_minutes
from contract.preview import decode_preview
from contract.result_keys import ResultKeys
from stack.broker import Broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.fakes import wait_until

pytest.importorskip("onnx", reason="the extra `train` is not installed")
from tests.tiny_model import CARD, tiny_model, write_artifact

FRAMES = 40
MAIN, SHADOW = ResultKeys(), ResultKeys("seedstream-shadow")
WATCHED_WIDTH = 128


@dataclass
class Lanes:
    """A topic, and what is started on it."""

    folder: Path
    topic: str
    broker: Broker
    redis_url: str
    models: dict[str, Path]
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, command: str, name: str, *options: str) -> SeedstreamProcess:
        """Start a process that reads or writes the topic."""
        servers = ("--bootstrap-servers", self.broker.bootstrap_servers, "--http-port", "0")
        process = start_seedstream(
            *(command, "--topic", self.topic, *servers, *options),
            log_path=self.folder / f"{name}.log",
            env={"OMP_NUM_THREADS": "1"},
        )
        self.stack.callback(process.kill)
        return process

    def worker(self, lane: str, keys: ResultKeys) -> SeedstreamProcess:
        """Start a lane's worker: a group, a prefix and a model of its own."""
        return self.start(
            *("work", lane, "--lane", lane, "--result-prefix", keys.prefix),
            *("--group", f"{self.topic}-{lane}", "--model", str(self.models[lane])),
            *("--dead-topic", f"{self.topic}.dead", "--redis-url", self.redis_url),
            *("--provider", "cpu", "--mode", "complete", "--intra-op-threads", "1"),
            *("--session-timeout-seconds", "6"),
        )

    def run(self, *words: str) -> str:
        """Return what a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "seedstream", *words],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def lanes(
    tmp_path: Path, kafka: Broker, redis_server: RedisServer, unique_name: Callable[[str], str]
) -> Iterator[Lanes]:
    topic = unique_name("frames")
    kafka.create_topic(topic, 2)
    kafka.create_topic(f"{topic}.dead", 1)
    card = {name: getattr(CARD, name) for name in Artifact.__struct_fields__}
    finer = Artifact(**card | {"version": "2", "height": 64, "width": 96})
    models = {
        "main": write_artifact(tmp_path / "tiny" / "1", tiny_model(), CARD),
        "shadow": write_artifact(tmp_path / "tiny" / "2", tiny_model(height=64, width=96), finer),
    }
    made = Lanes(tmp_path, topic, kafka, redis_server.url, models)
    with made.stack:
        yield made


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as connected:
        yield connected


def kept(client: "redis.Redis", keys: ResultKeys, camera: str) -> list[object]:
    """Return all that a lane keeps of a camera."""
    return [
        client.xrange(keys.results(camera)),
        client.hgetall(keys.minutes(camera)),
        *client.mget(*(each(camera) for each in (keys.latest, keys.sessions, keys.tracks))),
        client.get(keys.preview(camera)),
    ]


def test_two_models_on_the_same_cameras_both_complete_and_their_results_are_apart(
    lanes: Lanes, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    cameras = [unique_name("gate"), unique_name("yard")]
    client.set(SHADOW.watch(cameras[0]), WATCHED_WIDTH, ex=100)  # somebody looks at that lane alone
    listed = [
        word
        for camera in cameras
        for word in ("--camera", f"{camera}=test:?size=192x144&fps=20&objects=4&seed=3")
    ]
    both = {"main": MAIN, "shadow": SHADOW}
    workers = {lane: lanes.worker(lane, keys) for lane, keys in both.items()}
    producer = lanes.start("produce", "producer", *listed, "--max-frames", str(FRAMES))
    assert producer.wait(60) == 0
    for lane, keys in both.items():
        wait_until(
            lambda keys=keys: all(len(read_results(client, c, keys)) == FRAMES for c in cameras),
            60,
            f"a result of each frame in lane {lane}",
        )
    for lane, worker in workers.items():
        found = worker.metrics()
        assert found is not None
        assert found.total("seedstream_frames_processed_total", lane=lane) == 2 * FRAMES
        assert found.total("seedstream_frames_duplicate_total") == 0
        assert found.total("seedstream_track_conflicts_total") == 0
        assert found.by("lane", "seedstream_model_info") == {lane: 1}
        watched = found.total("seedstream_previews_total", reason="watched")
        assert (watched > 0) == (lane == "shadow")
        assert worker.stop(30) == 0
        last = json.loads(worker.text().splitlines()[-1])
        assert (last["process"], last["lane"]) == ("worker", lane)
    for camera in cameras:
        assert_apart(client, camera)
    assert {key.decode().partition(":")[0] for key in client.keys("*")} <= {
        MAIN.prefix, SHADOW.prefix,
    }  # fmt: skip
    mine = lanes.run("results", cameras[0], "--json", "--redis-url", lanes.redis_url)
    theirs = lanes.run(
        *("results", cameras[0], "--json", "--redis-url", lanes.redis_url),
        *("--result-prefix", SHADOW.prefix),
    )
    versions = [json.loads(each.splitlines()[-1])["model"]["version"] for each in (mine, theirs)]
    assert versions == ["1", "2"]


def assert_apart(client: "redis.Redis", camera: str) -> None:
    """Expect both lanes' results of the same frames, and nothing of one in the other."""
    ours, theirs = (read_results(client, camera, keys) for keys in (MAIN, SHADOW))
    frames = [
        [(each.session, each.sequence, each.position) for each in of] for of in (ours, theirs)
    ]
    assert frames[0] == frames[1]
    assert len(frames[0]) == FRAMES
    assert {each.model.version for each in ours} == {"1"}
    assert {each.model.version for each in theirs} == {"2"}
    assert [each.instances for each in ours] != [each.instances for each in theirs]
    for keys, results in ((MAIN, ours), (SHADOW, theirs)):
        minutes = read_minutes(client.hgetall(keys.minutes(camera)))
        assert sum(minute.frames for minute in minutes) == FRAMES
        confirmed = {i.track for each in results for i in each.instances if i.confirmed}
        assert confirmed, "the state of the tracks is only told apart where there are some"
        pair = decode_preview(client.get(keys.preview(camera)))
        assert pair.result().model.version == results[0].model.version
        assert client.zscore(keys.cameras, camera) is not None
    one, other = kept(client, MAIN, camera), kept(client, SHADOW, camera)
    assert all(mine and mine != yours for mine, yours in zip(one, other, strict=True))
