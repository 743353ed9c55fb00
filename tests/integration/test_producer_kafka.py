"""The producer process against a real Kafka: nothing lost, nothing doubled, everything counted."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from kafka import KafkaConsumer

from contract.frame import Frame, decode_frame
from contract.process import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_OK
from contract.samples import NOTHING
from producer.metrics import DROP_REASONS
from producer.scene import Scene
from stack.broker import Broker, admin_client
from stack.frame_ledger import CameraLedger, read_topic, topic_ends
from stack.jars import missing_programs
from stack.kafka_server import start_kafka
from stack.launch import free_ports
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.fakes import wait_until
from tests.scenes import write_video

Names = Callable[[str], str]
CAPTURED = "seedstream_frames_captured_total"
PUBLISHED = "seedstream_frames_published_total"
DROPPED = "seedstream_frames_dropped_total"
IN_FLIGHT = "seedstream_frames_in_flight"


@pytest.fixture
def topic(kafka: Broker, unique_name: Names) -> str:
    name = unique_name("frames")
    kafka.create_topic(name, 3)
    return name


def produce(
    folder: Path, broker: str, topic: str, *options: str, **settings: object
) -> SeedstreamProcess:
    given = {"bootstrap_servers": broker, "topic": topic, "http_port": 0, "http_host": "127.0.0.1"}
    return start_seedstream(
        "produce",
        *options,
        log_path=folder / f"produce-{len(list(folder.iterdir()))}.log",
        settings=given | settings,
        env={"OMP_NUM_THREADS": "1"},
    )


def read(broker: str, topic: str) -> dict[str, list[Frame]]:
    """Read the whole topic; return each camera's frames in the order of the topic."""
    frames: dict[str, list[Frame]] = {}
    consumer = KafkaConsumer(bootstrap_servers=broker, max_partition_fetch_bytes=16 << 20)
    with closing(consumer):
        for record in read_topic(consumer, topic_ends(consumer, topic)):
            frame = decode_frame(record.key, record.value, record.headers, max_bytes=16 << 20)
            frames.setdefault(frame.camera, []).append(frame)
    return frames


def sequences(frames: list[Frame]) -> list[int]:
    return [frame.sequence for frame in frames]


def write_list(folder: Path, text: str) -> str:
    path = folder / "cameras.yaml"
    path.write_text(text)
    return str(path)


def check_ledger(process: SeedstreamProcess, camera: str) -> None:
    """Wait until captured = published + dropped + in flight, read at one moment."""

    def closes() -> bool:
        values = process.metrics()
        if values is None:
            return False
        ledger = CameraLedger.from_metrics(camera, values, NOTHING)
        return ledger.published > 0 and ledger.unpublished == values.total(IN_FLIGHT, camera=camera)

    wait_until(closes, 20, "captured = published + dropped + in flight")


def test_every_frame_of_a_file_arrives_once_in_order_with_its_headers(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    scene = Scene(width=320, height=240, fps=10, seed=3)
    clip = write_video(tmp_path / "clip.mp4", scene, 120)
    path = write_list(
        tmp_path,
        "defaults: {pace: fast}\n"
        "cameras:\n"
        f"  - {{id: clip, url: {clip}}}\n"
        "  - {id: scene, url: 'test:?size=320x240&frames=80&seed=3', when_full: wait}\n"
        f"  - {{id: slow, url: {clip}, fps: 5, max_side: 160}}\n",
    )
    with produce(tmp_path, kafka.bootstrap_servers, topic, "--config", path) as process:
        assert process.wait(60) == EXIT_OK, process.text()
    frames = read(kafka.bootstrap_servers, topic)
    assert sequences(frames["clip"]) == list(range(120))
    assert sequences(frames["scene"]) == list(range(80))
    assert len(frames["slow"]) == pytest.approx(60, abs=2)
    assert sequences(frames["slow"]) == sorted(set(sequences(frames["slow"])))
    first = frames["slow"][0]
    assert (first.width, first.height) == (160, 120)
    assert abs(time.time() - first.captured_at.timestamp()) < 60
    for camera in ("clip", "scene"):
        seen = np.asarray(simplejpeg.decode_jpeg(frames[camera][40].data), float)
        assert np.abs(seen - scene.render(40)[0]).mean() < 10


def test_sigterm_flushes_and_ends_with_zero_and_every_frame_is_accounted_for(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    cameras = [f"--camera=cam{number}=test:?size=160x120&fps=25&seed={number}" for number in "123"]
    # Room for four seconds: a slow start of the broker's client must not drop any.
    options = [*cameras, "--config", write_list(tmp_path, "defaults: {buffer_frames: 100}\n")]
    with produce(tmp_path, kafka.bootstrap_servers, topic, *options) as process:
        process.wait_until_ready()
        wait_until(lambda: process.metric(PUBLISHED, camera="cam1") >= 20, 30, "20 frames")
        check_ledger(process, "cam2")
        assert process.get("/healthz")[0] == 200
        assert process.metric("seedstream_camera_up") == 3
        published = process.metric(PUBLISHED, camera="cam3")
        assert process.stop(20) == EXIT_OK, process.text()
        assert "all frames are published" in process.text()
    frames = read(kafka.bootstrap_servers, topic)
    for number in "123":
        seen = sequences(frames[f"cam{number}"])
        assert seen == list(range(len(seen)))
    assert len(frames["cam3"]) >= published


def test_a_frame_cap_and_a_limit_hold_in_the_process(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    arguments = ("--camera=a=test:?size=160x120&fps=50", "--fps=10", "--max-frames=100")
    with produce(tmp_path, kafka.bootstrap_servers, topic, *arguments) as process:
        assert process.wait(60) == EXIT_OK, process.text()
    assert 19 <= len(read(kafka.bootstrap_servers, topic)["a"]) <= 22


def test_one_bad_camera_among_good_ones_fails_the_exit_code_but_not_the_others(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    (tmp_path / "torn.mp4").write_bytes(os.urandom(4000))
    arguments = (
        # Room for all its frames: a busy machine must not drop any.
        *("--config", write_list(tmp_path, "defaults: {buffer_frames: 40}\n")),
        "--camera=good=test:?size=160x120&fps=50&frames=40",
        "--camera=missing=nowhere.mp4",
        f"--camera=torn={tmp_path / 'torn.mp4'}",
    )
    with produce(tmp_path, kafka.bootstrap_servers, topic, *arguments) as process:
        assert process.wait(60) == EXIT_FAILED, process.text()
        text = process.text()
    assert len(read(kafka.bootstrap_servers, topic)["good"]) == 40
    assert "camera missing: nowhere.mp4: cannot open: No such file or directory" in text
    assert "camera torn: " in text
    assert "cameras that failed: missing, torn" in text


def test_while_kafka_is_frozen_live_cameras_drop_with_a_count_and_go_on_after(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    arguments = ("--camera=live=test:?size=160x120&fps=50", "--sends-in-flight=8")
    with produce(tmp_path, kafka.bootstrap_servers, topic, *arguments) as process:
        wait_until(lambda: process.metric(PUBLISHED) >= 10, 30, "10 frames")
        kafka.signal(signal.SIGSTOP)
        try:
            wait_until(
                lambda: process.metric(DROPPED, camera="live", reason="buffer_full") >= 20,
                20,
                "dropped frames while Kafka is frozen",
            )
            assert process.get("/healthz")[0] == 200
        finally:
            kafka.signal(signal.SIGCONT)
        before = process.metric(PUBLISHED)
        wait_until(lambda: process.metric(PUBLISHED) >= before + 50, 30, "frames after the thaw")
        check_ledger(process, "live")
        assert process.stop(20) == EXIT_OK, process.text()
    seen = sequences(read(kafka.bootstrap_servers, topic)["live"])
    assert seen == sorted(set(seen))


def test_while_kafka_is_frozen_a_file_waits_and_loses_no_frame(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    path = write_list(
        tmp_path,
        "cameras:\n"
        "  - {id: clip, url: 'test:?size=160x120&fps=200&frames=1000', when_full: wait}\n",
    )
    arguments = ("--config", path, "--sends-in-flight=8")
    with produce(tmp_path, kafka.bootstrap_servers, topic, *arguments) as process:
        wait_until(lambda: process.metric(PUBLISHED) >= 50, 30, "50 frames")
        kafka.signal(signal.SIGSTOP)
        try:
            captured = [process.metric(CAPTURED)]

            def waits() -> bool:
                captured.append(process.metric(CAPTURED))
                return len(captured) > 20 and captured[-1] == captured[-20]

            wait_until(waits, 20, "the reader waits")
        finally:
            kafka.signal(signal.SIGCONT)
        assert process.wait(60) == EXIT_OK, process.text()
    assert sequences(read(kafka.bootstrap_servers, topic)["clip"]) == list(range(1000))


def test_a_broker_that_forgot_everything_gets_frames_again(
    tmp_path: Path, unique_name: Names
) -> None:
    if missing_programs():
        pytest.skip("no Java or Maven here")
    port, name = free_ports(1)[0], unique_name("frames")
    with start_kafka(port, folder=tmp_path / "first") as broker:
        broker.create_topic(name, 2)
        arguments = ("--camera=live=test:?size=160x120&fps=20", "--request-timeout-seconds=2")
        with produce(tmp_path, broker.bootstrap_servers, name, *arguments) as process:
            wait_until(lambda: process.metric(PUBLISHED) >= 20, 30, "20 frames")
            broker.stop()
            with start_kafka(port, folder=tmp_path / "second") as again:
                again.create_topic(name, 2)
                before = process.metric(PUBLISHED)
                wait_until(lambda: process.metric(PUBLISHED) >= before + 100, 40, "100 more")
                check_ledger(process, "live")
                assert process.stop(20) == EXIT_OK, process.text()
                seen = sequences(read(again.bootstrap_servers, name)["live"])
    assert len(seen) >= 100


def test_frames_above_the_topics_limit_cost_the_other_cameras_nothing(
    kafka: Broker, unique_name: Names, tmp_path: Path
) -> None:
    topic = unique_name("mebibyte")
    configs = {"max.message.bytes": str(1 << 20)}
    with admin_client(kafka.bootstrap_servers, 20.0) as client:
        client.create_topics(
            {topic: {"num_partitions": 2, "replication_factor": 1, "configs": configs}},
            wait_for_metadata=True,
        )
    path = write_list(
        tmp_path,
        "defaults: {when_full: wait, pace: fast}\n"
        "cameras:\n"
        "  - {id: small, url: 'test:?size=160x120&frames=1500'}\n"
        "  - {id: huge, url: 'test:?size=1600x1200&frames=30', encoding: i420}\n"
        "  - {id: large, url: 'test:?size=1024x768&frames=30', encoding: i420}\n",
    )
    with produce(tmp_path, kafka.bootstrap_servers, topic, "--config", path) as process:
        assert process.wait(120) == EXIT_OK, process.text()
        text = process.text()
    frames = read(kafka.bootstrap_servers, topic)
    assert sorted(set(sequences(frames["small"]))) == list(range(1500))
    assert not frames.keys() - {"small"}
    assert f"raise max.message.bytes of topic '{topic}'" in text
    assert "replacing the Kafka client" in text


def test_a_certificate_file_of_garbage_ends_the_process_at_once_with_two(tmp_path: Path) -> None:
    garbage = tmp_path / "authority.pem"
    garbage.write_text("garbage")
    tls = {"security_protocol": "SSL", "ssl_cafile": garbage}
    with produce(tmp_path, "127.0.0.1:1", "frames", "--camera=a=test:", **tls) as process:
        assert process.wait(20) == EXIT_CONFIGURATION
        assert f"PRODUCER_SSL_CAFILE is {garbage}" in process.text()
        assert "Traceback" not in process.text()


def test_kafka_away_at_the_start_is_a_clear_error_within_the_bound(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    began = time.monotonic()
    with produce(
        tmp_path, address, "frames", "--camera=a=test:", kafka_timeout_seconds=2
    ) as process:
        assert process.wait(30) == EXIT_FAILED
        assert f"cannot reach Kafka at {address}" in process.text()
        assert "Traceback" not in process.text()
    assert time.monotonic() - began < 15


def test_a_topic_that_does_not_exist_is_a_clear_error(
    kafka: Broker, unique_name: Names, tmp_path: Path
) -> None:
    topic = unique_name("absent")
    with produce(
        tmp_path, kafka.bootstrap_servers, topic, "--camera=a=test:", kafka_timeout_seconds=2
    ) as process:
        assert process.wait(40) == EXIT_FAILED
        assert f"no topic '{topic}'" in process.text()


def test_a_stop_during_the_wait_for_kafka_ends_at_once_with_zero(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with produce(tmp_path, address, "frames", "--camera=a=test:") as process:
        process.wait_until(lambda: process.port, 30, "no port in its log")
        assert process.get("/readyz")[0] == 503
        assert process.stop(15) == EXIT_OK, process.text()


def test_kafka_that_never_comes_back_ends_the_process_with_one(
    tmp_path: Path, unique_name: Names
) -> None:
    if missing_programs():
        pytest.skip("no Java or Maven here")
    name = unique_name("frames")
    limits = ("--request-timeout-seconds=1", "--delivery-timeout-seconds=4", "--drain-seconds=2")
    with start_kafka() as broker:
        broker.create_topic(name, 1)
        arguments = ("--camera=a=test:?size=160x120&fps=20", *limits)
        with produce(tmp_path, broker.bootstrap_servers, name, *arguments) as process:
            wait_until(lambda: process.metric(PUBLISHED) >= 5, 30, "5 frames")
            broker.stop()
            assert process.wait(30) == EXIT_FAILED
            assert "acknowledged nothing for" in process.text()


def test_wrong_settings_and_cameras_are_listed_at_once_and_end_with_two(tmp_path: Path) -> None:
    path = write_list(
        tmp_path,
        "cameras:\n"
        "  - {id: a, url: 'srt://u:hunter2@h:9000', fps: 0}\n"
        "  - {id: a, url: 'rtsp://u:hunter2@h/', colour: red}\n",
    )
    with produce(
        tmp_path, "127.0.0.1:1", "frames", "--config", path, "--camera", "wrong"
    ) as process:
        assert process.wait(30) == EXIT_CONFIGURATION
        text = process.text()
    for expected in (
        "fps: Input should be greater than 0",
        "colour: Extra inputs",
        "the id is used 2",
        "--camera, number 1: expected ID=URL",
    ):
        assert expected in text
    assert "hunter2" not in text
    assert "Traceback" not in text


def ffmpeg_has_srt() -> bool:
    try:
        av.open("srt://127.0.0.1:0", timeout=(1.0, 1.0)).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError):
        return True
    return True


@pytest.mark.skipif(ffmpeg_has_srt(), reason="this FFmpeg build has SRT")
def test_a_protocol_that_ffmpeg_lacks_is_a_clear_error(tmp_path: Path) -> None:
    with produce(
        tmp_path, "127.0.0.1:1", "frames", "--camera=a=srt://127.0.0.1:9000", "--camera=b=test:"
    ) as process:
        code = process.wait(60)
        text = process.text()
    assert code == EXIT_CONFIGURATION
    assert "camera a: this FFmpeg build" in text
    assert "has no support for srt" in text


def test_no_page_of_the_process_tells_a_password(kafka: Broker, topic: str, tmp_path: Path) -> None:
    url = f"rtsp://admin:hunter2@127.0.0.1:{free_ports(1)[0]}/hunter2/s?p=hunter2"
    with produce(
        tmp_path, kafka.bootstrap_servers, topic, f"--camera=a={url}", "--log-level=DEBUG"
    ) as process:
        process.wait_until_ready()
        wait_until(lambda: process.metric("seedstream_camera_reconnects_total") >= 1, 20, "a try")
        pages = [process.get(page)[1] for page in ("/metrics", "/healthz", "/readyz")]
        assert process.stop(20) == EXIT_OK
        assert "rtsp://127.0.0.1:" in process.text()
        assert "hunter2" not in process.text() + "".join(pages)


def test_every_drop_reason_is_shown_from_the_start(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    with produce(
        tmp_path, kafka.bootstrap_servers, topic, "--camera=a=test:?size=64x64"
    ) as process:
        process.wait_until_ready()
        page = process.get("/metrics")[1]
        assert process.stop(20) == EXIT_OK
    for reason in DROP_REASONS:
        assert f'{DROPPED}{{camera="a",lane="main",reason="{reason}"}} 0.0' in page
    assert "_created" not in page
