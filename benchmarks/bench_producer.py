"""What the producer adds to decoding and encoding, and what passing on JPEGs saves.

``python -m benchmarks.bench_producer [FRAMES ROUNDS]``: a clip of 1920x1080 in H.264 through the
camera's runner, the outbox and the publisher into a real Kafka, against PyAV, the same conversion
and simplejpeg alone on the same cores; and the processor time of a motion JPEG that is passed on,
against decoding and encoding it again. Both sides take turns within one run, and in who is first,
since other processes may share the cores.

Kafka's broker is no part of a producer, yet it works on this machine: what the producer adds is
measured on one core, on which both ways run while the broker has another. The second pair of
columns is the whole machine, broker and producer sharing all of it.
"""

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path

import av
import cv2
import numpy as np
import simplejpeg
from av.codec.context import CodecContext
from prometheus_client import CollectorRegistry

from benchmarks.environment import RESULTS, ROOT, describe
from producer.camera_list import load_cameras
from producer.cameras import Camera
from producer.encoding import PictureEncoder, luma_of
from producer.metrics import ProducerMetrics
from producer.motion_gate import MotionGate, MotionSettings, small
from producer.outbox import Outbox
from producer.pass_through import JpegPassage
from producer.publisher import Publisher
from producer.runner import CameraRunner
from producer.scene import Scene
from producer.sender import KafkaSender
from producer.settings import ProducerSettings
from producer.sources import AvSource
from producer.watchdog import Watchdog
from stack.broker import Broker
from stack.kafka_server import start_kafka

WIDTH, HEIGHT, FPS = 1920, 1080, 25
FRAMES, ROUNDS = 1000, 7
"""Connecting to Kafka takes some 100 ms of processor time, once: ten seconds dilute it."""
WARM_FRAMES = 1200
"""Java compiles what it runs often: until then a broker takes twice the time."""
TICK_SECONDS = 0.05
"""Between two looks at the cameras, more often than in a producer: the end shows at once."""
PICTURES = 40
WAIT_SECONDS = 300.0
CLIP = ROOT.parent / "shared" / "data" / "video" / "opencv_vtest_576p_80s.avi"


def pictures() -> Iterator[np.ndarray]:
    """Yield frames of a real street, scaled up, or of the synthetic scene where it is absent."""
    if CLIP.exists():
        with av.open(str(CLIP)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT)
    else:
        scene = Scene(width=WIDTH, height=HEIGHT, fps=FPS, objects=20)
        yield from (scene.render(number)[0] for number in range(PICTURES))


def write_clip(path: Path, frames: int) -> None:
    """Write H.264 as cameras send it: no B frames, a key frame every two seconds."""
    some = list(islice(pictures(), PICTURES))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = 2 * FPS
        stream.options = {"preset": "veryfast", "crf": "25", "bf": "0"}
        back_and_forth = cycle(some + some[-2:0:-1])
        for image in islice(back_and_forth, frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def camera(url: str) -> Camera:
    """Return the camera of a clip that is read as fast as possible."""
    return load_cameras(ProducerSettings(), [f"bench={url}"], {})[0].model_copy(
        update={"pace": "fast"}
    )


def alone(clip: Path) -> float:
    """Return frames per second of decoding and encoding without any producer around it."""
    source, encoder = AvSource(camera(str(clip)), lambda: None), PictureEncoder(camera(str(clip)))
    began, count = time.perf_counter(), 0
    for picture in source.pictures():
        encoder.encode(picture.image)  # type: ignore[union-attr]
        count += 1
    source.close()
    return count / (time.perf_counter() - began)


def through_kafka(clip: Path, broker: Broker) -> float:
    """Return frames per second from the clip to Kafka's last acknowledgement."""
    settings = ProducerSettings(bootstrap_servers=broker.bootstrap_servers, topic="bench")
    metrics = ProducerMetrics(CollectorRegistry())
    outbox = Outbox(lambda frame, reason: metrics.drop(frame.camera, reason))
    publisher = Publisher(settings, outbox, lambda: KafkaSender(settings), metrics, time.monotonic)
    stop = threading.Event()
    runner = CameraRunner(camera(str(clip)), outbox, metrics, time.monotonic, stop)
    watchdog = Watchdog([runner], metrics, time.monotonic, stop)
    publisher.start(KafkaSender(settings))
    began = time.perf_counter()
    watchdog.start()
    while not watchdog.finished and time.perf_counter() - began < WAIT_SECONDS:
        stop.wait(TICK_SECONDS)
        watchdog.tick()
    complete = publisher.stop(WAIT_SECONDS)
    took = time.perf_counter() - began
    watchdog.stop(1.0)
    published = metrics.published.labels("bench")._value.get()
    if not complete or not published:
        raise SystemExit("frames were lost: see the log above")
    return float(published) / took


def seconds_each(work: Callable[[bytes], object], jpegs: list[bytes]) -> float:
    """Return processor seconds a picture, of this thread."""
    began = time.thread_time()
    for data in jpegs:
        work(data)
    return (time.thread_time() - began) / len(jpegs)


def motion_jpeg(rounds: int) -> dict[str, float]:
    """Return milliseconds of processor time a picture, medians over the rounds."""
    jpegs = [simplejpeg.encode_jpeg(image, quality=90) for image in islice(pictures(), PICTURES)]
    listed = camera("http://h/v")
    context, encoder = CodecContext.create("mjpeg", "r"), PictureEncoder(listed)
    context.thread_count = 1
    passage, gated = JpegPassage(listed), JpegPassage(listed.model_copy(update={"motion": {}}))
    gate = MotionGate(MotionSettings())

    def again(data: bytes) -> None:
        encoder.encode(context.decode(av.Packet(data))[0])

    def gated_pass(data: bytes) -> None:
        passed = gated.take(data)
        assert passed is not None
        assert passed.luma is not None
        gate.judge(small(passed.luma), 0.0)

    def gated_again(data: bytes) -> None:
        frame = context.decode(av.Packet(data))[0]
        gate.judge(small(luma_of(frame)), 0.0)
        encoder.encode(frame)

    ways: dict[str, Callable[[bytes], object]] = {
        "decode and encode": again,
        "pass on": passage.take,
        "decode and encode, motion gate": gated_again,
        "pass on, motion gate": gated_pass,
    }
    for work in ways.values():  # loads libraries; a new camera's pictures are all decoded
        seconds_each(work, jpegs)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            times[name].append(seconds_each(work, jpegs) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


@contextmanager
def apart(broker: Broker) -> Iterator[None]:
    """Give this thread, and those that it starts, one core, and the broker another."""
    ours = os.sched_getaffinity(0)
    first, second, *_ = sorted(ours)

    def move(own: set[int], the_brokers: set[int]) -> None:
        os.sched_setaffinity(0, own)
        for each in Path(f"/proc/{broker.pid}/task").iterdir():
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(each.name), the_brokers)

    move({first}, {second})
    try:
        yield
    finally:
        move(ours, ours)


def h264(frames: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return frames per second, alone and through Kafka, of each round, of both settings."""
    cv2.setNumThreads(1)  # as the producer does
    with tempfile.TemporaryDirectory() as folder, start_kafka() as broker:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, frames)
        broker.create_topic("bench", 1)
        alone(clip)
        for _ in range(-(-WARM_FRAMES // frames)):
            through_kafka(clip, broker)
        ways = (lambda: alone(clip), lambda: through_kafka(clip, broker))

        def both(number: int) -> tuple[float, float]:
            """Time both ways; which is first changes from round to round."""
            if number % 2:
                producer, bare = ways[1](), ways[0]()
                return bare, producer
            return ways[0](), ways[1]()

        one, whole = [], []
        for number in range(rounds):
            with apart(broker):
                one.append(both(number))
            whole.append(both(number))
        return {"one core": one, "whole machine": whole}


def main() -> None:
    """Measure, print and keep."""
    frames, rounds = (int(text) for text in sys.argv[1:3] or (FRAMES, ROUNDS))
    about = describe()
    jpeg = motion_jpeg(rounds)
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("one core: expected a second one for Kafka's broker")
    pairs = h264(frames, rounds)
    one, whole = (statistics.median(k / bare for bare, k in each) for each in pairs.values())
    ratios = {
        "h264_ratio": round(one, 3),
        "h264_ratio_with_the_broker": round(whole, 3),
        "pass_on_ratio": round(jpeg["pass on"] / jpeg["decode and encode"], 4),
    }
    lines = [
        f"## 1920x1080 H.264 to JPEG in Kafka, {frames} frames, {rounds} rounds\n",
        "Frames per second; each way is first in every other round. One core: both ways on the "
        "same one, the broker on another. Whole machine: the producer shares all cores with the "
        "broker.\n",
        "| round | one core: alone | producer | ratio | whole machine: alone | producer | ratio |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {number} | " + " | ".join(f"{a:.1f} | {k:.1f} | {k / a:.2f}" for a, k in row) + " |"
            for number, row in enumerate(zip(*pairs.values(), strict=True), 1)
        ),
        f"\nMedian ratio on one core: {one:.2f} (bar: 0.85); with the broker: {whole:.2f}\n",
        "## 1920x1080 motion JPEG, quality 90, processor time a picture\n",
        "| way | ms | of decoding and encoding |",
        "|---|---|---|",
        *(
            f"| {name} | {each:.2f} | {each / jpeg['decode and encode']:.2f} |"
            for name, each in jpeg.items()
        ),
        "\nBar of passing on: 0.15. It includes decoding every fourth picture small.",
    ]
    text = "\n".join(lines)
    print(text)
    moment = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"producer-{moment}.json").write_text(
        json.dumps({**about, **ratios, "h264_fps": pairs, "motion_jpeg_ms": jpeg}, indent=1) + "\n"
    )
    (RESULTS / "producer.md").write_text(
        f"# Producer\n\n`python -m benchmarks.bench_producer`\n\n{text}\n\n"
        f"producer-{moment}.json has the machine, the versions and how busy it was.\n"
    )


if __name__ == "__main__":
    main()
