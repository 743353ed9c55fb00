"""Two models on the same cameras: two groups, two prefixes, and neither knows of the other."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import redis
import simplejpeg
from kafka import KafkaProducer

from contract.artifact import Artifact
from contract.frame import Frame, encode_frame
from contract.minutes import read_minutes
from contract.preview import decode_preview
from contract.result_keys import ResultKeys
from stack.broker import Broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.fakes import make_frame, wait_until

pytest.importorskip("onnx", reason="the extra `train` is not installed")
from tests.tiny_model import CARD, tiny_model, write_artifact

FRAMES = 40
MAIN, SHADOW = ResultKeys(), ResultKeys("seedstream-shadow")
WATCHED_WIDTH = 128
HEIGHT, WIDTH = 144, 192
BEGAN = time.time() - 60


def painted(camera: str, number: int) -> Frame:
    """Return a dark picture in which a bright square moves to the right."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left = 10 + 3 * number
    picture[40:80, left : left + 40] = 255
    data = simplejpeg.encode_jpeg(picture)
    at = BEGAN + number / 10
    return make_frame(camera, number, data=data, height=HEIGHT, width=WIDTH, captured_at=at)


CARD_FIELDS = {name: getattr(CARD, name) for name in Artifact.__struct_fields__}


@dataclass
class Lanes:
    """A topic, and what is started on it."""

    folder: Path
    topic: str
    broker: Broker
    redis_url: str
    models: dict[str, Path]
    stack: ExitStack = field(default_factory=ExitStack)

    def worker(self, lane: str, keys: ResultKeys) -> SeedstreamProcess:
        """Start a lane's worker: a group, a prefix and a model of its own."""
        process = start_seedstream(
            *("work", "--lane", lane, "--result-prefix", keys.prefix),
            *("--group", f"{self.topic}-{lane}", "--model", str(self.models[lane])),
            *("--topic", self.topic, "--dead-topic", f"{self.topic}.dead"),
            *("--bootstrap-servers", self.broker.bootstrap_servers),
            *("--redis-url", self.redis_url, "--http-port", "0", "--provider", "cpu"),
            *("--mode", "complete", "--intra-op-threads", "1", "--session-timeout-seconds", "6"),
            log_path=self.folder / f"{lane}.log",
            env={"OMP_NUM_THREADS": "1"},
        )
        self.stack.callback(process.kill)
        return process

    def send(self, frames: Iterable[Frame]) -> None:
        """Publish frames."""
        servers = self.broker.bootstrap_servers
        with closing(KafkaProducer(bootstrap_servers=servers)) as producer:
            for frame in frames:
                key, value, headers = encode_frame(frame)
                producer.send(self.topic, key=key, value=value, headers=headers)
            producer.flush(30)

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
    models = {
        lane: write_artifact(
            tmp_path / "tiny" / version,
            tiny_model(height=height, width=width),
            Artifact(**CARD_FIELDS | {"version": version, "height": height, "width": width}),
        )
        for lane, version, height, width in (("main", "1", 64, 96), ("shadow", "2", 96, 144))
    }
    made = Lanes(tmp_path, topic, kafka, redis_server.url, models)
    with made.stack:
        yield made


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as connected:
        yield connected


def kept(client: "redis.Redis", keys: ResultKeys, camera: str) -> list[object]:
    """Return what a lane keeps of a camera and no other lane can have made."""
    texts = client.mget(*(each(camera) for each in (keys.latest, keys.tracks, keys.preview)))
    return [client.xrange(keys.results(camera)), *texts]


def test_two_models_on_the_same_cameras_both_complete_and_their_results_are_apart(
    lanes: Lanes, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    cameras = [unique_name("gate"), unique_name("yard")]
    client.set(SHADOW.watch(cameras[0]), WATCHED_WIDTH, ex=100)  # somebody looks at that lane alone
    both = {"main": MAIN, "shadow": SHADOW}
    workers = {lane: lanes.worker(lane, keys) for lane, keys in both.items()}
    lanes.send(painted(camera, number) for number in range(FRAMES) for camera in cameras)
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
        prefixes = {key.decode().partition(":")[0] for key in client.keys(f"*{camera}*")}
        assert prefixes == {MAIN.prefix, SHADOW.prefix}
    mine = lanes.run("results", cameras[0], "--json", "--redis-url", lanes.redis_url)
    theirs = lanes.run(
        *("results", cameras[0], "--json", "--redis-url", lanes.redis_url),
        *("--result-prefix", SHADOW.prefix),
    )
    compared = json.loads(
        lanes.run(*("models", "compare", SHADOW.prefix, "--json", "--redis-url", lanes.redis_url))
    )
    assert set(compared["cameras"]) >= set(cameras)
    for camera in cameras:
        assert compared["cameras"][camera]["frames"] == FRAMES
        assert compared["cameras"][camera]["frames_only_first"] == 0
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
