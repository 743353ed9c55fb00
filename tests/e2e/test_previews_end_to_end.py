"""A worker as a user starts it, and somebody who looks: each picture is the frame of its result."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis
import simplejpeg
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from contract.frame import I420, JPEG, Frame, decode_frame, encode_frame
from contract.minutes import read_minutes
from contract.preview import DEFAULT_WIDTH, Preview, decode_preview
from contract.topics import MAX_RECORD_BYTES
from stack.broker import Broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.default_keys import KEYS
from tests.fakes import make_frame, wait_until

HEIGHT, WIDTH, BITS = 480, 640, 8
SHOWN_WIDTH = 320
FRAMES = 30


def painted(number: int) -> np.ndarray:
    """Return a picture of clouds with its number on it: eight bars, white where the bit is set."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    cv2.circle(picture, (60 + 10 * number % 500, 330), 60, (200, 60, 60), -1)
    for bit in range(BITS):
        left = bit * WIDTH // BITS
        picture[:120, left : left + WIDTH // BITS] = 255 * (number >> bit & 1)
    return picture


def number_on(jpeg: bytes) -> int:
    """Read the number off a picture of any size."""
    picture = simplejpeg.decode_jpeg(jpeg, "GRAY")[:, :, 0]
    rows, columns = picture.shape[0] // 8, picture.shape[1]
    middles = [round((bit + 0.5) * columns / BITS) for bit in range(BITS)]
    return sum(int(picture[rows, x] > 128) << bit for bit, x in enumerate(middles))


def frame_of(camera: str, number: int, kind: str) -> Frame:
    picture = painted(number)
    data = (
        cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes()
        if kind == I420
        else simplejpeg.encode_jpeg(picture)
    )
    return make_frame(camera, number, data=data, height=HEIGHT, width=WIDTH, content_type=kind)


@pytest.fixture
def topic(kafka: Broker, unique_name: Callable[[str], str]) -> str:
    name = unique_name("frames")
    kafka.create_topic(name, 2)
    kafka.create_topic(f"{name}.dead", 1)
    return name


@pytest.fixture
def send(kafka: Broker, topic: str) -> Iterator[Callable[[Frame], None]]:
    with contextlib.closing(KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)) as producer:

        def publish(frame: Frame) -> None:
            key, value, headers = encode_frame(frame)
            producer.send(topic, key=key, value=value, headers=headers).get(timeout=30)

        yield publish


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as connected:
        yield connected


@pytest.fixture
def start(
    kafka: Broker, topic: str, redis_server: RedisServer, tiny_model: Path, tmp_path: Path
) -> Iterator[Callable[..., SeedstreamProcess]]:
    with contextlib.ExitStack() as stack:

        def worker(*options: str) -> SeedstreamProcess:
            process = start_seedstream(
                *("work", "--model", str(tiny_model), "--provider", "cpu", "--mode", "complete"),
                *("--topic", topic, "--dead-topic", f"{topic}.dead", "--group", topic),
                *("--bootstrap-servers", kafka.bootstrap_servers),
                *("--redis-url", redis_server.url, "--http-port", "0"),
                *("--intra-op-threads", "1", *options),
                log_path=tmp_path / "worker.log",
                env={"OMP_NUM_THREADS": "1"},
            )
            stack.callback(process.kill)
            return process

        yield worker


def the_frame_itself(kafka: Broker, topic: str, position: tuple[int, int]) -> Frame:
    """Read the record that a result names."""
    partition, number = position
    with contextlib.closing(KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)) as consumer:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, number)
        found = {}
        deadline = time.monotonic() + 20
        while not found and time.monotonic() < deadline:
            found = consumer.poll(timeout_ms=500, max_records=1)
        ((record,),) = found.values()
        assert record.offset == number
        return decode_frame(record.key, record.value, record.headers, max_bytes=MAX_RECORD_BYTES)


@pytest.mark.parametrize("kind", [JPEG, I420])
def test_each_picture_of_a_watched_camera_is_the_very_frame_of_its_result(
    kind: str,
    kafka: Broker,
    topic: str,
    send: Callable[[Frame], None],
    client: "redis.Redis",
    start: Callable[..., SeedstreamProcess],
    unique_name: Callable[[str], str],
) -> None:
    camera, unwatched = unique_name("gate"), unique_name("yard")
    client.set(KEYS.watch(camera), SHOWN_WIDTH, ex=150)
    pairs: list[Preview] = []
    with start() as worker, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(KEYS.previews_channel(camera), KEYS.previews_channel(unwatched))
        for number in range(FRAMES):
            send(frame_of(camera, number, kind))
            send(frame_of(unwatched, number, kind))
            if listener.get_message(timeout=0.1):
                pairs.append(decode_preview(client.get(KEYS.preview(camera))))

        def whole() -> bool:
            if listener.get_message(timeout=0.1):
                pairs.append(decode_preview(client.get(KEYS.preview(camera))))
            return all(len(read_results(client, each)) == FRAMES for each in (camera, unwatched))

        wait_until(whole, 90, "a result of each frame")
        pairs.append(decode_preview(client.get(KEYS.preview(camera))))
        made = {
            reason: worker.metric("seedstream_previews_total", reason=reason)
            for reason in ("watched", "idle", "failed")
        }
        assert worker.stop(60) == 0
    results = {each.sequence: each for each in read_results(client, camera)}
    assert len({pair.result().sequence for pair in pairs}) >= 5
    widths: dict[int, int] = {}
    for pair in pairs:
        result = pair.result()
        assert result == results[result.sequence], "the document as it was stored"
        assert number_on(pair.jpeg) == result.sequence, "the picture of that very frame"
        height, widths[result.sequence] = simplejpeg.decode_jpeg_header(pair.jpeg)[:2]
        assert height / widths[result.sequence] == HEIGHT / WIDTH
    first, *others = (widths[sequence] for sequence in sorted(widths))
    # The first one may be made before the worker knows that somebody looks.
    assert first in (SHOWN_WIDTH, DEFAULT_WIDTH)
    assert set(others) == {SHOWN_WIDTH}
    for number in (0, FRAMES - 1):
        position = results[number].position
        assert position is not None
        frame = the_frame_itself(kafka, topic, position)
        assert (frame.session, frame.sequence) == (results[number].session, number)
        assert frame.data == frame_of(camera, number, kind).data
    assert made["failed"] == 0
    assert made["watched"] >= 5
    passed = results[FRAMES - 1].processed_at - results[0].processed_at
    assert 1 <= made["idle"] <= 3 + passed.total_seconds() / 10, "nobody looks at the other one"
    idle = decode_preview(client.get(KEYS.preview(unwatched)))
    assert number_on(idle.jpeg) == idle.result().sequence
    minutes = read_minutes(client.hgetall(KEYS.minutes(camera)))
    assert sum(each.frames for each in minutes) == FRAMES
    assert sum(count.total for each in minutes for count in each.classes.values()) == sum(
        len(result.instances) for result in results.values()
    )


def test_without_previews_there_is_none_though_somebody_looks(
    send: Callable[[Frame], None],
    client: "redis.Redis",
    start: Callable[..., SeedstreamProcess],
    unique_name: Callable[[str], str],
) -> None:
    camera = unique_name("gate")
    client.set(KEYS.watch(camera), SHOWN_WIDTH, ex=150)
    with start("--no-preview") as worker:
        for number in range(3):
            send(frame_of(camera, number, JPEG))
        wait_until(lambda: len(read_results(client, camera)) == 3, 60, "results")
        assert worker.metric("seedstream_stage_seconds_count", stage="preview") == 0
        assert worker.stop(60) == 0
    assert client.get(KEYS.preview(camera)) is None
