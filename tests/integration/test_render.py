from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest
import redis
import simplejpeg
from kafka import KafkaProducer
from PIL import Image
from pydantic import SecretStr

from contract.errors import ConfigurationError
from contract.frame import Frame, encode_frame, new_session
from contract.mask import encode_mask
from contract.result import (
    DOCUMENT_FIELD,
    Instance,
    ModelReference,
    Result,
    encode_result,
    stream_id,
)
from contract.settings import load_settings
from stack.broker import Broker
from stack.redis_server import RedisServer
from tests.default_keys import KEYS
from tests.fakes import SESSION
from tests.redis_cluster import RedisCluster
from viewer.colors import PALETTE, track_color
from viewer.history import JoinCounts, frame_id, join
from viewer.rendering import run
from viewer.settings import ViewerSettings

HEIGHT, WIDTH = 90, 121  # odd, so that the video must pad


def make_frame(camera: str, sequence: int, session: str) -> Frame:
    image = np.full((HEIGHT, WIDTH, 3), 10 * sequence, np.uint8)
    return Frame(
        camera=camera,
        session=session,
        sequence=sequence,
        captured_at=datetime.now(UTC) + timedelta(seconds=sequence / 10),
        width=WIDTH,
        height=HEIGHT,
        data=simplejpeg.encode_jpeg(image, quality=95),
    )


def make_result(frame: Frame, count: int) -> Result:
    mask = encode_mask(np.ones((20, 20), np.bool_), (HEIGHT, WIDTH), (30, 40))
    one = Instance(1, "person", 0.9, (30, 40, 20, 20), (40.0, 50.0), 400, mask)
    return Result(
        camera=frame.camera,
        session=frame.session,
        sequence=frame.sequence,
        captured_at=frame.captured_at,
        processed_at=frame.captured_at,
        width=WIDTH,
        height=HEIGHT,
        model=ModelReference("street", "1", "0"),
        latency_seconds=0.0,
        instances=[one] * count,
    )


@pytest.fixture
def settings(
    kafka: Broker, redis_server: RedisServer, unique_name: Callable[[str], str], tmp_path: Path
) -> ViewerSettings:
    topic, camera = unique_name("frames"), unique_name("camera")
    kafka.create_topic(topic, 3)
    return ViewerSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        redis_url=redis_server.url,
        topic=topic,
        camera=camera,
        out=tmp_path / "out",
        idle_timeout_seconds=1.0,
    )


def publish(settings: ViewerSettings, frames: list[Frame]) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    for frame in frames:
        key, value, headers = encode_frame(frame)
        producer.send(settings.topic, key=key, value=value, headers=headers)
    producer.flush(timeout=20)
    producer.close()


def store(settings: ViewerSettings, results: list[Result]) -> None:
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        for result in results:
            fields = {DOCUMENT_FIELD: encode_result(result)}
            client.xadd(KEYS.results(result.camera), fields, id=stream_id(result))
            client.expire(KEYS.results(result.camera), 60)
            client.zadd(KEYS.cameras, {result.camera: 1.0})


def test_a_camera_is_read_back_as_video_and_picture(
    settings: ViewerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settings.camera is not None
    session = new_session()
    frames = [make_frame(settings.camera, number, session) for number in range(12)]
    others = [replace(frame, camera=f"other-{settings.camera}") for frame in frames]
    publish(settings, [frame for pair in zip(frames, others, strict=True) for frame in pair])
    # Frame 3 was skipped by the worker; frame 7 has the most instances; Kafka has lost frame 12.
    known = [*frames, make_frame(settings.camera, 12, session)]
    store(settings, [make_result(f, 2 if f.sequence == 7 else 1) for f in known if f.sequence != 3])

    assert run(settings) == 0
    said = capsys.readouterr().out
    assert "11 frames" in said
    assert said.endswith("; frames without a result: 1; results without a frame: 1\n")
    with av.open(str(settings.out / f"{settings.camera}.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        assert len(shown) == 11
        assert shown[0].shape == (HEIGHT, WIDTH + 1, 3)
    picture = np.asarray(Image.open(settings.out / f"{settings.camera}.png"))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert abs(int(picture[80, 10, 0]) - 70) <= 3  # the background of frame 7
    assert tuple(picture[50, 40]) != tuple(picture[80, 10])
    left_over = {each.name for each in settings.out.iterdir()}
    assert left_over == {f"{settings.camera}.mp4", f"{settings.camera}.png"}


def walking(frame: Frame, track: int) -> Result:
    """The result of a frame in which someone of a track walks to the right, along row 60."""
    left = 10 + 5 * frame.sequence
    mask = encode_mask(np.ones((20, 10), np.bool_), (HEIGHT, WIDTH), (left, 40))
    one = Instance(
        1, "person", 0.9, (left, 40, 10, 20), (left + 5.0, 50.0), 200, mask,
        track=track, age_seconds=frame.sequence / 10, velocity=(50.0, 0.0), confirmed=True,
    )  # fmt: skip
    return msgspec.structs.replace(
        make_result(frame, 0), instances=[one] * (1 + (frame.sequence == 11))
    )


def test_a_track_is_shown_by_its_colour_and_a_trail_unless_that_is_switched_off(
    settings: ViewerSettings,
) -> None:
    assert settings.camera is not None
    session, track = new_session(), 1_796_000_000_123
    frames = [make_frame(settings.camera, number, session) for number in range(12)]
    publish(settings, frames)
    store(settings, [walking(frame, track) for frame in frames])

    pictures = []
    for shown in (True, False):
        assert run(settings.model_copy(update={"track": shown})) == 0
        pictures.append(np.asarray(Image.open(settings.out / f"{settings.camera}.png")).astype(int))
    tracked, plain = pictures
    left = 10 + 5 * 11
    assert tuple(tracked[50, left]) == track_color(track)
    assert tuple(plain[50, left]) in PALETTE
    trail = np.abs(tracked[60, 20:60] - plain[60, 20:60]).sum(axis=1)
    assert (trail > 0).all(), "where the feet were"
    assert trail[-10:].mean() > 1.3 * trail[:10].mean(), "it fades"
    assert np.array_equal(tracked[80:], plain[80:])


def test_one_frame_is_shown_alone(
    settings: ViewerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settings.camera is not None
    session = new_session()
    made = [make_frame(settings.camera, number, session) for number in range(12)]
    # No record is older than its frame, by Kafka's time of it.
    frames = [replace(each, captured_at=each.captured_at - timedelta(seconds=9)) for each in made]
    publish(settings, frames)
    store(settings, [make_result(frame, 1) for frame in frames])
    wanted = {"frame": f"{session}/7", "last_seconds": 0.1}  # that long before it counts not
    assert run(settings.model_copy(update=wanted)) == 0
    assert f"{settings.camera}: 1 frames" in capsys.readouterr().out
    picture = np.asarray(Image.open(settings.out / f"{settings.camera}.png"))
    assert abs(int(picture[80, 10, 0]) - 70) <= 3  # the background of frame 7
    assert run(settings.model_copy(update={"frame": f"{session}/99"})) == 1
    assert "nothing to show" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("frame", "camera", "said"),
    [
        ("7", "gate", "expected SESSION/SEQUENCE"),
        (f"{SESSION}/x", "gate", "expected SESSION/SEQUENCE"),
        (f"{SESSION}/7", None, "expected the camera, too"),
    ],
    ids=["no session", "no number", "no camera"],
)
def test_what_is_no_frame_of_a_camera_is_refused(frame: str, camera: str | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"VIEWER_FRAME .*{said}"):
        load_settings(ViewerSettings, frame=frame, camera=camera)


def test_a_camera_without_results_is_said_and_fails(
    settings: ViewerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings) == 1
    assert "nothing to show" in capsys.readouterr().out
    assert not settings.out.exists()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({DOCUMENT_FIELD: b'{"schema": 1, "camera": 7}'}, "not a result document"),
        ({DOCUMENT_FIELD: b"\xff"}, "not a result document"),
        ({"other": b"{}"}, f"has no field '{DOCUMENT_FIELD}'"),
    ],
)
def test_what_is_no_result_is_named_with_its_place(
    settings: ViewerSettings, capsys: pytest.CaptureFixture[str], fields: Any, fault: str
) -> None:
    assert settings.camera is not None
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.xadd(KEYS.results(settings.camera), fields, id="7-1")
        client.expire(KEYS.results(settings.camera), 60)
    assert run(settings) == 1
    said = capsys.readouterr().out
    assert f"{KEYS.results(settings.camera)} in Redis, entry 7-1: {fault}" in said


def test_results_whose_frames_have_gone_leave_no_file(settings: ViewerSettings) -> None:
    assert settings.camera is not None
    store(settings, [make_result(make_frame(settings.camera, 1, new_session()), 1)])
    assert run(settings) == 1
    assert list(settings.out.iterdir()) == []


def sequence_of(session: str, *numbers: int) -> list[Frame]:
    return [make_frame("a", number, session) for number in numbers]


def test_frames_and_results_are_joined_by_session_and_sequence() -> None:
    first, second = new_session(), new_session(not_before_ms=2_000_000_000_000)
    frames = [*sequence_of(first, 0, 1, 2, 5), *sequence_of(second, 0, 1)]
    results = [make_result(f, 0) for f in [frames[1], *sequence_of(first, 3), frames[3], frames[5]]]
    counts = JoinCounts()
    pairs = list(join(frames, results, map(frame_id, results), counts))
    assert [frame for frame, _ in pairs] == [frames[1], frames[3], frames[5]]
    assert all(frame.sequence == result.sequence for frame, result in pairs)
    assert counts == JoinCounts(joined=3, frames_without_result=3, results_without_frame=1)


def test_a_frame_that_kafka_has_twice_is_shown_once() -> None:
    frames = sequence_of(new_session(), 0, 0, 1)
    results = [make_result(frame, 0) for frame in frames[1:]]
    assert len(list(join(frames, results, map(frame_id, results), JoinCounts()))) == 2


def test_a_session_older_by_its_clock_is_joined_where_it_came() -> None:
    first, second = new_session(not_before_ms=2_000_000_000_000), new_session()
    frames = [*sequence_of(first, 0, 1), *sequence_of(second, 0, 1), *sequence_of(first, 2)]
    results = [make_result(frame, 0) for frame in (frames[0], *frames[2:])]
    counts = JoinCounts()
    pairs = list(join(frames, results, map(frame_id, results), counts))
    assert [frame for frame, _ in pairs] == [frames[0], *frames[2:]]
    assert counts == JoinCounts(joined=4, frames_without_result=1, results_without_frame=0)


def test_the_join_reads_no_further_than_the_last_result() -> None:
    frames = iter(sequence_of(new_session(), 0, 1, 2))
    one = next(frames)
    pairs = list(join([one], [make_result(one, 0)], [frame_id(one)], JoinCounts()))
    assert len(pairs) == 1
    assert len(list(frames)) == 2


def test_cameras_on_every_node_of_a_cluster_are_read_by_an_acl_user(
    settings: ViewerSettings, redis_cluster: RedisCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    frames = [make_frame(camera, n, new_session()) for camera in cameras for n in range(3)]
    publish(settings, frames)
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        client.delete(KEYS.cameras)  # other tests' cameras, whose frames are not in Kafka
        for frame in frames:
            fields = {DOCUMENT_FIELD: encode_result(make_result(frame, 1))}
            client.xadd(KEYS.results(frame.camera), fields, id=stream_id(frame))
            client.zadd(KEYS.cameras, {frame.camera: 1.0})
    for node in redis_cluster.clients:
        node.acl_setuser(
            "reader", enabled=True, passwords=["+p@ss"], keys=["seedstream:*"],
            categories=["+@read", "+@connection"], commands=["+cluster"],
        )  # fmt: skip
    reader = settings.model_copy(
        update={
            "redis_url": SecretStr(redis_cluster.url),
            "redis_cluster": True,
            "redis_username": "reader",
            "redis_password": SecretStr("p@ss"),
            "camera": None,
        }
    )
    assert run(reader) == 0
    said = capsys.readouterr().out
    assert [f"{camera}: 3 frames" in said for camera in cameras] == [True] * 3, said
    wrong = reader.model_copy(update={"redis_password": SecretStr("guess")})
    with pytest.raises(ConfigurationError, match="VIEWER_REDIS_PASSWORD"):
        run(wrong)
